//! Streams that a middlebox cuts at a regular age: the next one is opened before that.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use goff_core::{ApiKey, Invalidation, StreamState};
use goff_ws::{ChangeListener, ListenerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fixture::{
    ALL, CLOSE, Call, Calls, DOWN, FIN, MemoryServer, OPEN, PING, PONG, Peer, Socket, TEXT, flags,
    frame, last_error, listen, listening, options,
};

const SECOND: Duration = Duration::from_secs(1);

/// What a relay proxy behind a load balancer does: announces changes, sends a ping a second, answers
/// a close frame, and cuts the connection at `age`.
async fn serve(peer: Peer<DuplexStream>, mut changes: broadcast::Receiver<String>, age: Duration) {
    let connected = Instant::now();
    let (_, socket) = peer.upgrade_with(b"").await;
    let (mut from_client, mut to_client) = tokio::io::split(socket.0);
    let mut pings = tokio::time::interval_at(Instant::now() + SECOND, SECOND);
    let closing = async {
        let mut head = [0; 6];
        while from_client.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1] & 0x7f)];
            from_client.read_exact(&mut payload).await.unwrap();
            if head[0] & 0xf == CLOSE {
                return;
            }
        }
        pending::<()>().await;
    };
    let mut closing = std::pin::pin!(closing);
    loop {
        let bytes = tokio::select! {
            _ = pings.tick() => frame(FIN | PING, b""),
            change = changes.recv() => {
                let message = format!(r#"{{"added":{{"{}":{{}}}}}}"#, change.unwrap());
                frame(FIN | TEXT, message.as_bytes())
            }
            () = &mut closing => {
                let _ = to_client.write_all(&frame(FIN | CLOSE, b"")).await;
                return;
            }
            () = tokio::time::sleep_until(connected + age) => return,
        };
        if to_client.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Streams that are cut at `age`: after two gaps there are none, nothing is evicted any more, and
/// every change arrives.
async fn keeps_up(age: Duration, hand_overs: u32) {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(&options(), connect);
    let (announce, _) = broadcast::channel(1_000);
    let changes = announce.clone();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let peer = server.accept().await;
            connections.spawn(serve(peer, changes.subscribe(), age));
        }
    });
    calls
        .expect(&[ALL, OPEN, DOWN, ALL, OPEN, DOWN, ALL, OPEN])
        .await;
    let mut sent = BTreeSet::new();
    let end = Instant::now() + age * hand_overs;
    while Instant::now() < end {
        let name = format!("change-{}", sent.len());
        announce.send(name.clone()).unwrap();
        sent.insert(name);
        tokio::time::sleep(Duration::from_millis(173)).await;
    }
    let mut seen = BTreeSet::new();
    for call in calls.so_far() {
        let is_named = matches!(call, Call::Invalidate(Invalidation::Flags(_)));
        assert!(is_named, "{call:?} after {} changes", seen.len());
        if let Call::Invalidate(Invalidation::Flags(names)) = call {
            seen.extend(names);
        }
    }
    assert_eq!(seen, sent);
    let stats = listener.monitor().stats();
    assert_eq!(stats.state, StreamState::Open);
    assert_eq!(stats.reconnects, 2);
    let counted = stats.hand_overs;
    assert!(
        (u64::from(hand_overs)..u64::from(hand_overs) * 2).contains(&counted),
        "{counted} of {hand_overs}"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_cut_at_a_regular_age_leave_no_gap() {
    for (seconds, hand_overs) in [(30, 20), (8, 20), (100, 6)] {
        keeps_up(SECOND * seconds, hand_overs).await;
    }
}

type Stream = Socket<DuplexStream>;

/// A listener that knows that streams are cut after 30 s, and its open stream.
async fn learned(
    options: &ListenerOptions,
) -> (ChangeListener, Calls, MemoryServer, Stream, Instant) {
    let (mut server, listener, mut calls) = listening(options);
    for _ in 0..2 {
        let mut socket = calls.open(server.accept().await).await;
        ping_for(&mut socket, 30).await;
        drop(socket);
        calls.expect(&[DOWN]).await;
    }
    let socket = calls.open(server.accept().await).await;
    (listener, calls, server, socket, Instant::now())
}

async fn ping_for(socket: &mut Stream, seconds: u32) {
    for _ in 0..seconds {
        tokio::time::sleep(SECOND).await;
        socket.ping().await;
    }
}

/// The next frame that is no pong.
async fn no_pong(socket: &mut Stream) -> u8 {
    loop {
        let (kind, _) = socket.receive().await;
        if kind != PONG {
            return kind;
        }
    }
}

/// The next connection, while the old stream is alive.
async fn next_connection(server: &mut MemoryServer, old: &mut Stream) -> Peer<DuplexStream> {
    loop {
        if let Ok(peer) = tokio::time::timeout(SECOND, server.accept()).await {
            return peer;
        }
        old.ping().await;
    }
}

/// Opens the next stream at 16 to 24 s.
async fn next(server: &mut MemoryServer, old: &mut Stream, opened: Instant) -> Stream {
    let peer = next_connection(server, old).await;
    let age = opened.elapsed();
    assert!(
        age >= SECOND * 16 && age < Duration::from_millis(24_100),
        "{age:?}"
    );
    peer.open().await
}

/// A change that only the old stream has, because it is older than the subscription of the new one.
#[tokio::test(start_paused = true)]
async fn previous_stream_is_read_until_the_server_has_closed_it() {
    let (listener, mut calls, mut server, mut old, opened) = learned(&options()).await;
    let mut new = next(&mut server, &mut old, opened).await;
    assert_eq!(no_pong(&mut old).await, CLOSE);
    old.text(r#"{"added":{"late":{}}}"#).await;
    new.text(r#"{"added":{"new":{}}}"#).await;
    let mut both = [calls.next().await, calls.next().await];
    if both[0] == flags(&["new"]) {
        both.reverse();
    }
    assert_eq!(both, [flags(&["late"]), flags(&["new"])]);
    old.send(FIN | CLOSE, b"").await;
    old.closed_by_client().await;
    assert_eq!(calls.so_far(), []);
    assert_eq!(listener.monitor().stats().hand_overs, 1);
}

/// A server that does not answer close frames, but is alive.
#[tokio::test(start_paused = true)]
async fn server_that_never_closes_is_left_after_two_pings() {
    let (_listener, mut calls, mut server, mut old, opened) = learned(&options()).await;
    let mut new = next(&mut server, &mut old, opened).await;
    assert_eq!(no_pong(&mut old).await, CLOSE);
    for _ in 0..3 {
        tokio::time::sleep(SECOND).await;
        let _ = old.0.write_all(&frame(FIN | PING, b"")).await;
        new.ping().await;
    }
    old.closed_by_client().await;
    // A change may have been behind the last ping.
    calls.expect(&[ALL]).await;
}

/// What the previous stream may have held is lost, so everything may have changed.
#[tokio::test(start_paused = true)]
async fn previous_stream_that_breaks_invalidates_everything() {
    let (_listener, mut calls, mut server, mut old, opened) = learned(&options()).await;
    let _new = next(&mut server, &mut old, opened).await;
    assert_eq!(no_pong(&mut old).await, CLOSE);
    old.send_raw(&[0xff, 0]).await;
    calls.expect(&[ALL]).await;

    // It ends without the answer to the close frame.
    let (_listener, mut calls, mut server, mut old, opened) = learned(&options()).await;
    let _new = next(&mut server, &mut old, opened).await;
    assert_eq!(no_pong(&mut old).await, CLOSE);
    drop(old);
    calls.expect(&[ALL]).await;

    // It is silent since before the next one was open.
    let (_listener, mut calls, mut server, mut old, opened) = learned(&options()).await;
    let mut new = next(&mut server, &mut old, opened).await;
    ping_for(&mut new, 11).await;
    calls.expect(&[ALL]).await;
    assert_eq!(calls.so_far(), []);
}

/// Streams on which nothing ever arrives are given up as dead; that is no age at which they are cut.
#[tokio::test(start_paused = true)]
async fn silent_streams_have_no_regular_age() {
    let (mut server, listener, mut calls) = listening(&options());
    for _ in 0..3 {
        let _silent = calls.open(server.accept().await).await;
        calls.expect(&[DOWN]).await;
    }
    let mut socket = calls.open(server.accept().await).await;
    ping_for(&mut socket, 60).await;
    let next = tokio::time::timeout(SECOND, server.accept()).await;
    assert!(next.is_err(), "another stream was opened");
    assert_eq!(listener.monitor().stats().hand_overs, 0);
}

/// The current stream stays while the next cannot be opened, and the attempts go on.
#[tokio::test(start_paused = true)]
async fn next_stream_that_cannot_be_opened_changes_nothing() {
    let (listener, mut calls, mut server, mut old, _) = learned(&options()).await;
    next_connection(&mut server, &mut old)
        .await
        .refuse(503)
        .await;
    drop(server.accept().await);
    old.text(r#"{"added":{"x":{}}}"#).await;
    calls.expect(&[flags(&["x"])]).await;
    assert_eq!(listener.monitor().stats().state, StreamState::Open);
    let _new = server.accept().await.open().await;
    assert_eq!(no_pong(&mut old).await, CLOSE);
    assert_eq!(calls.so_far(), []);

    // Cut before the next is open: a gap as any other.
    let (_listener, mut calls, mut server, mut old, _) = learned(&options()).await;
    let hanging = next_connection(&mut server, &mut old).await;
    ping_for(&mut old, 6).await;
    drop(old);
    calls.expect(&[DOWN]).await;
    let _new = calls.open(server.accept().await).await;
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn stops_in_every_phase_of_a_hand_over() {
    for phase in 0..3 {
        let (listener, mut calls, mut server, mut old, opened) = learned(&options()).await;
        let new = match phase {
            0 => None,
            1 => Some(Socket(next_connection(&mut server, &mut old).await.0)),
            _ => Some(next(&mut server, &mut old, opened).await),
        };
        tokio::time::sleep(Duration::from_millis(1)).await;
        let start = Instant::now();
        listener.shutdown(SECOND).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(no_pong(&mut old).await, CLOSE);
        old.closed_by_client().await;
        if let Some(mut new) = new {
            new.closed_by_client().await;
        }
        assert_eq!(calls.so_far(), []);
    }
}

/// The next stream is opened with the new key at once, and nothing is missed or evicted for it. While
/// the new key is refused, the stream of the old one stays.
#[tokio::test(start_paused = true)]
async fn new_key_opens_the_next_stream_before_the_current_one_is_closed() {
    let made = AtomicUsize::new(0);
    let provider = move || {
        let call = made.fetch_add(1, Ordering::Relaxed);
        vec![("X-Call".to_owned(), call.to_string())]
    };
    let key = |key: &str| Some(ApiKey::new(key).unwrap());
    let options = options()
        .api_key(key("old"))
        .custom_header("x-call", "custom")
        .header_provider(Arc::new(provider));
    let (mut server, listener, mut calls) = listening(&options);
    let (request, mut old) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.api_key().as_deref(), Some("old"));
    assert_eq!(request.header("x-call"), Some("0"));
    old.ping().await;
    calls.expect(&[ALL, OPEN]).await;

    listener.set_api_key(key("refused")).unwrap();
    let request = server.accept().await.refuse(401).await;
    assert_eq!(request.api_key().as_deref(), Some("refused"));
    assert_eq!(request.header("x-call"), Some("1"));
    old.text(r#"{"added":{"a":{}}}"#).await;
    calls.expect(&[flags(&["a"])]).await;

    listener.set_api_key(key("new")).unwrap();
    let (request, mut new) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.api_key().as_deref(), Some("new"));
    assert_eq!(request.header("authorization"), Some("Bearer new"));
    new.ping().await;
    assert_eq!(no_pong(&mut old).await, CLOSE);
    new.text(r#"{"added":{"b":{}}}"#).await;
    calls.expect(&[flags(&["b"])]).await;
    assert_eq!(listener.monitor().stats().hand_overs, 1);
    assert!(listener.set_api_key(key(&"k".repeat(70_000))).is_err());
    assert!(!format!("{listener:?}").contains("new"));
}

/// Without an open stream a new key ends the pause, however long the failures have made it.
#[tokio::test(start_paused = true)]
async fn new_key_ends_the_pause_after_a_refusal() {
    let (mut server, listener, mut calls) = listening(&options());
    for _ in 0..10 {
        server.accept().await.refuse(401).await;
    }
    let set = Instant::now();
    listener.set_api_key(ApiKey::new("new").ok()).unwrap();
    let _socket = calls.open(server.accept().await).await;
    assert!(set.elapsed() < SECOND, "{:?}", set.elapsed());
}

/// Headers that cannot be sent are a failed attempt, and the next one asks again.
#[tokio::test(start_paused = true)]
async fn provider_that_fails_is_called_again() {
    let made = AtomicUsize::new(0);
    let provider = move || match made.fetch_add(1, Ordering::Relaxed) {
        0 => panic!("s3cret"),
        1 => vec![("x-a".to_owned(), "s3cret\r\n".to_owned())],
        _ => Vec::new(),
    };
    let options = options().header_provider(Arc::new(provider));
    let (mut server, listener, mut calls) = listening(&options);
    let peer = server.accept().await;
    let error = last_error(&listener);
    assert!(
        error.contains("`x-a`") && !error.contains("s3cret"),
        "{error}"
    );
    let _socket = calls.open(peer).await;
}
