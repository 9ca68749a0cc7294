//! What bounds connections and requests: their number, their age, the time to open them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, EventBatch, ExporterMetadata, RelayClient, RelayError};
use goff_http::{Connector, HttpRelayClient, TlsOptions, TransportStats};
use goff_testkit::{Answer, FaultyServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::fixture::*;

const SHORT: Duration = Duration::from_millis(500);

fn is_idle(stats: TransportStats) -> bool {
    stats.requests_in_flight == 0
}

/// Sends requests of all kinds at the same time to a server that never answers. Returns how many
/// were sent, and how many were not.
async fn time_out(client: &HttpRelayClient, requests: usize, limit: usize) -> (usize, usize) {
    let mut tasks = JoinSet::new();
    for number in 0..requests {
        let client = client.clone();
        tasks.spawn(async move {
            match number % 3 {
                0 => evaluate(&client).await.unwrap_err(),
                1 => client.flag_configuration(&[], None).await.unwrap_err(),
                _ => {
                    let batch = EventBatch::new(ExporterMetadata::default(), Vec::new());
                    client.collect(&batch).await.unwrap_err()
                }
            }
        });
    }
    let (mut sent, mut unsent) = (0, 0);
    while let Some(error) = tasks.join_next().await {
        // As many connections may be opened as are in use, and those that were just given up are not
        // closed before their tasks run.
        let stats = client.transport_stats();
        assert!(
            stats.requests_in_flight <= limit && stats.open_connections <= 3 * limit,
            "{stats:?}"
        );
        match error.unwrap() {
            RelayError::Timeout { sent: true, .. } => sent += 1,
            RelayError::Timeout { sent: false, .. } => unsent += 1,
            other => panic!("{other:?}"),
        }
    }
    (sent, unsent)
}

#[tokio::test]
async fn requests_in_flight_are_bounded() {
    for (limit, requests) in [(Some(1), 20), (Some(8), 100), (None, 700)] {
        let server = server([]).await;
        let mut options = options(&server.url()).timeout(2 * SHORT);
        if let Some(limit) = limit {
            options = options.max_requests_in_flight(limit);
        }
        let limit = limit.unwrap_or(256);
        let client = client(options);
        let began = Instant::now();
        let (sent, unsent) = time_out(&client, requests, limit).await;
        assert!(began.elapsed() < Duration::from_secs(10));
        // Those that waited may be sent just before their timeout, one after the other.
        assert!(sent >= 1 && unsent >= requests / 4, "{sent} {unsent}");
        // What was opened too late for its request is idle. Attempts have the same limit as requests.
        until(&client, |stats| {
            is_idle(stats) && stats.open_connections <= 2 * limit
        })
        .await;
    }
}

#[tokio::test]
async fn waiting_requests_are_sent_when_others_end() {
    let server = server([Answer::new(200, STATIC).held()]).await;
    let client = client(options(&server.url()).max_requests_in_flight(4));
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        tasks.spawn(async move { evaluate(&client).await });
    }
    until(&client, |stats| stats.requests_in_flight == 4).await;
    for _ in 0..50 {
        server.release();
    }
    for outcome in tasks.join_all().await {
        outcome.unwrap();
    }
    assert!(server.connections() <= 4);
    assert!(is_idle(client.transport_stats()));
}

/// An application that gives up long before the timeout leaves nothing behind.
#[tokio::test]
async fn requests_that_are_given_up_close_their_connections() {
    let server = server([]).await;
    let client = client(options(&server.url()).timeout(Duration::from_secs(60)));
    for _ in 0..5 {
        let mut tasks = JoinSet::new();
        for _ in 0..100 {
            let client = client.clone();
            tasks.spawn(async move {
                let limit = Duration::from_millis(50);
                tokio::time::timeout(limit, evaluate(&client))
                    .await
                    .unwrap_err()
            });
        }
        tasks.join_all().await;
        assert!(is_idle(client.transport_stats()));
        until(&client, |stats| stats.open_connections == 0).await;
    }
}

/// Connects once; later attempts hang.
#[derive(Debug)]
struct OnlyOnce {
    inner: Connector,
    attempts: AtomicUsize,
    hanging: Arc<AtomicUsize>,
}

struct Hanging(Arc<AtomicUsize>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Connect for OnlyOnce {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        if self.attempts.fetch_add(1, Ordering::SeqCst) == 0 {
            return self.inner.connect().await;
        }
        self.hanging.fetch_add(1, Ordering::SeqCst);
        let _hanging = Hanging(Arc::clone(&self.hanging));
        std::future::pending().await
    }
}

/// A gateway answers the handshake of one connection only. The requests share that one, and the
/// attempts to open others end after the timeout, and with the client.
#[tokio::test]
async fn hanging_attempts_to_connect_are_few_and_end() {
    let server = server([Answer::new(200, STATIC)]).await;
    let hanging = Arc::new(AtomicUsize::new(0));
    let connector = |hanging: &Arc<AtomicUsize>| OnlyOnce {
        inner: Connector::new(&server.url().parse().unwrap(), &TlsOptions::new()).unwrap(),
        attempts: AtomicUsize::new(0),
        hanging: Arc::clone(hanging),
    };
    let short = options(&server.url()).timeout(2 * SHORT);
    let client = client(short.connector(Arc::new(connector(&hanging))));
    evaluate(&client).await.unwrap();
    for burst in [2, 3, 20] {
        for _ in 0..100 {
            let requests: Vec<_> = (0..burst).map(|_| evaluate(&client)).collect();
            for outcome in futures_join(requests).await {
                outcome.unwrap();
            }
            // One for each request of a burst, and one a second besides.
            assert!(hanging.load(Ordering::SeqCst) <= burst + 2);
        }
    }
    assert_eq!(server.connections(), 1);
    let began = Instant::now();
    while hanging.load(Ordering::SeqCst) > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "an attempt is still hanging"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // With the client they end at once, whatever the timeout.
    let long = options(&server.url()).timeout(Duration::from_secs(600));
    let client = crate::fixture::client(long.connector(Arc::new(connector(&hanging))));
    evaluate(&client).await.unwrap();
    let (one, other) = tokio::join!(evaluate(&client), evaluate(&client));
    one.and(other).unwrap();
    assert_eq!(hanging.load(Ordering::SeqCst), 1);
    drop(client);
    while hanging.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

/// The first attempt is refused once `refuse` says so, the second one is answered once, and the others
/// are refused at once.
#[derive(Debug)]
struct SecondFirst {
    attempts: AtomicUsize,
    refuse: Arc<Semaphore>,
}

#[async_trait]
impl Connect for SecondFirst {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        match self.attempts.fetch_add(1, Ordering::SeqCst) {
            0 => drop(self.refuse.acquire().await),
            1 => {
                let (near, mut far) = tokio::io::duplex(4096);
                tokio::spawn(async move {
                    let length = STATIC.len();
                    let answer = format!(
                        "HTTP/1.1 200 \r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{STATIC}"
                    );
                    let _ = far.read(&mut [0; 4096]).await;
                    far.write_all(answer.as_bytes()).await
                });
                return Ok(Box::new(near));
            }
            _ => {}
        }
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// The attempt of the second request serves the first one, whose own attempt fails afterwards: the
/// second request gets an error, and does not wait for its timeout.
#[tokio::test(start_paused = true)]
async fn request_whose_attempt_served_another_is_not_forgotten() {
    let refuse = Arc::new(Semaphore::new(0));
    let connector = Arc::new(SecondFirst {
        attempts: AtomicUsize::new(0),
        refuse: Arc::clone(&refuse),
    });
    let timeout = Duration::from_secs(20);
    let options = options("http://localhost").timeout(timeout);
    let client = client(options.connector(connector.clone()));
    let (one, other) = (client.clone(), client);
    let first = tokio::spawn(async move { evaluate(&one).await });
    while connector.attempts.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn(async move { evaluate(&other).await });
    first.await.unwrap().unwrap();
    refuse.add_permits(1);
    let error = second.await.unwrap().unwrap_err();
    assert!(!matches!(error, RelayError::Timeout { .. }), "{error:?}");
    assert_eq!(connector.attempts.load(Ordering::SeqCst), 3);
}

/// Refuses each attempt at once.
#[derive(Debug)]
struct Refusing;

#[async_trait]
impl Connect for Refusing {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// Requests that begin to wait while an attempt of another ends, on another thread: they must not
/// rely on that attempt, whose error is already given away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_relies_on_an_attempt_that_has_ended() {
    let connector = Arc::new(Refusing);
    let options = options("http://localhost").timeout(Duration::from_secs(600));
    let client = client(options.connector(connector));
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let client = client.clone();
        tasks.spawn(async move {
            for _ in 0..10_000 {
                let error = evaluate(&client).await.unwrap_err();
                assert!(matches!(error, RelayError::NotConnected(_)), "{error:?}");
            }
        });
    }
    tokio::time::timeout(Duration::from_secs(120), tasks.join_all())
        .await
        .unwrap();
}

/// A relay proxy that cannot be reached, and callers that give up long before the timeout.
#[tokio::test(start_paused = true)]
async fn attempts_to_connect_are_bounded_however_many_callers_give_up() {
    for limit in [1, 8] {
        let hanging = Arc::new(AtomicUsize::new(0));
        let never = OnlyOnce {
            inner: Connector::new(&"http://localhost".parse().unwrap(), &TlsOptions::new())
                .unwrap(),
            attempts: AtomicUsize::new(1),
            hanging: Arc::clone(&hanging),
        };
        let options = options("http://localhost").timeout(Duration::from_secs(60));
        let options = options.connector(Arc::new(never));
        let client = client(options.max_requests_in_flight(limit));
        for _ in 0..30 {
            let requests: Vec<_> = (0..limit).map(|_| evaluate(&client)).collect();
            let given_up =
                tokio::time::timeout(Duration::from_millis(1_500), futures_join(requests));
            given_up.await.unwrap_err();
            assert!((1..=limit).contains(&hanging.load(Ordering::SeqCst)));
        }
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(hanging.load(Ordering::SeqCst), 0);
    }
}

async fn futures_join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outcomes = Vec::new();
    std::future::poll_fn(move |context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(outcome) => {
                outcomes.push(outcome);
                false
            }
            std::task::Poll::Pending => true,
        });
        if futures.is_empty() {
            std::task::Poll::Ready(std::mem::take(&mut outcomes))
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

/// Opens pipes to a server that answers every request, on the paused clock.
#[derive(Debug, Default)]
struct Answering(AtomicUsize);

#[async_trait]
impl Connect for Answering {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(answer(far));
        Ok(Box::new(near))
    }
}

async fn answer(mut stream: DuplexStream) {
    let length = STATIC.len();
    let answer = format!("HTTP/1.1 200 \r\ncontent-length: {length}\r\n\r\n{STATIC}");
    while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn answering() -> (goff_http::HttpRelayClientOptions, Arc<Answering>) {
    let connector = Arc::new(Answering::default());
    (
        options("http://localhost").connector(connector.clone()),
        connector,
    )
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_before_a_balancer_drops_them() {
    let short = Duration::from_secs(5);
    let (default, _) = answering();
    let (other, _) = answering();
    for (options, timeout) in [
        (default, Duration::from_secs(50)),
        (other.idle_connection_timeout(short), short),
    ] {
        let client = client(options);
        for _ in 0..5 {
            evaluate(&client).await.unwrap();
            tokio::time::sleep(timeout - Duration::from_secs(1)).await;
            assert_eq!(client.transport_stats().open_connections, 1);
        }
        evaluate(&client).await.unwrap();
        tokio::time::sleep(2 * timeout).await;
        assert_eq!(client.transport_stats().open_connections, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_replaced_at_their_maximum_age() {
    let minute = Duration::from_secs(60);
    for (age, expected) in [
        (None, 3..=3),
        (Some(Some(minute)), 10..=12),
        (Some(None), 1..=1),
    ] {
        let (mut options, connector) = answering();
        if let Some(age) = age {
            options = options.max_connection_age(age);
        }
        let client = client(options);
        for _ in 0..600 {
            evaluate(&client).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let opened = connector.0.load(Ordering::SeqCst);
        assert!(expected.contains(&opened), "{opened} for {age:?}");
        assert_eq!(client.transport_stats().open_connections, 1);
    }
}

#[tokio::test]
async fn number_of_idle_connections_is_an_option() {
    for (max_idle, kept) in [(0, 0), (3, 3), (100, 20)] {
        let server = server([Answer::new(200, STATIC).held()]).await;
        let client = client(options(&server.url()).max_idle_connections(max_idle));
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let client = client.clone();
            tasks.spawn(async move { evaluate(&client).await.unwrap() });
        }
        until(&client, |_| server.requests().len() == 20).await;
        for _ in 0..20 {
            server.release();
        }
        tasks.join_all().await;
        until(&client, |stats| stats.open_connections == kept).await;
    }
}

/// As many connections are kept as requests may be in flight, so those that wait take them over.
#[tokio::test]
async fn waiting_requests_take_over_connections() {
    let server = server([Answer::new(200, STATIC)]).await;
    let client = client(options(&server.url()).max_requests_in_flight(8));
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let client = client.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                evaluate(&client).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert!(server.connections() <= 16, "{}", server.connections());
    assert!(client.transport_stats().open_connections >= 8);
}

#[test]
fn unusable_limits_are_refused() {
    let url = "http://localhost";
    for (name, options) in [
        (
            "max_requests_in_flight",
            options(url).max_requests_in_flight(0),
        ),
        (
            "idle_connection_timeout",
            options(url).idle_connection_timeout(Duration::ZERO),
        ),
        (
            "max_connection_age",
            options(url).max_connection_age(Duration::ZERO),
        ),
    ] {
        let error = HttpRelayClient::new(options).unwrap_err();
        assert_eq!(error.option(), name);
    }
    let extreme = options(url).max_requests_in_flight(usize::MAX);
    let extreme = extreme
        .max_idle_connections(usize::MAX)
        .timeout(Duration::MAX);
    let extreme = extreme.idle_connection_timeout(Duration::MAX);
    HttpRelayClient::new(extreme.max_connection_age(Duration::MAX)).unwrap();
}

#[tokio::test]
async fn extreme_limits_do_not_panic() {
    let server: FaultyServer = server([Answer::new(200, STATIC)]).await;
    let extreme = options(&server.url()).timeout(Duration::MAX);
    let extreme = extreme.max_requests_in_flight(usize::MAX);
    let extreme = extreme.idle_connection_timeout(Duration::MAX);
    let client = client(extreme.max_connection_age(Duration::MAX));
    for _ in 0..3 {
        evaluate(&client).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}
