//! Connections that appear open: quiet ones and dead ones.

use std::time::Duration;

use goff_ws::ListenerOptions;
use tokio::time::Instant;

use crate::fixture::{
    self, ALL, DOWN, FIN, OPEN, PING, PONG, TEXT, TcpServer, flags, frame, last_error, listen,
    listening, within,
};

const LIVENESS: Duration = Duration::from_secs(10);

fn options() -> ListenerOptions {
    fixture::options().liveness(LIVENESS)
}

/// docs/relay-protocol.md 15 and 23, scenario 11: the relay proxy drops a connection 60 s
/// after the last pong, so every ping has to be answered.
#[tokio::test(start_paused = true)]
async fn pings_keep_an_idle_connection_alive() {
    let (mut server, listener, mut calls) = listening(&options());
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
    assert_eq!(listener.monitor().stats().reconnects, 0);
}

/// docs/python-parity.md C2; docs/relay-protocol.md 23, scenario 11.
#[tokio::test(start_paused = true)]
async fn silent_peer_is_dropped_after_the_liveness_time() {
    let (mut server, listener, mut calls) = listening(&options());
    let mut socket = calls.open(server.accept().await).await;
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    socket.ping().await;
    let last = Instant::now();
    calls.expect(&[DOWN]).await;
    let noticed = last.elapsed();
    assert!(noticed >= LIVENESS && noticed < LIVENESS + Duration::from_millis(10));
    let error = last_error(&listener);
    assert!(error.contains("nothing received for 10000 ms"), "{error}");
    let _socket = calls.open(server.accept().await).await;
    assert_eq!(listener.monitor().stats().reconnects, 1);
}

/// The socket stays open and nothing arrives, as when a host or a gateway lost the connection.
#[tokio::test]
async fn half_open_tcp_connection_is_replaced() {
    let server = TcpServer::start().await;
    let (_listener, mut calls) = listen(
        &options().liveness(Duration::from_millis(200)),
        server.connector(),
    );
    let _half_open = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN, DOWN]).await;
    let _socket = calls.open(server.accept().await).await;
}

/// While a large message arrives over a slow line, the server cannot send a ping.
#[tokio::test(start_paused = true)]
async fn message_may_take_longer_than_the_liveness_time() {
    let (mut server, listener, mut calls) = listening(&options());
    let mut socket = server.accept().await.open().await;
    let message = frame(FIN | TEXT, br#"{"added":{"slow":{}}}"#);
    for part in message.chunks(3) {
        tokio::time::sleep(Duration::from_secs(9)).await;
        socket.send_raw(part).await;
    }
    calls.expect(&[ALL, OPEN, flags(&["slow"])]).await;
    assert_eq!(listener.monitor().stats().reconnects, 0);
}

/// A server that sends pings and never reads does not block the listener.
#[tokio::test(start_paused = true)]
async fn server_may_send_without_ever_reading() {
    let (mut server, _listener, mut calls) = listening(&options());
    let mut socket = server.accept().await.open().await;
    let pings = frame(FIN | PING, &[0; 125]).repeat(1_000);
    for _ in 0..20 {
        socket.send_raw(&pings).await;
    }
    socket.text(r#"{"added":{"x":{}}}"#).await;
    within(calls.expect(&[ALL, OPEN, flags(&["x"])])).await;
}
