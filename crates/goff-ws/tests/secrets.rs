//! No log line of any crate, no error and no `Debug` text contains the API key or the URL of the
//! stream. A separate test binary, because it installs global loggers.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod fixture;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goff_core::{ApiKey, Connect};
use goff_testkit::RecordingLog;
use goff_ws::{ChangeListener, ListenerOptions};
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{
    ALL, CONTINUATION, DOWN, FIN, MemoryServer, OPEN, TEXT, TcpServer, flags, listen, sink,
};

const KEY: &str = "k3y of+team&a é";
const ESCAPED: &str = "k3y%20of%2Bteam%26a%20%C3%A9";
const HEADER: &str = "header-s3cret";

/// All texts: log lines, errors and `Debug` texts.
static TEXTS: Mutex<String> = Mutex::new(String::new());

fn add(text: std::fmt::Arguments<'_>) {
    let mut texts = TEXTS.lock().unwrap();
    texts.write_fmt(text).unwrap();
    texts.push('\n');
}

struct Everything;

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        add(format_args!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn options(endpoint: &str) -> ListenerOptions {
    ListenerOptions::new(endpoint.parse().unwrap())
        .api_key(ApiKey::new(KEY).unwrap())
        .custom_header("x-tenant-token", HEADER)
        .reconnect_interval(Duration::from_millis(20))
}

/// Connects to a server that answers the handshakes with `answers`, one after another, and adds the
/// texts of the listener after each.
async fn over_memory(answers: &[String]) {
    let (mut server, connect) = MemoryServer::start();
    let options = options("http://relay/prefix").timeout(Duration::from_secs(1));
    add(format_args!("{options:?} {options:#?}"));
    let (listener, mut calls) = listen(&options, connect);
    for answer in answers {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        assert_eq!(request.api_key().as_deref(), Some(KEY));
        assert_eq!(request.header("x-tenant-token"), Some(HEADER));
        peer.0.write_all(answer.as_bytes()).await.unwrap();
        drop(peer);
        let stats = listener.monitor().stats();
        add(format_args!("{listener:?} {listener:#?} {stats:?}"));
    }
    // A server that never answers.
    let silent = server.accept().await;
    let mut socket = server.accept().await.open().await;
    drop(silent);
    socket.text(r#"{"added":{"x":{}}}"#).await;
    socket.send(TEXT, b"gar").await;
    socket.send(FIN | CONTINUATION, b"bage").await;
    calls.expect(&[ALL, OPEN, flags(&["x"]), ALL]).await;
    add(format_args!("{listener:?} {:?}", listener.monitor()));
    socket.send_raw(&[0xff, 0]).await;
    calls.expect(&[ALL, DOWN]).await;
    let _socket = calls.open(server.accept().await).await;
    add(format_args!("{:?}", listener.monitor().stats()));
    listener.shutdown(Duration::from_secs(60)).await;
}

async fn over_tcp(connect: Arc<dyn Connect>, endpoint: &str, server: Option<&TcpServer>) {
    let (listener, mut calls) = listen(&options(endpoint), connect);
    if let Some(server) = server {
        let _socket = calls.open(server.accept().await).await;
    } else {
        while listener.monitor().stats().last_error.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let stats = listener.monitor().stats();
    add(format_args!("{stats:?} {listener:?}"));
    drop(listener);
}

/// docs/python-parity.md C24; docs/relay-protocol.md 3.
#[tokio::test]
async fn key_and_url_appear_nowhere() {
    let tracing = RecordingLog::default();
    tracing::subscriber::set_global_default(tracing.clone()).unwrap();
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    // Gateways quote the request.
    let url = format!("/prefix/stream/v1/ws/flag/change?apiKey={ESCAPED}");
    let quoting = |status: &str, more: &str| {
        let body = format!(r#"{{"message":"{url} {KEY} {HEADER}"}}"#);
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}")
    };
    let upgrade = format!("Upgrade: {ESCAPED}\r\n");
    over_memory(&[
        quoting("401 Unauthorized", ""),
        quoting("403 Forbidden", "X-Key: leaked\r\n"),
        // At both addresses.
        quoting("404 Not Found", ""),
        quoting("404 Not Found", ""),
        quoting("302 Found", &format!("Location: https://other{url}\r\n")),
        quoting(&format!("500 {ESCAPED}"), ""),
        quoting("101 Switching Protocols", &upgrade),
        format!("{url} {KEY} {HEADER}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{url} {ESCAPED}\r\n\r\n"),
        String::new(),
    ])
    .await;
    let server = TcpServer::start().await;
    let endpoint = server.endpoint("/prefix").to_string();
    over_tcp(server.connector(), &endpoint, Some(&server)).await;
    let refused = server.connector();
    drop(server);
    over_tcp(refused, &endpoint, None).await;
    let too_long = options("http://relay").api_key(ApiKey::new(KEY.repeat(9_000)).unwrap());
    let (_server, connect) = MemoryServer::start();
    let error = ChangeListener::start(&too_long, connect, sink().0).unwrap_err();
    add(format_args!("{error} {error:?} {too_long:?}"));

    for (_, line) in tracing.lines() {
        add(format_args!("{line}"));
    }
    let texts = TEXTS.lock().unwrap();
    for source in [
        "change stream",
        "tungstenite::protocol",
        "custom_headers: 1",
    ] {
        assert!(texts.contains(source), "{source}");
    }
    let lower = ESCAPED.to_lowercase();
    for secret in [KEY, ESCAPED, &lower, "apiKey", "k3y", HEADER] {
        if let Some((before, _)) = texts.split_once(secret) {
            let context: Vec<_> = before.lines().rev().take(3).collect();
            panic!("`{secret}` appears after {context:?}");
        }
    }
}
