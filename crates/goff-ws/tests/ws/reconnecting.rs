//! Outages: how often the listener tries, and what it says when it is back.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect};
use goff_ws::{ChangeListener, ListenerOptions};
use tokio::time::Instant;

use crate::server::{MemoryServer, TcpServer};
use crate::sink::{ALL, Calls, DOWN, OPEN, sink};

fn listen(connect: Arc<dyn Connect>, longest: Duration) -> (ChangeListener, Calls) {
    let (sink, calls) = sink();
    let options = ListenerOptions::new("http://relay".parse().unwrap()).reconnect_interval(longest);
    (
        ChangeListener::start(&options, connect, sink).unwrap(),
        calls,
    )
}

/// Python A43; relay-protocol 23, scenario 11.
#[tokio::test]
async fn every_connection_invalidates_everything() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(server.connector(), Duration::from_millis(20));
    for reconnects in 0..4 {
        let socket = server.accept().await.open().await;
        calls.expect(&[ALL, OPEN]).await;
        assert_eq!(listener.stats().reconnects, reconnects);
        // The relay proxy ends without a close frame.
        drop(socket);
        calls.expect(&[DOWN]).await;
    }
}

/// Counts the attempts, and refuses them all.
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

/// Python part C, C12.
#[tokio::test(start_paused = true)]
async fn attempts_become_rare_but_never_end() {
    let connect = Arc::new(Refusing(AtomicUsize::new(0)));
    let (listener, mut calls) = listen(Arc::<Refusing>::clone(&connect), Duration::from_secs(60));
    let attempts = || connect.0.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = attempts();
    assert!((3..40).contains(&early), "{early} in the first second");
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    let day = attempts();
    // One pause is 30 s on average.
    assert!((2_400..3_400).contains(&day), "{day} in a day");
    assert_eq!(calls.so_far(), []);
    let error = listener.stats().last_error.unwrap();
    assert!(error.starts_with("cannot connect"), "{error}");
}

/// A server that lets everybody in and at once out again is an outage too.
#[tokio::test(start_paused = true)]
async fn server_that_closes_every_connection_is_backed_off() {
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
async fn stable_minute_makes_the_next_reconnect_quick_again() {
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
