//! Whatever a server sends, the listener lives on and forgets nothing.

use std::time::Duration;

use goff_ws::{ChangeListener, ListenerOptions};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use crate::server::{FIN, MemoryServer, PING, TEXT, frame};
use crate::sink::{ALL, Call, DOWN, OPEN, flags, sink};

/// Frames that begin like frames, and some that do not.
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

/// The bytes in packets of these lengths, the rest in the last one.
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

/// What the sink was told last.
#[derive(Debug, Clone, Copy)]
enum Told {
    Down,
    Invalid,
    Open,
}

/// Everything is invalid before the stream is open, and nothing is told while it is down.
fn in_order(before: Told, call: &Call) -> Option<Told> {
    Some(match (before, call) {
        (Told::Down, call) if *call == ALL => Told::Invalid,
        (Told::Invalid, call) if *call == OPEN => Told::Open,
        (Told::Open, call) if *call == DOWN => Told::Down,
        (Told::Open, Call::Invalidate(_)) => Told::Open,
        _ => return None,
    })
}

async fn survives(in_answer: Vec<u8>, then: Vec<Vec<u8>>) {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let options = ListenerOptions::new("http://relay".parse().unwrap());
    let _listener = ChangeListener::start(&options, connect, sink).unwrap();
    let (_, mut socket) = server.accept().await.upgrade_with(&in_answer).await;
    for packet in then {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The listener may have hung up by now.
        if socket.0.write_all(&packet).await.is_err() {
            break;
        }
    }
    drop(socket);
    let mut socket = server.accept().await.open().await;
    socket.text(r#"{"deleted":{"after":{}}}"#).await;
    let mut told = Told::Down;
    loop {
        let call = calls.next().await;
        let next = in_order(told, &call);
        assert!(next.is_some(), "{call:?} after {told:?}");
        told = next.unwrap();
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
        let in_answer = if begin_in_answer {
            packets.remove(0)
        } else {
            vec![]
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(survives(in_answer, packets));
    }
}
