//! The effect and the default of each option. The options of the cache are tested in `cache.rs`,
//! the exporter metadata in `usage.rs`, `debug` in `debug_option.rs`.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use goff_client::{Connect, RemoteProtocol};
use goff_core::ByteStream;
use goff_testkit::{Answer, FaultyServer, SeenRequest};
use serde_json::json;
use tokio::time::Instant;

use super::*;

/// An answer to evaluations and to deliveries of usage data.
fn answer() -> Answer {
    let body = json!({
        "value": true, "reason": "STATIC", "variationType": "A", "failed": false,
        "trackEvents": true, "cacheable": true, "errorCode": "", "version": "",
        "ingestedContentCount": 1,
    });
    Answer::new(200, body.to_string())
}

fn paths(server: &FaultyServer) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests.map(|request| request.path).collect()
}

/// The path prefixes are kept, and key and headers are the same. GOFF-CFG-006, GOFF-CFG-007,
/// GOFF-CFG-009, GOFF-COLL-001, GOFF-AUTH-002; docs/python-parity.md A53; docs/python-parity.md C18.
#[tokio::test]
async fn data_collector_base_url_gets_only_usage_data() {
    for is_apart in [false, true] {
        let server = FaultyServer::start([answer()]).await.unwrap();
        let collector = FaultyServer::start([answer()]).await.unwrap();
        let mut options = GoFeatureFlagOptions::new(format!("{}/relay/", server.url()))
            .api_key("key")
            .custom_header("x-gateway", "blue")
            .disable_cache_invalidation(true);
        if is_apart {
            options = options.data_collector_base_url(format!("{}/usage/eu", collector.url()));
        }
        let goff = connect(options).await;
        hit(&goff, 2).await;
        assert_eq!(goff.shutdown(TIMEOUT).await.delivered, 2);
        let evaluation = "/relay/v1/feature/flag/eval";
        let seen = if is_apart {
            assert_eq!(paths(&server), [evaluation]);
            assert_eq!(paths(&collector), ["/usage/eu/v1/data/collector"]);
            collector.requests()
        } else {
            assert_eq!(paths(&server), [evaluation, "/relay/v1/data/collector"]);
            assert_eq!(collector.connections(), 0);
            server.requests()
        };
        let delivery: &SeenRequest = seen.last().unwrap();
        assert_eq!(delivery.header("authorization"), Some("Bearer key"));
        assert_eq!(delivery.header("x-gateway"), Some("blue"));
    }
}

/// GOFF-CFG-003, GOFF-CFG-009, GOFF-CFG-010, GOFF-COLL-014; docs/python-parity.md A3.
#[tokio::test(start_paused = true)]
async fn data_flush_interval_is_the_time_between_deliveries() {
    for (interval, expected) in [(Some(7), 7), (None, 60)] {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let mut options = options(&relay);
        if let Some(seconds) = interval {
            options = options.data_flush_interval(secs(seconds));
        }
        let goff = connect(options).await;
        hit(&goff, 1).await;
        // The first interval is up to half shorter.
        let expected = secs(expected);
        tokio::time::sleep(expected / 2 - millis(10)).await;
        assert!(relay.batches().is_empty());
        tokio::time::sleep(expected / 2 + millis(20)).await;
        assert_eq!(relay.batches().len(), 1);
    }
}

/// GOFF-CFG-003, GOFF-CFG-009, GOFF-CFG-010, GOFF-COLL-014.
#[tokio::test(start_paused = true)]
async fn max_pending_events_starts_a_delivery() {
    for (max, expected) in [(Some(5), 5), (None, 10_000)] {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let mut options = options(&relay);
        if let Some(max) = max {
            options = options.max_pending_events(max);
        }
        let goff = connect(options).await;
        hit(&goff, expected - 1).await;
        tokio::time::sleep(secs(1)).await;
        assert!(relay.batches().is_empty());
        hit(&goff, 0).await;
        tokio::time::sleep(secs(1)).await;
        assert_eq!(sizes(&relay).iter().sum::<usize>(), expected);
    }
}

/// Further events replace the oldest, which are counted as dropped. GOFF-COLL-019;
/// docs/python-parity.md C16.
#[tokio::test(start_paused = true)]
async fn twice_max_pending_events_are_buffered() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = connect(options(&relay).max_pending_events(5)).await;
    relay.set_collector_failure(Some(rate_limited()));
    hit(&goff, 33).await;
    let report = goff.flush(TIMEOUT).await;
    let counts = (report.recorded, report.dropped, report.pending);
    assert_eq!(counts, (33, 23, 10));
    relay.set_collector_failure(None);
    let report = goff.shutdown(TIMEOUT).await;
    let counts = (report.delivered, report.dropped, report.pending);
    assert_eq!(counts, (10, 23, 0));
    assert_eq!(sizes(&relay), [5, 5]);
}

/// GOFF-CFG-003, GOFF-CFG-009; docs/python-parity.md A4.
#[tokio::test]
async fn disable_data_collection_records_nothing() {
    for disable in [false, true] {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let options = options(&relay).disable_data_collection(disable);
        let goff = connect(options).await;
        assert_eq!(goff.event_sink().is_none(), disable);
        hit(&goff, 3).await;
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!(report.recorded, if disable { 0 } else { 3 });
        assert_eq!(relay.batches().is_empty(), disable);
    }
    let options = format!("{:?}", options(&ScriptedRelay::new()));
    for default in [
        "disable_data_collection: false",
        "data_flush_interval: 60s",
        "max_pending_events: 10000",
        "max_pending_bytes: 67108864",
        "max_cache_bytes: 67108864",
        "debug: false",
        "own_runtime: false",
    ] {
        assert!(options.contains(default), "{default} in {options}");
    }
}

/// By default there is a stream, with the key. GOFF-CFG-009; docs/python-parity.md A6;
/// docs/python-parity.md A7; docs/python-parity.md C14.
#[tokio::test]
async fn disable_cache_invalidation_opens_no_stream() {
    for disable in [false, true] {
        let server = FaultyServer::start([answer()]).await.unwrap();
        let options = GoFeatureFlagOptions::new(format!("{}/relay", server.url()))
            .api_key("a&b c")
            .disable_cache_invalidation(disable);
        let goff = connect(options).await;
        if !disable {
            let attempt = server.wait_for_requests(1);
            tokio::time::timeout(TIMEOUT, attempt).await.unwrap();
            let path = paths(&server).swap_remove(0);
            let (path, query) = path.split_once('?').unwrap();
            assert_eq!(path, "/relay/stream/v1/ws/flag/change");
            assert!(
                ["apiKey=a%26b%20c", "apiKey=a%26b+c"].contains(&query),
                "{query}"
            );
        }
        // After a round trip a stream would have connected.
        hit(&goff, 1).await;
        let has_stream = paths(&server).iter().any(|path| path.contains("/ws/"));
        assert_eq!(has_stream, !disable);
        goff.shutdown(TIMEOUT).await;
        if disable {
            let seen = paths(&server);
            let expected = ["/relay/v1/feature/flag/eval", "/relay/v1/data/collector"];
            assert_eq!(seen, expected);
        }
    }
}

/// Fails or hangs, and counts the attempts. It needs no socket, so time can be paused.
#[derive(Debug, Clone)]
struct NoConnection {
    hangs: bool,
    attempts: Arc<Mutex<Vec<Instant>>>,
}

impl NoConnection {
    fn new(hangs: bool) -> Self {
        Self {
            hangs,
            attempts: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connect for NoConnection {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        self.lock().push(Instant::now());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

/// The first pauses are shorter. GOFF-CFG-009; docs/python-parity.md A5; docs/python-parity.md C12.
#[tokio::test(start_paused = true)]
async fn reconnect_interval_bounds_the_pause() {
    for (interval, longest) in [(Some(2), 2), (None, 60)] {
        let connector = NoConnection::new(false);
        let mut options =
            GoFeatureFlagOptions::new("http://localhost:1031").connector(connector.clone());
        if let Some(seconds) = interval {
            options = options.reconnect_interval(secs(seconds));
        }
        let goff = connect(options).await;
        let longest = secs(longest);
        tokio::time::sleep(longest * 100).await;
        let attempts = connector.lock().clone();
        let pauses: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Pauses are random up to the bound; of a hundred one exceeds the half.
        let seen = pauses.iter().max().unwrap();
        assert!(*seen <= longest + millis(1), "{seen:?}");
        assert!(*seen > longest / 2, "{seen:?}");
        assert!(pauses[0] <= millis(200), "{:?}", pauses[0]);
        assert!(goff.status().last_error.is_some());
        let count = attempts.len();
        goff.shutdown(TIMEOUT).await;
        tokio::time::sleep(longest * 10).await;
        assert_eq!(connector.lock().clone().len(), count);
    }
}

/// GOFF-CFG-003, GOFF-CFG-009, GOFF-REM-006; docs/python-parity.md C29.
#[tokio::test(start_paused = true)]
async fn timeout_bounds_an_evaluation() {
    for (timeout, expected) in [(Some(3), 3), (None, 10)] {
        let mut options = GoFeatureFlagOptions::new("http://localhost:1031")
            .connector(NoConnection::new(true))
            .disable_cache_invalidation(true);
        if let Some(seconds) = timeout {
            options = options.timeout(secs(seconds));
        }
        let goff = connect(options).await;
        let start = Instant::now();
        let details = evaluate(&goff, true).await;
        assert!(details.value);
        assert_eq!(details.error().unwrap().code(), ErrorCode::General);
        let took = start.elapsed();
        let expected = secs(expected);
        assert!(
            (expected..=expected + millis(250)).contains(&took),
            "{took:?}"
        );
        // Nothing was sent, so the client records the evaluation.
        assert_eq!(goff.stats().usage.recorded, 1);
    }
}

/// GOFF-CFG-007, GOFF-REM-006.
#[tokio::test]
async fn timeout_bounds_a_delivery() {
    let timeout = secs(1);
    let server = FaultyServer::start([answer()]).await.unwrap();
    let silent = FaultyServer::start([]).await.unwrap();
    let options = GoFeatureFlagOptions::new(server.url())
        .data_collector_base_url(silent.url())
        .timeout(timeout)
        .disable_cache_invalidation(true);
    let goff = connect(options).await;
    hit(&goff, 1).await;
    let report = goff.flush(TIMEOUT).await;
    assert_eq!((report.delivered, report.pending), (0, 1));
    let error = report.error.unwrap();
    assert!(matches!(error, RelayError::Timeout { timeout: bound, .. } if bound == timeout));
    assert_eq!(silent.connections(), 1);
}

/// GOFF-CFG-002, GOFF-CFG-009, GOFF-REM-001.
#[tokio::test]
async fn remote_protocol_selects_the_path() {
    for (protocol, path) in [
        (None, "/v1/feature/flag/eval"),
        (Some(RemoteProtocol::Ofrep), "/ofrep/v1/evaluate/flags/flag"),
    ] {
        let body = json!({
            "key": "flag", "value": true, "reason": "STATIC", "variant": "A", "failed": false,
            "trackEvents": true, "cacheable": true, "metadata": {},
        });
        let answer = Answer::new(200, body.to_string());
        let server = FaultyServer::start([answer]).await.unwrap();
        let mut options = GoFeatureFlagOptions::new(server.url()).disable_cache_invalidation(true);
        if let Some(protocol) = protocol {
            options = options.remote_protocol(protocol);
        }
        let goff = connect(options).await;
        assert!(evaluate(&goff, false).await.value);
        assert_eq!(paths(&server), [path]);
    }
}

/// One event of 10 kB starts a delivery, and the buffer holds one.
#[tokio::test(start_paused = true)]
async fn max_pending_bytes_starts_a_delivery() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = connect(options(&relay).max_pending_bytes(15_000)).await;
    let context = user(&"x".repeat(10_000));
    for _ in 0..2 {
        goff.evaluate("flag", &context, false).await;
    }
    tokio::time::sleep(millis(1)).await;
    assert_eq!(relay.batches().len(), 1);
    relay.set_collector_delay(Some(secs(60)));
    for _ in 0..3 {
        goff.evaluate("flag", &context, false).await;
    }
    let usage = goff.stats().usage;
    assert_eq!((usage.pending, usage.dropped), (1, 2));
    assert!((10_000..15_000).contains(&usage.pending_bytes));
}

/// The error says what to set instead. GOFF-CFG-001; docs/python-parity.md C48.
#[test]
fn zero_is_refused() {
    let check = |option, instead, options: GoFeatureFlagOptions| {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.option(), option);
        assert!(error.reason().contains(instead), "{error}");
    };
    let options = || GoFeatureFlagOptions::new("http://localhost:1031");
    let zero = Duration::ZERO;
    check("cache_size", "disable_cache", options().cache_size(0));
    check("cache_ttl", "disable_cache", options().cache_ttl(zero));
    let collection = "disable_data_collection";
    check(
        "data_flush_interval",
        collection,
        options().data_flush_interval(zero),
    );
    check(
        "max_pending_events",
        collection,
        options().max_pending_events(0),
    );
    check(
        "max_pending_bytes",
        collection,
        options().max_pending_bytes(0),
    );
    let cache = options().max_cache_bytes(0);
    check("max_cache_bytes", "disable_cache", cache);
    check(
        "reconnect_interval",
        "longer than zero",
        options().reconnect_interval(zero),
    );
}

/// GOFF-CFG-009.
#[test]
fn connection_options_are_refused_beside_a_relay_client() {
    let check = |option, options| {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.option(), option);
    };
    let options = || options(&ScriptedRelay::new());
    let url = "http://localhost";
    check(
        "data_collector_base_url",
        options().data_collector_base_url(url),
    );
    check("reconnect_interval", options().reconnect_interval(secs(1)));
    check(
        "disable_cache_invalidation",
        options().disable_cache_invalidation(true),
    );
}

fn uncached(server: &FaultyServer) -> GoFeatureFlagOptions {
    let options = GoFeatureFlagOptions::new(server.url());
    options.disable_cache(true).disable_cache_invalidation(true)
}

#[tokio::test]
async fn max_requests_in_flight_bounds_the_connections() {
    for limit in [1, 4] {
        let silent = FaultyServer::start([]).await.unwrap();
        let options = uncached(&silent).timeout(millis(500));
        let goff = connect(options.max_requests_in_flight(limit)).await;
        let mut evaluations = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let goff = goff.clone();
            evaluations.spawn(async move { evaluate(&goff, false).await.error().cloned() });
        }
        let mut unsent = 0;
        while let Some(error) = evaluations.join_next().await {
            let error = error.unwrap().unwrap().to_string();
            unsent += usize::from(error.contains("no request was sent"));
            let stats = goff.stats();
            assert!(stats.requests_in_flight <= limit, "{stats:?}");
            // Attempts to connect have the same limit.
            assert!(stats.open_connections <= 2 * limit, "{stats:?}");
        }
        // Those that waited may be sent just before their timeout, one after the other.
        assert!(unsent >= 20, "{unsent}");
    }
}

#[tokio::test]
async fn connections_are_kept_as_the_options_say() {
    let own = |change: fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions| change;
    for (change, opened, open) in [
        (own(|options| options), 1, 1),
        (own(|options| options.max_idle_connections(0)), 2, 0),
        (
            own(|options| options.idle_connection_timeout(millis(100))),
            2,
            0,
        ),
        (own(|options| options.max_connection_age(millis(50))), 2, 0),
    ] {
        let server = FaultyServer::start([answer()]).await.unwrap();
        let goff = connect(change(uncached(&server).idle_connection_timeout(secs(4)))).await;
        assert!(evaluate(&goff, false).await.value);
        until(async || goff.stats().open_connections == open).await;
        assert!(evaluate(&goff, false).await.value);
        assert_eq!(server.connections(), opened);
    }
}

/// The client can be started again.
#[tokio::test]
async fn shutdown_closes_the_connections() {
    let server = FaultyServer::start([answer()]).await.unwrap();
    let goff = connect(uncached(&server)).await;
    for sessions in 1..4 {
        assert!(evaluate(&goff, false).await.value);
        until(async || goff.stats().open_connections == 1).await;
        goff.shutdown(TIMEOUT).await;
        until(async || goff.stats().open_connections == 0).await;
        server.wait_for_ended_connections(sessions).await;
        goff.initialize().await.unwrap();
    }
}

#[derive(Debug)]
struct NoTransport;

#[async_trait]
impl goff_http::HttpTransport for NoTransport {
    async fn send(
        &self,
        _: goff_http::HttpRequest,
    ) -> Result<goff_http::HttpResponse, goff_http::TransportError> {
        std::future::pending().await
    }
}

#[test]
fn limits_of_connections_have_no_effect_on_a_custom_transport() {
    let own = || GoFeatureFlagOptions::new("http://localhost:1031").http_transport(NoTransport);
    assert!(GoFeatureFlag::new(own()).is_ok());
    for (option, options) in [
        ("max_requests_in_flight", own().max_requests_in_flight(8)),
        ("max_idle_connections", own().max_idle_connections(8)),
        (
            "idle_connection_timeout",
            own().idle_connection_timeout(secs(1)),
        ),
        ("max_connection_age", own().max_connection_age(secs(1))),
    ] {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.option(), option);
        assert!(error.reason().contains("http_transport"), "{error}");
    }
}

/// After a refresh a process that was suspended waits for no connection that has died unnoticed.
#[tokio::test]
async fn refresh_closes_idle_connections() {
    let server = FaultyServer::start([answer().then_silence(), answer()]);
    let server = server.await.unwrap();
    let options = GoFeatureFlagOptions::new(server.url()).disable_cache_invalidation(true);
    let goff = connect(options.timeout(secs(20))).await;
    assert!(evaluate(&goff, false).await.value);
    assert_eq!(server.connections(), 1);
    let begun = Instant::now();
    goff.refresh().await.unwrap();
    assert!(evaluate(&goff, false).await.value);
    assert!(begun.elapsed() < secs(10), "{:?}", begun.elapsed());
    assert_eq!(server.connections(), 2);
}
