//! With any bytes from the server, the listener continues and misses nothing.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{ALL, Call, DOWN, FIN, OPEN, PING, TEXT, flags, frame, listening, options};

/// Valid frames, invalid frames, and arbitrary bytes.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = || prop::collection::vec(any::<u8>(), 0..200);
    let change = Just(br#"{"added":{"x":{}}}"#.to_vec());
    prop_oneof![
        (any::<u8>(), payload()).prop_map(|(head, payload)| frame(head, &payload)),
        (0..0x10_u8, payload()).prop_map(|(opcode, payload)| frame(FIN | opcode, &payload)),
        (0..3_u8, change).prop_map(|(opcode, payload)| frame(opcode, &payload)),
        Just(frame(FIN, b"")),
        Just(frame(FIN | PING, b"")),
        Just(frame(FIN | TEXT, br#"{"added":{"x":{}}}"#)),
        payload(),
    ]
}

/// The bytes in packets of these lengths; the last packet has the rest.
fn packets(bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut packets = vec![];
    let mut rest = bytes;
    for length in lengths {
        let (packet, tail) = rest.split_at(rest.len().min(*length));
        packets.push(packet.to_vec());
        rest = tail;
    }
    packets.push(rest.to_vec());
    packets
}

/// The last call to the sink.
#[derive(Debug, Clone, Copy)]
enum State {
    Down,
    Invalid,
    Open,
}

/// The state after `call`. Everything is invalidated before the stream opens, and nothing is called
/// while it is down.
fn in_order(before: State, call: &Call) -> Option<State> {
    Some(match (before, call) {
        (State::Down, call) if *call == ALL => State::Invalid,
        (State::Invalid, call) if *call == OPEN => State::Open,
        (State::Open, call) if *call == DOWN => State::Down,
        (State::Open, Call::Invalidate(_)) => State::Open,
        _ => return None,
    })
}

async fn survives(in_answer: Vec<u8>, then: Vec<Vec<u8>>) {
    let (mut server, _listener, mut calls) = listening(&options());
    let (_, mut socket) = server.accept().await.upgrade_with(&in_answer).await;
    for packet in then {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The listener may have closed the connection.
        if socket.0.write_all(&packet).await.is_err() {
            break;
        }
    }
    drop(socket);
    let mut socket = server.accept().await.open().await;
    socket.text(r#"{"deleted":{"after":{}}}"#).await;
    let mut state = State::Down;
    loop {
        let call = calls.next().await;
        let next = in_order(state, &call);
        assert!(next.is_some(), "{call:?} after {state:?}");
        state = next.unwrap();
        if call == flags(&["after"]) {
            break;
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_end_the_listener(
        frames in prop::collection::vec(any_frame(), 0..12),
        lengths in prop::collection::vec(0..300_usize, 0..12),
        begin_in_answer in any::<bool>(),
    ) {
        let mut packets = packets(&frames.concat(), &lengths);
        let in_answer = if begin_in_answer { packets.remove(0) } else { vec![] };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(survives(in_answer, packets));
    }
}
