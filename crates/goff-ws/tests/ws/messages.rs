//! Messages from the server, and the calls to the sink.

use goff_core::StreamState;
use goff_ws::ChangeListener;
use tokio::io::DuplexStream;

use crate::fixture::{
    ALL, BINARY, CLOSE, CONTINUATION, Calls, DOWN, FIN, MemoryServer, OPEN, PING, PONG, Socket,
    TEXT, TcpServer, flags, frame, last_error, listen, listening, options,
};

const CHANGE: &str =
    r#"{"deleted":{"a":{}},"added":{"b":{}},"updated":{"c":{"old_value":{},"new_value":{}}}}"#;

async fn opened() -> (ChangeListener, Calls, MemoryServer, Socket<DuplexStream>) {
    let (mut server, listener, mut calls) = listening(&options());
    let socket = calls.open(server.accept().await).await;
    (listener, calls, server, socket)
}

#[tokio::test]
async fn change_over_tcp_reaches_the_sink() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(&options(), server.connector());
    let mut socket = calls.open(server.accept().await).await;
    assert_eq!(listener.monitor().stats().state, StreamState::Open);
    socket.text(&format!("{CHANGE}\n")).await;
    calls.expect(&[flags(&["a", "b", "c"])]).await;
    assert_eq!(listener.monitor().stats().messages, 1);
}

/// The message is in the packet of the response to the handshake.
#[tokio::test]
async fn message_right_after_the_handshake_is_not_lost() {
    let (mut server, _listener, mut calls) = listening(&options());
    let message = frame(FIN | TEXT, CHANGE.as_bytes());
    let (_, _socket) = server.accept().await.upgrade_with(&message).await;
    calls.expect(&[ALL, OPEN, flags(&["a", "b", "c"])]).await;
}

/// docs/python-parity.md C19: the relay proxy answers the handshake before it subscribes the
/// connection; its first ping shows that it has subscribed.
#[tokio::test(start_paused = true)]
async fn stream_opens_with_the_first_ping() {
    let (mut server, listener, mut calls) = listening(&options());
    let (_, mut socket) = server.accept().await.upgrade_with(b"").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(calls.so_far(), []);
    assert_eq!(listener.monitor().stats().state, StreamState::Down);
    socket.ping().await;
    calls.expect(&[ALL, OPEN]).await;
}

#[tokio::test(start_paused = true)]
async fn stream_opens_without_pings_after_a_fifth_of_the_liveness_time() {
    let (mut server, _listener, mut calls) = listening(&options());
    let (_, _socket) = server.accept().await.upgrade_with(b"").await;
    let start = tokio::time::Instant::now();
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

/// docs/relay-protocol.md 15: the last fragment may be empty, and pings may come between
/// fragments.
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
    assert_eq!(listener.monitor().stats().messages, 2);
}

/// A change of all flags contains the whole configuration twice, mostly in one frame.
#[tokio::test]
async fn message_of_20_mib_is_read() {
    let (_listener, mut calls, _server, mut socket) = opened().await;
    let padding = "x".repeat(20 * 1024 * 1024);
    let message = format!(r#"{{"added":{{"big":"{padding}"}}}}"#);
    socket.text(&message).await;
    calls.expect(&[flags(&["big"])]).await;
}

/// docs/python-parity.md A42; docs/relay-protocol.md 23, scenario 11.
#[tokio::test]
async fn unreadable_message_invalidates_everything_and_keeps_the_stream() {
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

/// Invalid frames end the connection and invalidate everything at once, before the reconnection.
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
        let error = last_error(&listener);
        assert!(error.contains("lost: unreadable message"), "{error}");
        let _socket = calls.open(server.accept().await).await;
    }
}

#[tokio::test]
async fn pings_are_answered_at_once_with_their_payload() {
    let server = TcpServer::start().await;
    let (_listener, mut calls) = listen(&options(), server.connector());
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
async fn close_frame_is_answered_and_the_stream_reconnects() {
    let (listener, mut calls, mut server, mut socket) = opened().await;
    assert_eq!(socket.receive().await, (PONG, vec![]));
    socket.send(FIN | CLOSE, &1001_u16.to_be_bytes()).await;
    assert_eq!(socket.receive().await.0, CLOSE);
    calls.expect(&[DOWN]).await;
    let error = last_error(&listener);
    let expected = "change stream from http://relay:80 lost: the server closed the connection";
    assert_eq!(error, expected);
    let _socket = calls.open(server.accept().await).await;
}
