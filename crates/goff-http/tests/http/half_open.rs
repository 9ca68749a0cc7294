//! Connections that a firewall or balancer has forgotten: they take requests and never answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use goff_core::RelayError;
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fixture::*;

const TIMEOUT: Duration = Duration::from_millis(400);

/// Forwards connections until it forgets them; then they stay open, and nothing passes.
struct Firewall {
    url: String,
    opened: Arc<AtomicUsize>,
    /// How often it has forgotten its connections.
    forgotten: watch::Sender<usize>,
    _forwarding: JoinSet<()>,
}

impl Firewall {
    async fn before(server: &FaultyServer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let address = server.address();
        let (opened, forgotten) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(0));
        let (count, times) = (Arc::clone(&opened), forgotten.subscribe());
        let mut forwarding = JoinSet::new();
        forwarding.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut times = times.clone();
                times.mark_unchanged();
                connections.spawn(async move {
                    let mut far = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = times.changed() => {
                            drop(far);
                            std::future::pending::<()>().await;
                        }
                    }
                });
            }
        });
        Self {
            url,
            opened,
            forgotten,
            _forwarding: forwarding,
        }
    }

    fn forget(&self) {
        self.forgotten.send_modify(|times| *times += 1);
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

/// A client with so many idle connections through a firewall.
async fn with_idle_connections(
    server: &FaultyServer,
    connections: usize,
    options: impl Fn(HttpRelayClientOptions) -> HttpRelayClientOptions,
) -> (Firewall, HttpRelayClient) {
    let firewall = Firewall::before(server).await;
    let client = client(options(crate::fixture::options(&firewall.url)));
    let mut tasks = JoinSet::new();
    let before = server.requests().len();
    for _ in 0..connections {
        let client = client.clone();
        tasks.spawn(async move { evaluate(&client).await.unwrap() });
    }
    while server.requests().len() < before + connections {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..connections {
        server.release();
    }
    tasks.join_all().await;
    assert_eq!(firewall.opened(), connections);
    (firewall, client)
}

fn holding(connections: usize) -> Vec<Answer> {
    let mut answers = vec![Answer::new(200, STATIC).held(); connections];
    answers.push(Answer::new(200, STATIC));
    answers
}

#[tokio::test]
async fn forgotten_connections_cost_one_timeout_in_all() {
    for connections in [1, 7, 60] {
        let server = server(holding(connections)).await;
        let short = |options: HttpRelayClientOptions| options.timeout(Duration::from_secs(5));
        let (firewall, client) = with_idle_connections(&server, connections, short).await;
        firewall.forget();
        let began = Instant::now();
        let mut failed = 0;
        for _ in 0..80 {
            match evaluate(&client).await {
                Ok(_) => {}
                Err(RelayError::Timeout { sent: true, .. }) => failed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(failed, 1, "of {connections}");
        assert!(began.elapsed() < Duration::from_secs(9));
        assert_eq!(firewall.opened(), connections + 1);
        until(&client, |stats| stats.open_connections == 1).await;
    }
}

/// Usage data is not resent, but its timeout also shows that the other connections are dead.
#[tokio::test]
async fn timeout_of_usage_data_closes_the_others_too() {
    let server = server(holding(20)).await;
    let short = |options: HttpRelayClientOptions| options.timeout(Duration::from_secs(2));
    let (firewall, client) = with_idle_connections(&server, 20, short).await;
    firewall.forget();
    let batch = goff_core::EventBatch::new(goff_core::ExporterMetadata::default(), Vec::new());
    let error = goff_core::RelayClient::collect(&client, &batch).await;
    assert_matches!(error.unwrap_err(), RelayError::Timeout { sent: true, .. });
    evaluate(&client).await.unwrap();
    assert_eq!(firewall.opened(), 21);
}

/// A slow answer, or a caller that gives up early, says nothing about the other connections.
#[tokio::test]
async fn caller_that_gives_up_closes_its_connection_only() {
    let server = server(holding(10)).await;
    let long = |options: HttpRelayClientOptions| options.timeout(Duration::from_secs(60));
    let (firewall, client) = with_idle_connections(&server, 10, long).await;
    server.push(Answer::nothing().then_silence());
    evaluate(&client).await.unwrap();
    let given_up = tokio::time::timeout(TIMEOUT, evaluate(&client)).await;
    given_up.unwrap_err();
    until(&client, |stats| stats.open_connections == 9).await;
    assert_eq!(firewall.opened(), 10);
}

/// An answer that has begun shows that the connection lives.
#[tokio::test]
async fn timeout_within_an_answer_closes_its_connection_only() {
    let server = server(holding(10)).await;
    let short = |options: HttpRelayClientOptions| options.timeout(Duration::from_secs(2));
    let (firewall, client) = with_idle_connections(&server, 10, short).await;
    server.push(Answer::raw("HTTP/1.1 200 \r\n").then_silence());
    evaluate(&client).await.unwrap();
    let error = evaluate(&client).await.unwrap_err();
    assert_matches!(error, RelayError::Timeout { sent: true, .. });
    until(&client, |stats| stats.open_connections == 9).await;
    assert_eq!(firewall.opened(), 10);
}

/// After a restart of the server: its connections are closed one by one when they are used.
#[tokio::test]
async fn connections_closed_unanswered_fail_no_evaluation() {
    let server = server(holding(10)).await;
    let long = |options: HttpRelayClientOptions| options.timeout(Duration::from_secs(60));
    let (_firewall, client) = with_idle_connections(&server, 10, long).await;
    server.push(Answer::nothing().then_reset());
    server.push(Answer::new(200, STATIC));
    evaluate(&client).await.unwrap();
    evaluate(&client).await.unwrap();
    // The one that was reset is replaced, the idle ones are closed.
    until(&client, |stats| stats.open_connections == 1).await;
}
