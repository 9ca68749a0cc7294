//! The API key, and with it the stream's URL, is in no log line of any crate, no error and no
//! `Debug` text. It has a process of its own, since it listens to everything.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "ws/server.rs"]
mod server;
#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "ws/sink.rs"]
mod sink;

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goff_core::{ApiKey, Connect};
use goff_ws::{ChangeListener, ListenerOptions};
use http::header::{HeaderName, HeaderValue};
use tokio::io::AsyncWriteExt as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::server::{CONTINUATION, FIN, MemoryServer, TEXT, TcpServer};
use crate::sink::{ALL, DOWN, OPEN, flags, sink};

const KEY: &str = "k3y of+team&a é";
const ESCAPED: &str = "k3y%20of%2Bteam%26a%20%C3%A9";
const HEADER: &str = "header-s3cret";

/// Everything that anybody said.
static SAID: Mutex<String> = Mutex::new(String::new());

fn said(text: std::fmt::Arguments<'_>) {
    let mut said = SAID.lock().unwrap();
    said.write_fmt(text).unwrap();
    said.push('\n');
}

struct Everything;

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        said(format_args!("{}", span.metadata().name()));
        span.record(&mut Fields);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields);
    }

    fn event(&self, event: &Event<'_>) {
        said(format_args!("{}", event.metadata().target()));
        event.record(&mut Fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        said(format_args!("{}={value:?}", field.name()));
    }
}

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        said(format_args!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn options(endpoint: &str) -> ListenerOptions {
    ListenerOptions::new(endpoint.parse().unwrap())
        .api_key(ApiKey::new(KEY).unwrap())
        .headers([(
            HeaderName::from_static("x-tenant-token"),
            HeaderValue::from_static(HEADER),
        )])
        .reconnect_interval(Duration::from_millis(20))
}

/// Follows a server that answers every handshake but the last with one of `answers`, and notes
/// what can be seen of the listener after each.
async fn through(answers: &[String]) {
    let (mut server, connect) = MemoryServer::start();
    let (sink, mut calls) = sink();
    let options = options("http://relay/prefix").timeout(Duration::from_secs(1));
    said(format_args!("{options:?} {options:#?}"));
    let listener = ChangeListener::start(&options, connect, sink).unwrap();
    for answer in answers {
        let mut peer = server.accept().await;
        let request = peer.request().await;
        assert_eq!(request.api_key().as_deref(), Some(KEY));
        assert_eq!(request.header("x-tenant-token"), Some(HEADER));
        peer.0.write_all(answer.as_bytes()).await.unwrap();
        drop(peer);
        said(format_args!(
            "{listener:?} {listener:#?} {:?}",
            listener.stats()
        ));
    }
    // One that never answers.
    let silent = server.accept().await;
    let mut socket = server.accept().await.open().await;
    drop(silent);
    socket.text(r#"{"added":{"x":{}}}"#).await;
    socket.send(TEXT, b"gar").await;
    socket.send(FIN | CONTINUATION, b"bage").await;
    calls.expect(&[ALL, OPEN, flags(&["x"]), ALL]).await;
    said(format_args!("{listener:?} {:?}", listener.monitor()));
    socket.send_raw(&[0xff, 0]).await;
    calls.expect(&[ALL, DOWN]).await;
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    said(format_args!("{:?}", listener.stats()));
    listener.shutdown(Duration::from_secs(60)).await;
}

async fn over_tcp(connect: Arc<dyn Connect>, endpoint: &str, server: Option<&TcpServer>) {
    let (sink, mut calls) = sink();
    let listener = ChangeListener::start(&options(endpoint), connect, sink).unwrap();
    if let Some(server) = server {
        let _socket = server.accept().await.open().await;
        calls.expect(&[ALL, OPEN]).await;
    } else {
        while listener.stats().last_error.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    said(format_args!("{:?} {listener:?}", listener.stats()));
    drop(listener);
}

/// The secret test of the stream; Python part C, C24; relay-protocol 3.
#[tokio::test]
async fn key_and_url_are_shown_nowhere() {
    tracing::subscriber::set_global_default(Everything).unwrap();
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    // Gateways that quote what they were sent.
    let url = format!("/prefix/stream/v1/ws/flag/change?apiKey={ESCAPED}");
    let quoting = |status: &str, more: &str| {
        let body = format!(r#"{{"message":"{url} {KEY} {HEADER}"}}"#);
        format!(
            "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    through(&[
        quoting("401 Unauthorized", ""),
        quoting("403 Forbidden", "X-Key: leaked\r\n"),
        // At both addresses.
        quoting("404 Not Found", ""),
        quoting("404 Not Found", ""),
        quoting("302 Found", &format!("Location: https://other{url}\r\n")),
        quoting(&format!("500 {ESCAPED}"), ""),
        quoting(
            "101 Switching Protocols",
            &format!("Upgrade: {ESCAPED}\r\n"),
        ),
        format!("{url} {KEY} {HEADER}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{url} {ESCAPED}\r\n\r\n"),
        String::new(),
    ])
    .await;
    let server = TcpServer::start().await;
    let endpoint = server.endpoint("/prefix").to_string();
    over_tcp(server.connector(), &endpoint, Some(&server)).await;
    let nobody = server.connector();
    drop(server);
    over_tcp(nobody, &endpoint, None).await;
    let too_long = options("http://relay").api_key(ApiKey::new(KEY.repeat(9_000)).unwrap());
    let (_server, connect) = MemoryServer::start();
    let error = ChangeListener::start(&too_long, connect, sink().0).unwrap_err();
    said(format_args!("{error} {error:?} {too_long:?}"));

    let said = SAID.lock().unwrap();
    for crate_that_speaks in [
        "goff_ws::listener",
        "tungstenite::protocol",
        "x-tenant-token",
    ] {
        assert!(said.contains(crate_that_speaks), "{crate_that_speaks}");
    }
    for secret in [
        KEY,
        ESCAPED,
        &*ESCAPED.to_lowercase(),
        "apiKey",
        "k3y",
        HEADER,
    ] {
        if let Some((before, _)) = said.split_once(secret) {
            let context: Vec<_> = before.lines().rev().take(3).collect();
            panic!("`{secret}` was shown, behind {context:?}");
        }
    }
}
