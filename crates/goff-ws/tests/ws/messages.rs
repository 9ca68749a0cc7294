//! What arrives, and what the sink is told of it.

use std::sync::Arc;

use goff_core::{Connect, StreamState};
use goff_ws::{ChangeListener, ListenerOptions};
use tokio::io::DuplexStream;

use crate::server::{
    BINARY, CLOSE, CONTINUATION, FIN, MemoryServer, PING, PONG, Socket, TEXT, TcpServer, frame,
};
use crate::sink::{ALL, Calls, DOWN, OPEN, flags, sink};

const CHANGE: &str =
    r#"{"deleted":{"a":{}},"added":{"b":{}},"updated":{"c":{"old_value":{},"new_value":{}}}}"#;

fn listen(connect: Arc<dyn Connect>) -> (ChangeListener, Calls) {
    let (sink, calls) = sink();
    let options = ListenerOptions::new("http://relay".parse().unwrap());
    (
        ChangeListener::start(&options, connect, sink).unwrap(),
        calls,
    )
}

async fn opened() -> (ChangeListener, Calls, MemoryServer, Socket<DuplexStream>) {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect);
    let socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    (listener, calls, server, socket)
}

#[tokio::test]
async fn change_over_tcp_reaches_the_sink() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(server.connector());
    let mut socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(listener.stats().state, StreamState::Open);
    socket.text(&format!("{CHANGE}\n")).await;
    calls.expect(&[flags(&["a", "b", "c"])]).await;
    assert_eq!(listener.stats().messages, 1);
}

/// Sent in the packet of the answer, before the listener has a WebSocket to read it from.
#[tokio::test]
async fn message_right_behind_the_handshake_is_not_lost() {
    let (mut server, connect) = MemoryServer::start();
    let (_listener, mut calls) = listen(connect);
    let message = frame(FIN | TEXT, CHANGE.as_bytes());
    let (_, _socket) = server.accept().await.upgrade_with(&message).await;
    calls.expect(&[ALL, OPEN, flags(&["a", "b", "c"])]).await;
}

/// The relay proxy answers the handshake first and subscribes the connection then; its first ping
/// shows that it has (Python part C, C19, where it concerns the stream).
#[tokio::test(start_paused = true)]
async fn nothing_is_valid_until_the_stream_is_known_to_be_subscribed() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect);
    let (_, mut socket) = server.accept().await.upgrade_with(b"").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(calls.so_far(), []);
    assert_eq!(listener.stats().state, StreamState::Down);
    socket.ping().await;
    calls.expect(&[ALL, OPEN]).await;
}

#[tokio::test(start_paused = true)]
async fn server_without_pings_counts_as_subscribed_after_a_while() {
    let (mut server, connect) = MemoryServer::start();
    let (_listener, mut calls) = listen(connect);
    let (_, _socket) = server.accept().await.upgrade_with(b"").await;
    let start = tokio::time::Instant::now();
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

/// relay-protocol 15: the last fragment may be empty, and pings come in between.
#[tokio::test]
async fn fragmented_message_is_one_message() {
    let (listener, mut calls, _server, mut socket) = opened().await;
    let (head, tail) = CHANGE.split_at(30);
    socket.send(TEXT, head.as_bytes()).await;
    socket.send(FIN | PING, b"between").await;
    socket.send(CONTINUATION, tail.as_bytes()).await;
    socket.send(FIN | CONTINUATION, b"").await;
    socket.send(TEXT, CHANGE.as_bytes()).await;
    socket.send(FIN | CONTINUATION, b"").await;
    let named = || flags(&["a", "b", "c"]);
    calls.expect(&[named(), named()]).await;
    assert_eq!(listener.stats().messages, 2);
}

/// A mass change holds the whole configuration twice, most of it in one frame.
#[tokio::test]
async fn message_of_20_mb_is_read() {
    let (_listener, mut calls, _server, mut socket) = opened().await;
    let padding = "x".repeat(20 * 1024 * 1024);
    socket
        .text(&format!(r#"{{"added":{{"big":"{padding}"}}}}"#))
        .await;
    calls.expect(&[flags(&["big"])]).await;
}

/// Python A42; relay-protocol 23, scenario 11.
#[tokio::test]
async fn unreadable_message_invalidates_everything_and_the_stream_goes_on() {
    let (_listener, mut calls, _server, mut socket) = opened().await;
    for (head, payload) in [
        (TEXT, "garbage"),
        (TEXT, ""),
        (TEXT, "{}"),
        (TEXT, r#"{"deleted":{},"added":{},"updated":{}}"#),
        (BINARY, CHANGE),
        (BINARY, ""),
    ] {
        socket.send(FIN | head, payload.as_bytes()).await;
        calls.expect(&[ALL]).await;
    }
    socket.text(CHANGE).await;
    calls.expect(&[flags(&["a", "b", "c"])]).await;
}

/// What cannot be a message at all ends the connection, and everything is invalid at once, not
/// only when the stream is back.
#[tokio::test(start_paused = true)]
async fn broken_frames_invalidate_everything_and_reconnect() {
    let mut too_large = vec![FIN | TEXT, 127];
    too_large.extend((65_u64 * 1024 * 1024).to_be_bytes());
    for bytes in [
        too_large,
        frame(FIN | TEXT, b"\xff\xfe"),
        frame(FIN | 0x40 | TEXT, b"{}"),
        frame(FIN | CONTINUATION, b"{}"),
        frame(FIN | 0x3, b"{}"),
        frame(PING, b""),
    ] {
        let (listener, mut calls, mut server, mut socket) = opened().await;
        socket.send_raw(&bytes).await;
        calls.expect(&[ALL, DOWN]).await;
        let error = listener.stats().last_error.unwrap();
        assert!(error.starts_with("unreadable message"), "{error}");
        let _socket = server.accept().await.open().await;
        calls.expect(&[ALL, OPEN]).await;
    }
}

#[tokio::test]
async fn pings_are_answered_at_once_with_their_payload() {
    let server = TcpServer::start().await;
    let (_listener, mut calls) = listen(server.connector());
    let mut socket = server.accept().await.open().await;
    assert_eq!(socket.receive().await, (PONG, vec![]));
    for payload in ["", "one", "two"] {
        let start = std::time::Instant::now();
        socket.send(FIN | PING, payload.as_bytes()).await;
        assert_eq!(socket.receive().await, (PONG, payload.into()));
        assert!(start.elapsed().as_millis() < 900, "before the next ping");
    }
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(calls.so_far(), []);
}

#[tokio::test(start_paused = true)]
async fn close_frame_is_answered_and_the_stream_comes_back() {
    let (listener, mut calls, mut server, mut socket) = opened().await;
    assert_eq!(socket.receive().await, (PONG, vec![]));
    socket.send(FIN | CLOSE, &1001_u16.to_be_bytes()).await;
    assert_eq!(socket.receive().await.0, CLOSE);
    calls.expect(&[DOWN]).await;
    assert_eq!(
        listener.stats().last_error.unwrap().as_ref(),
        "the server closed the connection"
    );
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
}
