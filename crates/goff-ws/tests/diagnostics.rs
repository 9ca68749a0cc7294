//! The log lines of the listener. A separate test binary: tracing caches whether a log line is
//! enabled, so tests in other threads would interfere.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod fixture;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use goff_core::{ByteStream, Connect};
use goff_testkit::RecordingLog;
use tracing::Level;

use crate::fixture::{ALL, DOWN, MemoryServer, OPEN, flags, listen, options};

const REFUSALS: usize = 3;

/// Refuses [`REFUSALS`] connections before it opens any.
#[derive(Debug)]
struct Reluctant {
    attempts: AtomicUsize,
    then: Arc<dyn Connect>,
}

#[async_trait]
impl Connect for Reluctant {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) < REFUSALS {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.then.connect().await
    }
}

/// The log lines of two outages: one with a refused key, one with a closed connection.
async fn log(debug: bool) -> RecordingLog {
    let log = RecordingLog::of("goff_ws");
    let _guard = tracing::subscriber::set_default(log.clone());
    let (mut server, then) = MemoryServer::start();
    let attempts = AtomicUsize::new(0);
    let connect = Reluctant { attempts, then };
    let (_listener, mut calls) = listen(&options().debug(debug), Arc::new(connect));
    for status in [401, 403, 500] {
        server.accept().await.refuse(status).await;
    }
    let mut socket = server.accept().await.open().await;
    socket.text(r#"{"added":{"x":{}}}"#).await;
    calls.expect(&[ALL, OPEN, flags(&["x"])]).await;
    drop(socket);
    let _socket = server.accept().await.open().await;
    calls.expect(&[DOWN, ALL, OPEN]).await;
    // The log line follows the call.
    tokio::task::yield_now().await;
    log
}

/// docs/python-parity.md C24, and the option `debug`.
#[tokio::test(start_paused = true)]
async fn outage_logs_one_warning_and_its_end_one_line() {
    let quiet = log(false).await;
    let warnings = quiet.at(Level::WARN);
    let [refused, key, closed] = &*warnings else {
        panic!("{warnings:?}");
    };
    assert!(refused.contains("cannot connect"), "{refused}");
    assert!(key.contains("401"), "{key}");
    assert!(closed.contains("closed the connection"), "{closed}");
    let back = quiet.at(Level::INFO);
    assert_eq!(back.len(), 2, "{back:?}");
    assert!(quiet.at(Level::ERROR).is_empty());
    let rest = quiet.at(Level::DEBUG);
    let path = "/stream/v1/ws/flag/change";
    for part in [path, "pause_ms=", "403", "500", "\"x\""] {
        assert!(rest.concat().contains(part), "{part}: {rest:?}");
    }

    let loud = log(true).await;
    assert!(loud.at(Level::DEBUG).is_empty());
    assert_eq!(loud.at(Level::INFO).len(), back.len() + rest.len());
    assert_eq!(loud.at(Level::WARN).len(), warnings.len());
}

/// Panics so often before it opens a connection.
#[derive(Debug)]
struct Panicking(AtomicUsize, Arc<dyn Connect>);

#[async_trait]
impl Connect for Panicking {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) >= 3, "on purpose");
        self.1.connect().await
    }
}

/// A fault of the connector is a failed attempt: one warning, and the stream opens.
#[tokio::test(start_paused = true)]
async fn panics_are_warned_of_once() {
    let log = RecordingLog::of("goff_ws");
    let _guard = tracing::subscriber::set_default(log.clone());
    let (mut server, then) = MemoryServer::start();
    let connect = Arc::new(Panicking(AtomicUsize::new(0), then));
    let (_listener, mut calls) = listen(&options(), connect);
    let _socket = server.accept().await.open().await;
    calls.expect(&[ALL, OPEN]).await;
    let warnings = log.at(Level::WARN);
    assert!(
        warnings.len() == 1 && warnings[0].contains("error=listening panicked"),
        "{warnings:?}"
    );
}
