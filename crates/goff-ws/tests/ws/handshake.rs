//! Requests for the stream, and reactions to the responses.

use std::time::Duration;

use goff_core::{ApiKey, StreamState};
use goff_ws::{ChangeListener, ListenerError, ListenerOptions};
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{
    ALL, DOWN, MemoryServer, OPEN, TcpServer, last_error, listen, listening, options, sink,
};

const CURRENT: &str = "/stream/v1/ws/flag/change";
const LEGACY: &str = "/ws/v1/flag/change";

/// docs/python-parity.md A45; docs/python-parity.md C14; docs/relay-protocol.md 23, scenarios 8 and 14. The bearer token
/// is for gateways.
#[tokio::test]
async fn prefix_is_kept_and_the_key_arrives_unchanged() {
    for key in ["+ & # space é =", "a;b%2Bc", "http://x?y", "plain"] {
        let server = TcpServer::start().await;
        let endpoint = server.endpoint("/http/ff/");
        let host = format!("{}:{}", endpoint.host(), endpoint.port());
        let options = ListenerOptions::new(endpoint).api_key(ApiKey::new(key).unwrap());
        let (_listener, _calls) = listen(&options, server.connector());
        let (request, _socket) = server.accept().await.upgrade_with(b"").await;
        let (path, _) = request.target().split_once('?').unwrap();
        assert_eq!(path, format!("/http/ff{CURRENT}"));
        assert_eq!(request.api_key().as_deref(), Some(key));
        assert_eq!(request.header("host"), Some(&*host));
        let bearer = format!("Bearer {key}");
        assert_eq!(request.header("authorization"), Some(&*bearer));
        assert_eq!(request.header("sec-websocket-extensions"), None);
    }
}

/// docs/python-parity.md C8.
/// GOFF-AUTH-003.
#[tokio::test]
async fn without_a_key_there_is_neither_query_nor_bearer_token() {
    let options = ListenerOptions::new("unix:///run/relay.sock".parse().unwrap())
        .api_key(None)
        .custom_header("x-gateway", "open sesame");
    let (mut server, _listener, _calls) = listening(&options);
    let (request, _socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), CURRENT);
    assert_eq!(request.header("host"), Some("localhost"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("x-gateway"), Some("open sesame"));
}

/// docs/relay-protocol.md 23, scenario 11: relay proxies before 1.53.0 only have the old
/// address.
#[tokio::test(start_paused = true)]
async fn old_address_is_tried_on_404_and_kept_while_it_works() {
    let options = options();
    let (mut server, listener, mut calls) = listening(&options);

    assert_eq!(server.accept().await.refuse(404).await.target(), CURRENT);
    let start = tokio::time::Instant::now();
    let (request, mut socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), LEGACY);
    assert_eq!(start.elapsed(), Duration::ZERO, "without a pause");
    socket.ping().await;
    calls.expect(&[ALL, OPEN]).await;
    let error = listener.monitor().stats().last_error;
    assert!(error.is_none(), "no attempt failed: {error:?}");

    drop(socket);
    calls.expect(&[DOWN]).await;
    let mut peer = server.accept().await;
    assert_eq!(peer.request().await.target(), LEGACY);
    // The server goes down and may be a newer one afterwards.
    drop(peer);
    assert_eq!(server.accept().await.refuse(404).await.target(), CURRENT);
    assert_eq!(server.accept().await.refuse(404).await.target(), LEGACY);
    let peer = server.accept().await;
    let error = last_error(&listener);
    let (request, mut socket) = peer.upgrade_with(b"").await;
    assert_eq!(request.target(), CURRENT);
    socket.ping().await;
    calls.expect(&[ALL, OPEN]).await;
    assert!(error.contains(&format!("404 to `{LEGACY}`")), "{error}");
    assert!(error.contains("not there either"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn deprecated_address_is_never_asked_for_with_the_option() {
    let options = options().disable_deprecated_stream(true);
    let (mut server, listener, mut calls) = listening(&options);
    for _ in 0..2 {
        for _ in 0..3 {
            assert_eq!(server.accept().await.refuse(404).await.target(), CURRENT);
        }
        let peer = server.accept().await;
        let error = last_error(&listener);
        assert!(error.contains(&format!("404 to `{CURRENT}`")), "{error}");
        assert!(error.contains("`disable_deprecated_stream`"), "{error}");
        let (request, mut socket) = peer.upgrade_with(b"").await;
        assert_eq!(request.target(), CURRENT);
        socket.ping().await;
        calls.expect(&[ALL, OPEN]).await;
        drop(socket);
        calls.expect(&[DOWN]).await;
    }
}

/// An upgrade of the relay proxy removed the old address.
#[tokio::test(start_paused = true)]
async fn current_address_is_found_when_the_old_one_is_gone() {
    let (mut server, _listener, mut calls) = listening(&options());
    server.accept().await.refuse(404).await;
    drop(server.accept().await.open().await);
    calls.expect(&[ALL, OPEN, DOWN]).await;
    assert_eq!(server.accept().await.refuse(404).await.target(), LEGACY);
    let (request, _socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), CURRENT);
}

/// Keys change at run time, so every refusal may be temporary.
#[tokio::test(start_paused = true)]
async fn refusals_are_retried_with_pauses() {
    let (mut server, listener, mut calls) = listening(&options());
    for status in [401, 403, 400, 200, 302, 429, 500, 503] {
        assert_eq!(server.accept().await.refuse(status).await.target(), CURRENT);
        // After the next attempt began, the result of this one is known.
        let mut peer = server.accept().await;
        peer.request().await;
        let error = last_error(&listener);
        assert!(error.contains(&status.to_string()), "{error}");
    }
    assert_eq!(calls.so_far(), [], "the stream was never open");
    let _socket = calls.open(server.accept().await).await;
    assert_eq!(listener.monitor().stats().reconnects, 0);
}

#[tokio::test(start_paused = true)]
async fn invalid_responses_are_retried() {
    let (mut server, listener, mut calls) = listening(&options());
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade";
    for (answer, part) in [
        ("", "closed the connection without an answer"),
        (
            "HTTP/1.1 101 Switching",
            "closed the connection without an answer",
        ),
        ("garbage\r\n\r\n", "does not speak HTTP/1.1"),
        ("\x16\x03\x01\x02\x00", "does not speak HTTP/1.1"),
        (&*format!("{head}: websocket\r\n\r\n"), "does not match"),
        (&*format!("{head}: h2c\r\n\r\n"), "another protocol"),
    ] {
        let mut peer = server.accept().await;
        peer.request().await;
        peer.0.write_all(answer.as_bytes()).await.unwrap();
        drop(peer);
        let mut next = server.accept().await;
        next.request().await;
        let error = last_error(&listener);
        assert!(error.contains(part), "`{answer}`: {error}");
    }
    let _socket = calls.open(server.accept().await).await;
}

#[tokio::test(start_paused = true)]
async fn server_that_never_responds_times_out() {
    let options = options().timeout(Duration::from_secs(3));
    let (mut server, listener, mut calls) = listening(&options);
    let start = tokio::time::Instant::now();
    let mut silent = server.accept().await;
    silent.request().await;
    let peer = server.accept().await;
    let error = last_error(&listener);
    let _socket = peer.open().await;
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited <= Duration::from_millis(3_150));
    calls.expect(&[ALL, OPEN]).await;
    assert!(error.contains("within 3000 ms"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn both_addresses_share_one_timeout() {
    let options = options().timeout(Duration::from_secs(3));
    let (mut server, _listener, _calls) = listening(&options);
    let start = tokio::time::Instant::now();
    let peer = server.accept().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    peer.refuse(404).await;
    let _silent = server.accept().await;
    server.accept().await;
    assert!(start.elapsed() <= Duration::from_millis(3_150));
}

/// The key is in the query, where the relay proxy reads it, and the gateway gets its credentials.
#[tokio::test]
async fn credentials_of_a_gateway_stand_beside_the_key() {
    let (basic, key) = ("Basic eHk6eg==", "k+ é");
    let with = |name: &'static str, value: &'static str| options().custom_header(name, value);
    let api_key = || ApiKey::new(key).unwrap();
    for (options, expected) in [
        (with("Authorization", basic).api_key(api_key()), Some(key)),
        (
            with("X-API-Key", key).custom_header("authorization", basic),
            Some(key),
        ),
        (
            with("x-api-key", "other")
                .custom_header("Authorization", basic)
                .api_key(api_key()),
            Some(key),
        ),
        (with("Authorization", basic), None),
    ] {
        let (mut server, _listener, _calls) = listening(&options);
        let (request, _socket) = server.accept().await.upgrade_with(b"").await;
        assert_eq!(request.api_key().as_deref(), expected);
        assert_eq!(request.header("authorization"), Some(basic));
    }
}

#[tokio::test(start_paused = true)]
async fn overloaded_server_may_ask_for_a_longer_pause() {
    for (status, header, least) in [
        (503, "Retry-After: 20", 20),
        (429, "Retry-After: 45", 45),
        (429, "Retry-After: 100000", 60),
        (503, "Retry-After: never", 0),
        (401, "Retry-After: 20", 0),
    ] {
        let (mut server, _listener, _calls) = listening(&options());
        let mut peer = server.accept().await;
        peer.request().await;
        let answer = format!("HTTP/1.1 {status} No\r\n{header}\r\nContent-Length: 0\r\n\r\n");
        peer.0.write_all(answer.as_bytes()).await.unwrap();
        drop(peer);
        let start = tokio::time::Instant::now();
        server.accept().await;
        let waited = start.elapsed();
        let longest = Duration::from_secs(least) + Duration::from_millis(2_002);
        assert!(waited >= Duration::from_secs(least), "{header}: {waited:?}");
        assert!(waited <= longest, "{header}: {waited:?}");
    }
}

#[test]
fn start_without_a_runtime_is_an_error() {
    let (_server, connect) = MemoryServer::start();
    let (sink, _calls) = sink();
    let error = ChangeListener::start(&options(), connect, sink).unwrap_err();
    assert!(matches!(error, ListenerError::NoRuntime(_)));
    assert!(error.to_string().contains("runtime"));
}

#[tokio::test]
async fn key_too_long_for_a_url_is_refused() {
    let (_server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let options = options().api_key(ApiKey::new("k".repeat(70_000)).unwrap());
    let error = ChangeListener::start(&options, connect, sink).unwrap_err();
    assert_eq!(error, ListenerError::KeyTooLong);
    assert_eq!(calls.so_far(), []);
}

#[tokio::test]
async fn state_is_down_at_first() {
    let (_server, listener, _calls) = listening(&options());
    assert_eq!(listener.monitor().stats().state, StreamState::Down);
    assert!(listener.monitor().stats().last_error.is_none());
}
