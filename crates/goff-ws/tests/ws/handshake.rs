//! Where the listener asks, with what, and what it does about the answer.

use std::time::Duration;

use goff_core::{ApiKey, StreamState};
use goff_ws::{ChangeListener, ListenerOptions, StartError};
use http::header::{HeaderName, HeaderValue};
use tokio::io::AsyncWriteExt as _;

use crate::server::{MemoryServer, TcpServer};
use crate::sink::{ALL, DOWN, OPEN, sink};

const CURRENT: &str = "/stream/v1/ws/flag/change";
const LEGACY: &str = "/ws/v1/flag/change";

fn options(endpoint: &str) -> ListenerOptions {
    ListenerOptions::new(endpoint.parse().unwrap())
}

/// Python A45 and part C, C14; relay-protocol 23, scenarios 8 and 14. The bearer token is for
/// gateways.
#[tokio::test]
async fn prefix_is_kept_and_the_key_arrives_as_it_is() {
    for key in ["+ & # space é =", "a;b%2Bc", "http://x?y", "plain"] {
        let server = TcpServer::start().await;
        let (sink, _calls) = sink();
        let endpoint = server.endpoint("/http/ff/");
        let host = format!("{}:{}", endpoint.host(), endpoint.port());
        let options = ListenerOptions::new(endpoint).api_key(ApiKey::new(key).unwrap());
        let _listener = ChangeListener::start(&options, server.connector(), sink).unwrap();
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

/// Python part C, C8.
/// GOFF-AUTH-003: nor a header.
#[tokio::test]
async fn without_a_key_there_is_no_query() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, _calls) = sink();
    let options = options("unix:///run/relay.sock").api_key(None).headers([(
        HeaderName::from_static("x-gateway"),
        HeaderValue::from_static("open sesame"),
    )]);
    let _listener = ChangeListener::start(&options, connect, sink).unwrap();
    let (request, _socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), CURRENT);
    assert_eq!(request.header("host"), Some("localhost"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("x-gateway"), Some("open sesame"));
}

/// relay-protocol 23, scenario 11: relay proxies before 1.53.0 have the old address only.
#[tokio::test(start_paused = true)]
async fn old_address_is_tried_on_404_and_remembered_while_it_works() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let options = options("http://relay");
    let listener = ChangeListener::start(&options, connect, sink).unwrap();

    assert_eq!(server.accept().await.refuse(404).await.target(), CURRENT);
    let start = tokio::time::Instant::now();
    let (request, mut socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), LEGACY);
    assert_eq!(start.elapsed(), Duration::ZERO, "without a pause");
    socket.ping().await;
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(listener.stats().last_error, None, "no attempt failed");

    drop(socket);
    calls.expect(&[DOWN]).await;
    let mut peer = server.accept().await;
    assert_eq!(peer.request().await.target(), LEGACY);
    // The server is down, and may be a newer one when it is back.
    drop(peer);
    assert_eq!(server.accept().await.refuse(404).await.target(), CURRENT);
    assert_eq!(server.accept().await.refuse(404).await.target(), LEGACY);
    let (request, mut socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), CURRENT);
    socket.ping().await;
    calls.expect(&[ALL, OPEN]).await;
    let error = listener.stats().last_error.unwrap();
    assert!(error.contains("404 at both addresses"), "{error}");
}

/// An address that is gone after an upgrade of the relay proxy.
#[tokio::test(start_paused = true)]
async fn current_address_is_found_when_the_old_one_is_gone() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let _listener = ChangeListener::start(&options("http://relay"), connect, sink).unwrap();
    server.accept().await.refuse(404).await;
    drop(server.accept().await.open().await);
    calls.expect(&[ALL, OPEN, DOWN]).await;
    assert_eq!(server.accept().await.refuse(404).await.target(), LEGACY);
    let (request, _socket) = server.accept().await.upgrade_with(b"").await;
    assert_eq!(request.target(), CURRENT);
}

/// Keys are changed at run time, so no answer is the last word.
#[tokio::test(start_paused = true)]
async fn refusals_are_retried_with_pauses_until_they_end() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let listener = ChangeListener::start(&options("http://relay"), connect, sink).unwrap();
    for status in [401, 403, 400, 200, 302, 429, 500, 503] {
        assert_eq!(server.accept().await.refuse(status).await.target(), CURRENT);
        // The next attempt shows that this one is over.
        let mut peer = server.accept().await;
        peer.request().await;
        let error = listener.stats().last_error.unwrap();
        assert!(error.contains(&status.to_string()), "{error}");
    }
    assert_eq!(calls.so_far(), [], "it was never open");
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    assert_eq!(listener.stats().reconnects, 0);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_no_handshake_are_retried() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let listener = ChangeListener::start(&options("http://relay"), connect, sink).unwrap();
    for (answer, part) in [
        ("", "handshake failed"),
        ("HTTP/1.1 101 Switching", "handshake failed"),
        ("garbage\r\n\r\n", "handshake failed"),
        ("\x16\x03\x01\x02\x00", "handshake failed"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "does not prove",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "another protocol",
        ),
    ] {
        let mut peer = server.accept().await;
        peer.request().await;
        peer.0.write_all(answer.as_bytes()).await.unwrap();
        drop(peer);
        let mut next = server.accept().await;
        next.request().await;
        let error = listener.stats().last_error.unwrap();
        assert!(error.contains(part), "`{answer}`: {error}");
    }
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
}

#[tokio::test(start_paused = true)]
async fn server_that_never_answers_is_given_up_after_the_timeout() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let options = options("http://relay").timeout(Duration::from_secs(3));
    let listener = ChangeListener::start(&options, connect, sink).unwrap();
    let start = tokio::time::Instant::now();
    let mut silent = server.accept().await;
    silent.request().await;
    let _socket = server.accept().await.open().await;
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited <= Duration::from_millis(3_150));
    calls.expect(&[ALL, OPEN]).await;
    let error = listener.stats().last_error.unwrap();
    assert_eq!(error.as_ref(), "no connection within 3s");
}

/// The clock of an attempt goes on over the second address.
#[tokio::test(start_paused = true)]
async fn both_addresses_share_one_timeout() {
    let (mut server, connect) = MemoryServer::start();
    let (sink, _calls) = sink();
    let options = options("http://relay").timeout(Duration::from_secs(3));
    let _listener = ChangeListener::start(&options, connect, sink).unwrap();
    let start = tokio::time::Instant::now();
    let peer = server.accept().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    peer.refuse(404).await;
    let _silent = server.accept().await;
    server.accept().await;
    assert!(start.elapsed() <= Duration::from_millis(3_150));
}

#[test]
fn start_says_what_is_missing() {
    let (_server, connect) = MemoryServer::start();
    let (sink, _calls) = sink();
    let error = ChangeListener::start(&options("http://relay"), connect, sink).unwrap_err();
    assert!(matches!(error, StartError::NoRuntime(_)));
    assert!(error.to_string().contains("runtime"));
}

#[tokio::test]
async fn key_that_fits_into_no_url_is_refused() {
    let (_server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let options = options("http://relay").api_key(ApiKey::new("k".repeat(70_000)).unwrap());
    let error = ChangeListener::start(&options, connect, sink).unwrap_err();
    assert_eq!(error, StartError::KeyTooLong);
    assert_eq!(calls.so_far(), []);
}

#[tokio::test]
async fn state_is_down_before_anything_happened() {
    let (_server, connect) = MemoryServer::start();
    let (sink, _calls) = sink();
    let listener = ChangeListener::start(&options("http://relay"), connect, sink).unwrap();
    assert_eq!(listener.stats().state, StreamState::Down);
    assert_eq!(listener.stats().last_error, None);
}
