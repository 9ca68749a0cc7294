//! Connections that look open: the quiet ones that live, and the dead ones.

use std::sync::Arc;
use std::time::Duration;

use goff_core::Connect;
use goff_ws::{ChangeListener, ListenerOptions};
use tokio::time::Instant;

use crate::server::{FIN, MemoryServer, PONG, TEXT, TcpServer, frame, within};
use crate::sink::{ALL, Calls, DOWN, OPEN, flags, sink};

fn listen(connect: Arc<dyn Connect>, liveness: Duration) -> (ChangeListener, Calls) {
    let (sink, calls) = sink();
    let options = ListenerOptions::new("http://relay".parse().unwrap()).liveness(liveness);
    (
        ChangeListener::start(&options, connect, sink).unwrap(),
        calls,
    )
}

const LIVENESS: Duration = Duration::from_secs(10);

/// relay-protocol 15 and 23, scenario 11: the relay proxy drops a connection 60 s after the last
/// pong, so every one of its pings has to be answered.
#[tokio::test(start_paused = true)]
async fn idle_connection_lives_on_pings_alone() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect, LIVENESS);
    let mut socket = server.accept().await.open().await;
    assert_eq!(socket.receive().await.0, PONG);
    for _ in 0..3_600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let sent = Instant::now();
        socket.ping().await;
        assert_eq!(socket.receive().await.0, PONG);
        assert_eq!(sent.elapsed(), Duration::ZERO);
    }
    assert_eq!(calls.so_far(), [ALL, OPEN]);
    assert_eq!(listener.stats().reconnects, 0);
}

/// Python part C, C2; relay-protocol 23, scenario 11.
#[tokio::test(start_paused = true)]
async fn silent_peer_is_dead_after_the_liveness_time() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect, LIVENESS);
    let mut socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    socket.ping().await;
    let last = Instant::now();
    calls.expect(&[DOWN]).await;
    let noticed = last.elapsed();
    assert!(noticed >= LIVENESS && noticed < LIVENESS + Duration::from_millis(10));
    assert_eq!(
        listener.stats().last_error.unwrap().as_ref(),
        "nothing arrived for 10s"
    );
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(listener.stats().reconnects, 1);
}

/// The socket stays open and nothing comes, as when a host or a gateway lost the connection.
#[tokio::test]
async fn half_open_tcp_connection_is_left_for_a_new_one() {
    let server = TcpServer::start().await;
    let (_listener, mut calls) = listen(server.connector(), Duration::from_millis(200));
    let _half_open = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN, DOWN]).await;
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
}

/// While a large message comes over a slow line the server cannot send a ping.
#[tokio::test(start_paused = true)]
async fn message_that_takes_longer_than_the_liveness_time_arrives() {
    let (mut server, connect) = MemoryServer::start();
    let (listener, mut calls) = listen(connect, LIVENESS);
    let mut socket = server.accept().await.open().await;
    let message = frame(FIN | TEXT, br#"{"added":{"slow":{}}}"#);
    for part in message.chunks(3) {
        tokio::time::sleep(Duration::from_secs(9)).await;
        socket.send_raw(part).await;
    }
    calls.expect(&[ALL, OPEN, flags(&["slow"])]).await;
    assert_eq!(listener.stats().reconnects, 0);
}

/// A server that sends pings and never reads does not block the listener.
#[tokio::test(start_paused = true)]
async fn server_that_never_reads_is_still_heard() {
    let (mut server, connect) = MemoryServer::start();
    let (_listener, mut calls) = listen(connect, LIVENESS);
    let mut socket = server.accept().await.open().await;
    let pings = frame(FIN | crate::server::PING, &[0; 125]).repeat(1_000);
    for _ in 0..20 {
        socket.send_raw(&pings).await;
    }
    socket.text(r#"{"added":{"x":{}}}"#).await;
    within(calls.expect(&[ALL, OPEN, flags(&["x"])])).await;
}
