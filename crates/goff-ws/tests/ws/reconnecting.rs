//! Outages: the pauses between attempts, and the calls after reconnecting.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect};
use goff_ws::ChangeListener;
use tokio::time::Instant;

use crate::fixture::{self, ALL, Calls, DOWN, MemoryServer, OPEN, TcpServer, options};

fn listen(connect: Arc<dyn Connect>, longest: Duration) -> (ChangeListener, Calls) {
    fixture::listen(&options().reconnect_interval(longest), connect)
}

/// docs/python-parity.md A43; docs/relay-protocol.md 23, scenario 11.
#[tokio::test]
async fn every_connection_invalidates_everything() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(server.connector(), Duration::from_millis(20));
    for reconnects in 0..4 {
        let socket = server.accept().await.open().await;
        calls.expect(&[ALL, OPEN]).await;
        assert_eq!(listener.monitor().stats().reconnects, reconnects);
        // The relay proxy closes connections without a close frame.
        drop(socket);
        calls.expect(&[DOWN]).await;
    }
}

/// Counts the attempts and refuses all of them.
struct Refusing(AtomicUsize);

impl fmt::Debug for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusing")
    }
}

#[async_trait]
impl Connect for Refusing {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// docs/python-parity.md C12.
#[tokio::test(start_paused = true)]
async fn attempts_become_rare_but_never_stop() {
    let connect = Arc::new(Refusing(AtomicUsize::new(0)));
    let (listener, mut calls) = listen(Arc::<Refusing>::clone(&connect), Duration::from_secs(60));
    let attempts = || connect.0.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = attempts();
    assert!((3..40).contains(&early), "{early} in the first second");
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    let day = attempts();
    // A pause takes 30 s on average.
    assert!((2_400..3_400).contains(&day), "{day} in a day");
    assert_eq!(calls.so_far(), []);
    let error = listener.monitor().stats().last_error.unwrap();
    assert!(error.to_string().starts_with("cannot connect"), "{error}");
}

/// A server that accepts every connection and closes it at once.
#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_server_closes_every_connection() {
    let (mut server, connect) = MemoryServer::start();
    let (_listener, mut calls) = listen(connect, Duration::from_secs(60));
    let start = Instant::now();
    for _ in 0..40 {
        drop(server.accept().await.open().await);
    }
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(5 * 60), "{waited:?}");
    calls.expect(&[ALL, OPEN, DOWN, ALL, OPEN, DOWN]).await;
}

#[tokio::test(start_paused = true)]
async fn pause_is_short_again_after_a_stable_minute() {
    let (mut server, connect) = MemoryServer::start();
    let (_listener, _calls) = listen(connect, Duration::from_secs(60));
    for _ in 0..20 {
        drop(server.accept().await);
    }
    let mut socket = server.accept().await.open().await;
    for _ in 0..61 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        socket.ping().await;
    }
    drop(socket);
    let start = Instant::now();
    server.accept().await;
    assert!(start.elapsed() <= Duration::from_millis(101));
}

#[tokio::test(start_paused = true)]
async fn reconnect_interval_caps_the_pauses() {
    let (mut server, connect) = MemoryServer::start();
    let (_listener, _calls) = listen(connect, Duration::from_millis(500));
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        drop(server.accept().await);
        longest = longest.max(start.elapsed());
    }
    assert!(longest <= Duration::from_millis(502), "{longest:?}");
    assert!(longest > Duration::from_millis(250), "{longest:?}");
}
