//! Outages: the pauses between attempts, and the calls after reconnecting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Invalidation, InvalidationSink, StreamState};
use goff_ws::{ChangeListener, ListenerOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::fixture::{
    ALL, DOWN, FIN, MemoryServer, OPEN, PING, TcpServer, flags, frame, last_error, listen,
    listening, options, sink,
};

fn pausing(longest: Duration) -> ListenerOptions {
    options().reconnect_interval(longest)
}

/// docs/python-parity.md A43; docs/relay-protocol.md 23, scenario 11.
#[tokio::test]
async fn every_connection_invalidates_everything() {
    let server = TcpServer::start().await;
    let (listener, mut calls) = listen(&pausing(Duration::from_millis(20)), server.connector());
    for reconnects in 0..4 {
        let socket = calls.open(server.accept().await).await;
        assert_eq!(listener.monitor().stats().reconnects, reconnects);
        // The relay proxy closes connections without a close frame.
        drop(socket);
        calls.expect(&[DOWN]).await;
    }
}

/// Counts the attempts and refuses all of them.
#[derive(Debug)]
struct Refusing(AtomicUsize);

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
    let (listener, mut calls) = listen(
        &pausing(Duration::from_secs(60)),
        Arc::<Refusing>::clone(&connect),
    );
    let attempts = || connect.0.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = attempts();
    assert!((3..40).contains(&early), "{early} in the first second");
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    let day = attempts();
    // A pause takes 30 s on average.
    assert!((2_400..3_400).contains(&day), "{day} in a day");
    assert_eq!(calls.so_far(), []);
    let error = last_error(&listener);
    assert!(error.starts_with("cannot connect"), "{error}");
}

/// A server that accepts every connection and closes it at once.
#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_server_closes_every_connection() {
    let (mut server, _listener, mut calls) = listening(&pausing(Duration::from_secs(60)));
    let start = Instant::now();
    for _ in 0..40 {
        drop(server.accept().await.open().await);
    }
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(5 * 60), "{waited:?}");
    calls.expect(&[ALL, OPEN, DOWN, ALL, OPEN, DOWN]).await;
}

/// A stream of any length that was open is reopened soon, whatever the pauses before it.
#[tokio::test(start_paused = true)]
async fn pause_after_an_open_stream_is_short() {
    let (mut server, _listener, _calls) = listening(&pausing(Duration::from_secs(60)));
    for _ in 0..20 {
        drop(server.accept().await);
    }
    for seconds in [61, 2, 30, 30, 30, 5, 9] {
        let mut socket = server.accept().await.open().await;
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if socket.0.write_all(&frame(FIN | PING, b"")).await.is_err() {
                panic!("the listener closed it after a part of {seconds} s");
            }
        }
        drop(socket);
        let start = Instant::now();
        let mut next = server.accept().await;
        assert!(start.elapsed() <= Duration::from_millis(1_002), "{seconds}");
        next.request().await;
        drop(next);
        for _ in 0..3 {
            drop(server.accept().await);
        }
    }
}

/// A relay proxy that is restarted: its clients come back one after another, whether it accepts
/// connections at once or refuses the first.
#[tokio::test(start_paused = true)]
async fn clients_of_a_restarted_server_come_back_spread_over_a_second() {
    for refusals in 0..3 {
        let mut clients = Vec::new();
        for _ in 0..100 {
            let (mut server, listener, mut calls) = listening(&pausing(Duration::from_secs(60)));
            let socket = calls.open(server.accept().await).await;
            clients.push((server, listener, socket));
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let restarted = Instant::now();
        let mut returning = tokio::task::JoinSet::new();
        for (mut server, listener, socket) in clients {
            drop(socket);
            returning.spawn(async move {
                for _ in 0..refusals {
                    drop(server.accept().await);
                }
                server.accept().await;
                drop(listener);
                restarted.elapsed().as_millis()
            });
        }
        let mut times = returning.join_all().await;
        times.sort_unstable();
        let (first, median, last) = (times[10], times[50], times[99]);
        assert!(
            last - first > 500 && median > 200,
            "{first} {median} {last}"
        );
        assert!(last < [1_010, 3_010, 5_010][refusals], "{last}");
    }
}

/// However unlucky their pauses were, all are back within 2 s, or half of the time of the outage.
#[tokio::test(start_paused = true)]
async fn clients_are_back_within_half_of_the_outage() {
    for (down, back) in [(1, 2), (4, 2), (10, 5), (60, 30)] {
        let mut returning = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (mut server, listener, mut calls) = listening(&pausing(Duration::from_secs(60)));
            let socket = calls.open(server.accept().await).await;
            returning.spawn(async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(socket);
                let up = Instant::now() + Duration::from_secs(down);
                while Instant::now() < up {
                    if let Ok(attempt) = tokio::time::timeout_at(up, server.accept()).await {
                        drop(attempt);
                    }
                }
                server.accept().await;
                drop(listener);
                up.elapsed()
            });
        }
        let last = returning.join_all().await.into_iter().max();
        assert!(
            last < Some(Duration::from_secs(back) + Duration::from_millis(10)),
            "{last:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn reconnect_interval_caps_the_pauses() {
    let (mut server, _listener, _calls) = listening(&pausing(Duration::from_millis(500)));
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        drop(server.accept().await);
        longest = longest.max(start.elapsed());
    }
    assert!(longest <= Duration::from_millis(502), "{longest:?}");
    assert!(longest > Duration::from_millis(250), "{longest:?}");
}

/// Passes calls on, then panics at some.
#[derive(Debug)]
struct PanickingSink(Arc<dyn InvalidationSink>);

impl InvalidationSink for PanickingSink {
    fn invalidate(&self, invalidation: Invalidation) {
        let is_named = matches!(&invalidation, Invalidation::Flags(_));
        self.0.invalidate(invalidation);
        assert!(!is_named, "on purpose");
    }

    fn stream_state(&self, state: StreamState) {
        self.0.stream_state(state);
        assert!(state == StreamState::Open, "on purpose");
    }
}

/// A fault of the sink costs the stream, not the listener: at a message, and also when it is told that
/// the stream is down.
#[tokio::test(start_paused = true)]
async fn listening_goes_on_after_a_panic_of_the_sink() {
    let (mut server, connect) = MemoryServer::start();
    let (inner, mut calls) = sink();
    let sink = Arc::new(PanickingSink(inner));
    let listener = ChangeListener::start(&options(), connect, sink).unwrap();
    for reconnects in 0..3 {
        let mut socket = calls.open(server.accept().await).await;
        let stats = listener.monitor().stats();
        assert_eq!(
            (stats.state, stats.reconnects),
            (StreamState::Open, reconnects)
        );
        socket.text(r#"{"added":{"x":{}}}"#).await;
        calls.expect(&[flags(&["x"]), DOWN]).await;
        socket.closed_by_client().await;
        assert_eq!(listener.monitor().stats().state, StreamState::Down);
        assert_eq!(last_error(&listener), "listening panicked");
    }
    // When a stream is lost otherwise.
    drop(calls.open(server.accept().await).await);
    calls.expect(&[DOWN]).await;
    calls.open(server.accept().await).await;
}
