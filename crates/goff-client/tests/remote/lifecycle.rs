//! Starting, stopping, and starting again.

use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use goff_client::{
    ChangedFlags, ClientEvent, DeliveryReport, InitializeError, NoRuntimeError, Reason, State,
    StreamState,
};
use goff_testkit::{Answer, FaultyServer};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::*;

/// How much longer than its timeout a shutdown may take.
const GRACE: Duration = millis(100);

async fn outcome(goff: &GoFeatureFlag) -> Result<Reason, ErrorCode> {
    let details = evaluate(goff, false).await;
    match details.error() {
        None => Ok(details.reason().clone()),
        Some(error) => Err(error.code()),
    }
}

async fn call(goff: GoFeatureFlag) -> Result<Reason, ErrorCode> {
    outcome(&goff).await
}

fn shutting_down(goff: &GoFeatureFlag, timeout: Duration) -> JoinHandle<DeliveryReport> {
    let goff = goff.clone();
    tokio::spawn(async move { goff.shutdown(timeout).await })
}

#[track_caller]
fn adds_up(report: &DeliveryReport) {
    let sum = report.delivered + report.dropped + report.rejected + report.pending;
    assert_eq!(report.recorded, sum, "{report:?}");
}

/// Waits until every task has ended.
async fn no_task_is_left() {
    let metrics = Handle::current().metrics();
    let give_up = Instant::now() + TIMEOUT;
    while metrics.num_alive_tasks() > 0 {
        let tasks = metrics.num_alive_tasks();
        assert!(Instant::now() < give_up, "{tasks} tasks");
        tokio::task::yield_now().await;
    }
}

/// NotReady, Ready and Closed, with their age, and what an evaluation gives in each.
/// GOFF-LIFE-001, GOFF-LIFE-006.
#[tokio::test(start_paused = true)]
async fn status_follows_the_lifecycle() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let not_ready = Err(ErrorCode::ProviderNotReady);
    assert_eq!(goff.status().state, State::NotReady);
    assert_eq!(outcome(&goff).await, not_ready);
    assert!(goff.evaluate_all(&context()).await.is_err());
    tokio::time::advance(secs(3)).await;
    assert_eq!(goff.status().age, secs(3));
    goff.initialize().await.unwrap();
    assert_eq!(goff.status().state, State::Ready);
    assert_eq!(goff.status().age, Duration::ZERO);
    assert_eq!(goff.status().last_error, None);
    assert_eq!(outcome(&goff).await, Ok(Reason::Static));
    tokio::time::advance(secs(2)).await;
    // A second `initialize` changes nothing (GOFF-LIFE-002; docs/python-parity.md C23).
    goff.initialize().await.unwrap();
    assert_eq!(goff.status().age, secs(2));
    assert_eq!(outcome(&goff).await, Ok(Reason::Cached));
    goff.shutdown(TIMEOUT).await;
    assert_eq!(goff.status().state, State::Closed);
    assert_eq!(outcome(&goff).await, not_ready);
    assert_eq!(relay.requests().len(), 1);
}

/// With an empty cache, and with the events that were not delivered. GOFF-LIFE-003;
/// docs/python-parity.md C23.
#[tokio::test(start_paused = true)]
async fn client_starts_again_after_shutdown() {
    let (relay, goff) = serving(true).await;
    hit(&goff, 3).await;
    relay.set_collector_failure(Some(rate_limited()));
    let report = goff.shutdown(TIMEOUT).await;
    adds_up(&report);
    assert_eq!((report.recorded, report.pending), (3, 3));
    assert!(report.error.is_some());
    relay.set_collector_failure(None);
    for _ in 0..3 {
        goff.initialize().await.unwrap();
        assert_eq!(goff.status().state, State::Ready);
        assert_eq!(outcome(&goff).await, Ok(Reason::Static));
        assert_eq!(outcome(&goff).await, Ok(Reason::Cached));
        adds_up(&goff.shutdown(TIMEOUT).await);
    }
    assert_eq!(sizes(&relay).iter().sum::<usize>(), 6);
    let stats = goff.stats();
    assert_eq!((stats.hits, stats.misses), (6, 4));
    assert_eq!(stats.usage.delivered, 6);
}

/// Before `initialize`, and twice. docs/python-parity.md A.6, rows 38 and 39;
/// docs/python-parity.md C23.
#[tokio::test]
async fn shutdown_is_safe_at_any_time() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let never = GoFeatureFlag::new(options(&relay)).unwrap();
    never.invalidation_sink().invalidate(Invalidation::All);
    adds_up(&never.flush(TIMEOUT).await);
    adds_up(&never.shutdown(TIMEOUT).await);
    assert_eq!(never.status().state, State::NotReady);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    drop(never);
    assert!(relay.requests().is_empty() && relay.batches().is_empty());

    let goff = goff(&relay).await;
    hit(&goff, 1).await;
    let first = goff.shutdown(TIMEOUT).await;
    let second = goff.shutdown(TIMEOUT).await;
    for report in [first, second] {
        adds_up(&report);
        assert_eq!((report.recorded, report.delivered), (1, 1));
    }
    assert_eq!(relay.batches().len(), 1);
    no_task_is_left().await;
}

/// A runtime is needed to start only. GOFF-LIFE-001.
#[test]
fn initialize_without_a_runtime_is_an_error() {
    let relay = ScriptedRelay::new();
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let mut initialize = std::pin::pin!(goff.initialize());
    let mut context = Context::from_waker(Waker::noop());
    let polled = initialize.as_mut().poll(&mut context);
    assert!(matches!(
        polled,
        Poll::Ready(Err(InitializeError::NoRuntime(NoRuntimeError::Outside)))
    ));
    assert_eq!(goff.status().state, State::NotReady);
}

/// GOFF-LIFE-004, GOFF-COLL-014; docs/python-parity.md A.6, rows 37 and 40;
/// docs/python-parity.md C13.
#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_an_interval() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).data_flush_interval(millis(1_000_000));
    let goff = connect(options).await;
    hit(&goff, 2).await;
    let start = tokio::time::Instant::now();
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((report.delivered, report.pending), (2, 0));
}

/// The batch in flight counts as pending. GOFF-LIFE-005.
#[tokio::test(start_paused = true)]
async fn shutdown_keeps_its_timeout_during_a_hanging_flush() {
    let (relay, goff) = serving(true).await;
    hit(&goff, 2).await;
    relay.set_collector_delay(Some(secs(1_000)));
    // This flush gives up; its delivery continues.
    goff.flush(millis(10)).await;
    let start = tokio::time::Instant::now();
    let report = goff.shutdown(secs(2)).await;
    let took = start.elapsed();
    assert!((secs(2)..=secs(2) + GRACE).contains(&took), "{took:?}");
    adds_up(&report);
    assert_eq!((report.delivered, report.pending), (0, 2));
    no_task_is_left().await;
}

/// GOFF-LIFE-004.
#[tokio::test(start_paused = true)]
async fn evaluation_in_flight_finishes_or_is_refused_at_the_timeout() {
    for finishes in [true, false] {
        let (relay, goff) = serving_manually(true).await;
        let callers = [0, 1].map(|_| tokio::spawn(call(goff.clone())));
        relay.wait_for_requests(1).await;
        tokio::task::yield_now().await;
        let start = tokio::time::Instant::now();
        let stopping = shutting_down(&goff, secs(2));
        tokio::time::sleep(secs(1)).await;
        // New calls are refused.
        assert_eq!(outcome(&goff).await, Err(ErrorCode::ProviderNotReady));
        assert!(goff.track("x", &context(), Map::new()).is_err());
        assert!(!stopping.is_finished());
        if finishes {
            assert!(relay.complete(0));
        }
        let [first, second] = callers;
        let results = (first.await.unwrap(), second.await.unwrap());
        let report = stopping.await.unwrap();
        adds_up(&report);
        let took = start.elapsed();
        if finishes {
            assert_eq!(results, (Ok(Reason::Static), Ok(Reason::Cached)));
            assert_eq!(took, secs(1));
            // The last flush includes the follower's event.
            assert_eq!((report.recorded, report.delivered), (1, 1));
        } else {
            let refused = Err(ErrorCode::ProviderNotReady);
            assert_eq!(results, (refused.clone(), refused));
            assert!(took <= secs(2) + GRACE, "{took:?}");
            assert_eq!(report.recorded, 0);
        }
        no_task_is_left().await;
        assert_eq!(relay.waiting(), 0);
    }
}

/// Evaluations in flight are recorded before the last delivery. GOFF-LIFE-004.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_evaluations_in_flight_are_delivered_by_shutdown() {
    for _ in 0..300 {
        let (relay, goff) = serving_manually(true).await;
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let mut caller = Box::pin(call(goff.clone()));
                // The evaluation is in flight before the shutdown starts.
                let mut context = Context::from_waker(Waker::noop());
                assert!(caller.as_mut().poll(&mut context).is_pending());
                tokio::spawn(caller)
            })
            .collect();
        relay.wait_for_requests(1).await;
        let stopping = shutting_down(&goff, TIMEOUT);
        let mut subscription = goff.subscribe();
        if goff.status().state != State::Closed {
            assert_eq!(subscription.next().await, Some(ClientEvent::Closed));
        }
        assert!(relay.complete(0));
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        let report = stopping.await.unwrap();
        assert_eq!((report.recorded, report.delivered), (7, 7), "{report:?}");
    }
}

/// Neither while the stream connects nor between two attempts. GOFF-LIFE-004, GOFF-LIFE-005;
/// docs/python-parity.md C13.
#[tokio::test]
async fn shutdown_does_not_wait_for_the_stream() {
    let silent = FaultyServer::start([]).await.unwrap();
    for url in [silent.url(), FaultyServer::refusing_url().await.unwrap()] {
        let options = GoFeatureFlagOptions::new(&url).reconnect_interval(secs(60));
        let goff = connect(options).await;
        let give_up = Instant::now() + TIMEOUT;
        while silent.connections() == 0
            || (url != silent.url() && goff.status().last_error.is_none())
        {
            assert!(Instant::now() < give_up, "{:?}", goff.status());
            tokio::task::yield_now().await;
        }
        // docs/python-parity.md A22.
        let is_refused = url != silent.url();
        while is_refused && goff.status().state != State::Error {
            assert!(Instant::now() < give_up, "{:?}", goff.status());
            tokio::task::yield_now().await;
        }
        assert!(is_refused || goff.status().state == State::Ready);
        let start = Instant::now();
        let report = goff.shutdown(secs(10)).await;
        let took = start.elapsed();
        assert!(took < secs(2), "{took:?}");
        adds_up(&report);
        assert_eq!(goff.status().state, State::Closed);
    }
}

/// In real time, with a real connection. GOFF-LIFE-005.
#[tokio::test]
async fn shutdown_keeps_its_timeout_with_a_silent_collector() {
    let collector = FaultyServer::start([]).await.unwrap();
    let answer = json!({
        "value": true, "reason": "STATIC", "variationType": "A", "failed": false,
        "trackEvents": true, "cacheable": true, "errorCode": "", "version": "",
    });
    let answer = Answer::new(200, answer.to_string());
    let evaluations = FaultyServer::start([answer]).await.unwrap();
    let options = GoFeatureFlagOptions::new(evaluations.url())
        .data_collector_base_url(collector.url())
        .disable_cache_invalidation(true);
    let goff = connect(options).await;
    hit(&goff, 1).await;
    let timeout = millis(300);
    let start = Instant::now();
    let report = goff.shutdown(timeout).await;
    let took = start.elapsed();
    assert!(took >= timeout && took < timeout + GRACE, "{took:?}");
    assert_eq!(collector.requests().len(), 1);
    adds_up(&report);
    assert_eq!((report.delivered, report.pending), (0, 1));
}

/// On both kinds of runtime, with a stream and requests in flight. docs/python-parity.md A.6, rows 37 to 40;
/// docs/python-parity.md C28.
#[test]
fn dropping_the_last_handle_leaves_no_task() {
    for runtime in both_runtimes() {
        runtime.block_on(async {
            let (relay, goff) = serving_manually(true).await;
            let other = goff.clone();
            let caller = tokio::spawn(call(goff.clone()));
            relay.wait_for_requests(1).await;
            caller.abort();
            let _ = caller.await;
            let mut subscription = goff.subscribe();
            let sink = goff.invalidation_sink();
            drop(goff);
            assert_eq!(other.status().state, State::Ready);
            assert!(Handle::current().metrics().num_alive_tasks() > 0);
            drop(other);
            no_task_is_left().await;
            assert_eq!(relay.waiting(), 0);
            // The sink has no effect any more, and the subscription ends.
            sink.invalidate(Invalidation::All);
            assert_eq!(subscription.next().await, None);

            let url = FaultyServer::refusing_url().await.unwrap();
            let goff = connect(GoFeatureFlagOptions::new(&url)).await;
            assert!(Handle::current().metrics().num_alive_tasks() > 0);
            drop(goff);
            no_task_is_left().await;
        });
    }
}

/// The client starts again on another runtime.
#[test]
fn client_survives_its_runtime() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    for (runtime, next) in both_runtimes().into_iter().zip(both_runtimes()) {
        let goff = runtime.block_on(async {
            let goff = goff(&relay).await;
            hit(&goff, 2).await;
            goff
        });
        drop(runtime);
        next.block_on(async {
            assert_eq!(outcome(&goff).await, Ok(Reason::Cached));
            let report = goff.shutdown(TIMEOUT).await;
            adds_up(&report);
            assert_eq!(report.recorded, 3);
            goff.initialize().await.unwrap();
            let report = goff.shutdown(TIMEOUT).await;
            adds_up(&report);
            assert_eq!((report.delivered, report.pending), (3, 0));
        });
    }
}

/// Using and dropping a client without a runtime neither panics nor hangs.
#[test]
fn client_outlives_every_runtime() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    for runtime in both_runtimes() {
        let goff = runtime.block_on(async {
            let goff = goff(&relay).await;
            hit(&goff, 1).await;
            goff
        });
        drop(runtime);
        assert_eq!(goff.status().state, State::Stale);
        goff.track("x", &context(), Map::new()).unwrap();
        goff.invalidation_sink().invalidate(Invalidation::All);
        let (done, dropped) = mpsc::channel();
        std::thread::spawn(move || {
            drop(goff);
            done.send(()).unwrap();
        });
        assert_eq!(dropped.recv_timeout(TIMEOUT), Ok(()));
    }
}

/// The client can still be started afterwards. GOFF-LIFE-002, GOFF-LIFE-003.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_and_shutdowns_end() {
    let (_, goff) = serving(true).await;
    for round in 0..50 {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let goff = goff.clone();
                tokio::spawn(async move {
                    match (task + round) % 4 {
                        0 => goff.initialize().await.unwrap(),
                        1 => adds_up(&goff.shutdown(TIMEOUT).await),
                        2 => adds_up(&goff.shutdown(Duration::ZERO).await),
                        _ => assert!(matches!(
                            outcome(&goff).await,
                            Ok(_) | Err(ErrorCode::ProviderNotReady)
                        )),
                    }
                })
            })
            .collect();
        for task in tasks {
            tokio::time::timeout(TIMEOUT, task).await.unwrap().unwrap();
        }
    }
    goff.initialize().await.unwrap();
    assert_eq!(goff.status().state, State::Ready);
    outcome(&goff).await.unwrap();
    adds_up(&goff.shutdown(TIMEOUT).await);
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_shutdowns_deliver_once() {
    let (relay, goff) = serving(true).await;
    hit(&goff, 4).await;
    relay.set_collector_delay(Some(secs(1)));
    let start = tokio::time::Instant::now();
    let (first, second) = tokio::join!(goff.shutdown(TIMEOUT), goff.shutdown(TIMEOUT));
    assert!(start.elapsed() <= TIMEOUT + GRACE);
    for report in [first, second] {
        adds_up(&report);
        assert_eq!((report.recorded, report.delivered), (4, 4));
    }
    assert_eq!(relay.batches().len(), 1);
}

/// GOFF-EVT-001 to -003.
#[tokio::test]
async fn subscribers_get_starts_changes_and_shutdowns() {
    let relay = ScriptedRelay::new();
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let mut subscription = goff.subscribe();
    goff.initialize().await.unwrap();
    goff.initialize().await.unwrap();
    let sink = goff.invalidation_sink();
    sink.invalidate(change_of("a"));
    goff.shutdown(TIMEOUT).await;
    goff.shutdown(TIMEOUT).await;
    sink.invalidate(change_of("a"));
    goff.initialize().await.unwrap();
    drop(goff);
    let mut events = Vec::new();
    while let Some(event) = subscription.next().await {
        events.push(event);
    }
    let flags = ChangedFlags::Named(["a".to_owned()].into());
    let changed = ClientEvent::ConfigurationChanged(flags);
    let (ready, closed) = (ClientEvent::Ready, ClientEvent::Closed);
    assert_eq!(events, [ready.clone(), changed, closed, ready]);
}

/// As a health endpoint shows them.
#[tokio::test(start_paused = true)]
async fn status_and_stats_serialize() {
    let goff = goff(&ScriptedRelay::new()).await;
    tokio::time::advance(millis(1_500)).await;
    let sink = goff.invalidation_sink();
    sink.stream_state(StreamState::Open);
    sink.stream_state(StreamState::Down);
    let status = serde_json::to_value(goff.status()).unwrap();
    let expected = json!({
        "state": "Ready", "age_seconds": 1.5, "last_error": null, "last_error_age_seconds": null
    });
    assert_eq!(status, expected);
    let stats = serde_json::to_value(goff.stats()).unwrap();
    assert_eq!(
        (&stats["hits"], &stats["stream"]),
        (&json!(0), &json!("Down"))
    );
    assert_eq!(stats["usage"]["recorded"], 0);
}

/// A lost stream is an event with a complete message, and the subscription is a `Stream`.
#[tokio::test]
async fn lost_stream_is_an_event() {
    fn is_stream(_: &impl futures_core::Stream<Item = ClientEvent>) {}
    let goff = goff(&ScriptedRelay::new()).await;
    let mut subscription = goff.subscribe();
    is_stream(&subscription);
    let sink = goff.invalidation_sink();
    for state in [StreamState::Open, StreamState::Down, StreamState::Open] {
        sink.stream_state(state);
    }
    let Some(ClientEvent::Error(error)) = subscription.next().await else {
        panic!("no error");
    };
    assert!(error.to_string().starts_with("change stream down: "));
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(goff.stats().reconnects, 1);
}

#[tokio::test(start_paused = true)]
async fn wait_until_ready_waits_for_ready_or_its_timeout() {
    let goff = GoFeatureFlag::new(options(&ScriptedRelay::new())).unwrap();
    let start = tokio::time::Instant::now();
    assert!(!goff.wait_until_ready(secs(3)).await);
    assert_eq!(start.elapsed(), secs(3));
    let waiting = tokio::spawn({
        let goff = goff.clone();
        async move { goff.wait_until_ready(TIMEOUT).await }
    });
    tokio::task::yield_now().await;
    goff.initialize().await.unwrap();
    assert!(waiting.await.unwrap());
    assert!(goff.wait_until_ready(Duration::ZERO).await);
    assert_eq!(start.elapsed(), secs(3));
    goff.shutdown(TIMEOUT).await;
    assert!(!goff.wait_until_ready(secs(1)).await);
}

/// As the data collector reads them, with the enriched context; not without data collection, nor
/// while the client is not ready. GOFF-TRACK-001 to -005.
#[tokio::test]
async fn tracking_events_are_delivered() {
    let relay = ScriptedRelay::new();
    let with = || options(&relay).exporter_metadata("service", "shop");
    let goff = GoFeatureFlag::new(with()).unwrap();
    let context = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("anonymous", true)
        .attribute("age", 30)
        .build();
    let payload = || object(json!({"value": 99.5, "currency": "EUR"}));
    let refused = goff.track("checkout", &context, payload()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ProviderNotReady);
    goff.initialize().await.unwrap();
    goff.track("checkout", &context, payload()).unwrap();
    let unreadable = having("rate", f64::NAN);
    let refused = goff.track("checkout", &unreadable, payload()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidContext);
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!((report.recorded, report.delivered), (1, 1));
    assert!(goff.track("checkout", &context, payload()).is_err());
    let batch = serde_json::to_value(&relay.batches()[0]).unwrap();
    let metadata = json!({"service": "shop", "provider": "rust", "openfeature": true});
    assert_eq!(batch["meta"], metadata);
    let event = &batch["events"][0];
    assert_eq!(event["kind"], "tracking");
    assert_eq!(event["key"], "checkout");
    assert_eq!(event["contextKind"], "anonymousUser");
    assert_eq!(event["userKey"], "user-1");
    assert_eq!(event["trackingEventDetails"], Value::Object(payload()));
    let sent = &event["evaluationContext"];
    assert_eq!(sent["age"], 30);
    assert_eq!(sent["gofeatureflag"]["exporterMetadata"], metadata);

    let silent = connect(with().disable_data_collection(true)).await;
    silent.track("checkout", &context, payload()).unwrap();
    assert_eq!(silent.shutdown(TIMEOUT).await.recorded, 0);
    assert_eq!(relay.batches().len(), 1);
}
