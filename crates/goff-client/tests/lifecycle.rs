//! Starting, stopping, starting again: what a client promises at each point of its life.
#![cfg(feature = "ws")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use goff_client::{
    Attribute, ChangedFlags, ClientEvent, DeliveryReport, ErrorCode, EvaluationContext,
    GoFeatureFlag, GoFeatureFlagOptions, InitializeError, Invalidation, Reason, RelayError, State,
};
use goff_testkit::{Answer, FaultyServer, ScriptedRelay};
use serde_json::{Map, Value, json};
use tokio::runtime::{Handle, Runtime};

const DEADLINE: Duration = Duration::from_secs(5);
/// What shutdown may take beyond its deadline.
const GRACE: Duration = Duration::from_millis(100);

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    GoFeatureFlag::connect(options(relay)).await.unwrap()
}

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

async fn evaluate(goff: &GoFeatureFlag) -> Result<Reason, ErrorCode> {
    let details = goff.evaluate("flag", &context(), false).await;
    match details.error() {
        None => Ok(details.reason().clone()),
        Some(error) => Err(error.code()),
    }
}

/// A miss, then `hits` hits.
async fn hit(goff: &GoFeatureFlag, hits: usize) {
    for _ in 0..=hits {
        evaluate(goff).await.unwrap();
    }
}

#[track_caller]
fn adds_up(report: &DeliveryReport) {
    let sum = report.delivered + report.dropped + report.pending;
    assert_eq!(report.recorded, sum, "{report:?}");
}

fn details(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Waits until every task is gone.
async fn no_task_is_left() {
    let metrics = Handle::current().metrics();
    let give_up = Instant::now() + DEADLINE;
    while metrics.num_alive_tasks() > 0 {
        assert!(
            Instant::now() < give_up,
            "{} tasks",
            metrics.num_alive_tasks()
        );
        tokio::task::yield_now().await;
    }
}

fn both_runtimes() -> [Runtime; 2] {
    [
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap(),
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    ]
}

/// GOFF-LIFE-001, GOFF-LIFE-006: NotReady, Ready, Closed, with the age of each, and what an
/// evaluation gives in each.
#[tokio::test(start_paused = true)]
async fn status_follows_the_life_of_a_client() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let not_ready = Err(ErrorCode::ProviderNotReady);
    assert_eq!(goff.status().state, State::NotReady);
    assert_eq!(evaluate(&goff).await, not_ready);
    assert!(goff.evaluate_all(&context()).await.is_err());
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(goff.status().age, Duration::from_secs(3));
    goff.initialize().await.unwrap();
    assert_eq!(goff.status().state, State::Ready);
    assert_eq!(goff.status().age, Duration::ZERO);
    assert_eq!(goff.status().last_error, None);
    assert_eq!(evaluate(&goff).await, Ok(Reason::Static));
    tokio::time::advance(Duration::from_secs(2)).await;
    // A second initialisation of a client that is ready changes nothing (GOFF-LIFE-002, C23).
    goff.initialize().await.unwrap();
    assert_eq!(goff.status().age, Duration::from_secs(2));
    assert_eq!(evaluate(&goff).await, Ok(Reason::Cached));
    goff.shutdown(DEADLINE).await;
    assert_eq!(goff.status().state, State::Closed);
    assert_eq!(evaluate(&goff).await, not_ready);
    assert_eq!(relay.requests().len(), 1);
}

/// GOFF-LIFE-003, C23: a client starts again with an empty cache, and with the events that were
/// not delivered.
#[tokio::test(start_paused = true)]
async fn client_starts_again_after_shutdown() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = goff(&relay).await;
    hit(&goff, 3).await;
    relay.set_collector_failure(Some(RelayError::RateLimited {
        remaining: Duration::from_secs(1),
    }));
    let report = goff.shutdown(DEADLINE).await;
    adds_up(&report);
    assert_eq!((report.recorded, report.pending), (3, 3));
    assert!(report.error.is_some());
    relay.set_collector_failure(None);
    for _ in 0..3 {
        goff.initialize().await.unwrap();
        assert_eq!(goff.status().state, State::Ready);
        assert_eq!(evaluate(&goff).await, Ok(Reason::Static));
        assert_eq!(evaluate(&goff).await, Ok(Reason::Cached));
        adds_up(&goff.shutdown(DEADLINE).await);
    }
    let delivered: usize = relay.batches().iter().map(|batch| batch.events.len()).sum();
    assert_eq!(delivered, 6);
    let stats = goff.stats();
    assert_eq!((stats.hits, stats.misses), (6, 4));
    assert_eq!(stats.usage.delivered, 6);
}

/// Python rows 38, 39, C23: shutting down a client that was never initialised, or twice, does no
/// harm and no work.
#[tokio::test]
async fn shutdown_is_safe_at_any_time() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let never = GoFeatureFlag::new(options(&relay)).unwrap();
    never.invalidation_sink().invalidate(Invalidation::All);
    adds_up(&never.flush(DEADLINE).await);
    adds_up(&never.shutdown(DEADLINE).await);
    assert_eq!(never.status().state, State::NotReady);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    drop(never);
    assert!(relay.requests().is_empty() && relay.batches().is_empty());

    let goff = goff(&relay).await;
    hit(&goff, 1).await;
    let first = goff.shutdown(DEADLINE).await;
    let second = goff.shutdown(DEADLINE).await;
    for report in [first, second] {
        adds_up(&report);
        assert_eq!((report.recorded, report.delivered), (1, 1));
    }
    assert_eq!(relay.batches().len(), 1);
    no_task_is_left().await;
}

/// A runtime is needed to start, and only then.
/// GOFF-LIFE-001.
#[test]
fn client_without_a_runtime_says_so() {
    let relay = ScriptedRelay::new();
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let mut initialize = std::pin::pin!(goff.initialize());
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        initialize.as_mut().poll(&mut context),
        std::task::Poll::Ready(Err(InitializeError::NoRuntime))
    ));
    assert_eq!(goff.status().state, State::NotReady);
}

/// Python rows 37, 40, C13: with a flush interval of 1,000,000 ms shutdown takes no time, and
/// delivers.
/// GOFF-LIFE-004, GOFF-COLL-014.
#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_an_interval() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).data_flush_interval(Duration::from_millis(1_000_000));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    hit(&goff, 2).await;
    let start = tokio::time::Instant::now();
    let report = goff.shutdown(DEADLINE).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!((report.delivered, report.pending), (2, 0));
}

/// GOFF-LIFE-005: a collector that takes its time holds shutdown up for no longer than the
/// deadline; what was on its way counts as still here.
#[tokio::test(start_paused = true)]
async fn shutdown_keeps_its_deadline_during_a_hanging_flush() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = goff(&relay).await;
    hit(&goff, 2).await;
    relay.set_collector_delay(Some(Duration::from_secs(1_000)));
    // One is under way already, of somebody who gave up.
    goff.flush(Duration::from_millis(10)).await;
    let start = tokio::time::Instant::now();
    let report = goff.shutdown(Duration::from_secs(2)).await;
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(
        start.elapsed() <= Duration::from_secs(2) + GRACE,
        "{:?}",
        start.elapsed()
    );
    adds_up(&report);
    assert_eq!((report.delivered, report.pending), (0, 2));
    no_task_is_left().await;
}

/// GOFF-LIFE-004: an evaluation under way may finish until the deadline, and is refused then.
#[tokio::test(start_paused = true)]
async fn evaluation_in_flight_finishes_or_is_refused_at_the_deadline() {
    for finishes in [true, false] {
        let relay = ScriptedRelay::new().with_value("flag", true).manual();
        let goff = goff(&relay).await;
        let asking = [0, 1].map(|_| {
            let goff = goff.clone();
            tokio::spawn(async move { evaluate(&goff).await })
        });
        relay.wait_for_requests(1).await;
        tokio::task::yield_now().await;
        let start = tokio::time::Instant::now();
        let stopping = tokio::spawn({
            let goff = goff.clone();
            async move { goff.shutdown(Duration::from_secs(2)).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Meanwhile nobody else gets in.
        assert_eq!(evaluate(&goff).await, Err(ErrorCode::ProviderNotReady));
        assert!(goff.track("x", &context(), Map::new()).is_err());
        assert!(!stopping.is_finished());
        if finishes {
            assert!(relay.complete(0));
        }
        let [first, second] = asking;
        let results = (first.await.unwrap(), second.await.unwrap());
        let report = stopping.await.unwrap();
        adds_up(&report);
        let took = start.elapsed();
        if finishes {
            assert_eq!(results, (Ok(Reason::Static), Ok(Reason::Cached)));
            assert_eq!(took, Duration::from_secs(1));
            // The follower's event came in time for the last flush.
            assert_eq!((report.recorded, report.delivered), (1, 1));
        } else {
            let refused = Err(ErrorCode::ProviderNotReady);
            assert_eq!(results, (refused.clone(), refused));
            assert!(took <= Duration::from_secs(2) + GRACE, "{took:?}");
            assert_eq!(report.recorded, 0);
        }
        no_task_is_left().await;
        assert_eq!(relay.waiting(), 0);
    }
}

/// An evaluation that shutdown waits for is recorded before the last delivery, on many threads too.
/// GOFF-LIFE-004.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_evaluations_in_flight_are_delivered_by_shutdown() {
    for _ in 0..300 {
        let relay = ScriptedRelay::new().with_value("flag", true).manual();
        let goff = goff(&relay).await;
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let goff = goff.clone();
                let mut caller = Box::pin(async move { evaluate(&goff).await });
                // It waits from here on, before shutdown begins.
                let mut context = Context::from_waker(Waker::noop());
                assert!(caller.as_mut().poll(&mut context).is_pending());
                tokio::spawn(caller)
            })
            .collect();
        relay.wait_for_requests(1).await;
        let stopping = tokio::spawn({
            let goff = goff.clone();
            async move { goff.shutdown(DEADLINE).await }
        });
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

/// C13: neither a stream that hangs while it connects nor one between two attempts holds up
/// shutdown, or leaves a task.
/// GOFF-LIFE-004, GOFF-LIFE-005.
#[tokio::test]
async fn shutdown_does_not_wait_for_the_stream() {
    let silent = FaultyServer::start([]).await.unwrap();
    for url in [silent.url(), FaultyServer::refusing_url().await.unwrap()] {
        let options = GoFeatureFlagOptions::new(&url).reconnect_interval(Duration::from_secs(60));
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let give_up = Instant::now() + DEADLINE;
        while silent.connections() == 0
            || (url != silent.url() && goff.status().last_error.is_none())
        {
            assert!(Instant::now() < give_up, "{:?}", goff.status());
            tokio::task::yield_now().await;
        }
        assert_eq!(goff.status().state, State::Ready, "Python A22");
        let start = Instant::now();
        let report = goff.shutdown(Duration::from_secs(10)).await;
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        adds_up(&report);
        assert_eq!(goff.status().state, State::Closed);
    }
}

/// GOFF-LIFE-005: real time and a real connection: a collector that never answers.
#[tokio::test]
async fn shutdown_keeps_its_deadline_with_a_silent_collector() {
    let collector = FaultyServer::start([]).await.unwrap();
    let evaluations = FaultyServer::start([Answer::new(
        200,
        json!({
            "value": true, "reason": "STATIC", "variationType": "A", "failed": false,
            "trackEvents": true, "cacheable": true, "errorCode": "", "version": "",
        })
        .to_string(),
    )])
    .await
    .unwrap();
    let options = GoFeatureFlagOptions::new(evaluations.url())
        .data_collector_base_url(collector.url())
        .disable_cache_invalidation(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    hit(&goff, 1).await;
    let deadline = Duration::from_millis(300);
    let start = Instant::now();
    let report = goff.shutdown(deadline).await;
    let took = start.elapsed();
    assert!(took >= deadline && took < deadline + GRACE, "{took:?}");
    assert_eq!(collector.requests().len(), 1);
    adds_up(&report);
    assert_eq!((report.delivered, report.pending), (0, 1));
}

/// Python rows 37–40, C28: dropping the last handle leaves no task, and asks no shutdown, on both
/// kinds of runtime, with a stream and requests under way.
#[test]
fn dropping_the_last_handle_leaves_no_task() {
    for runtime in both_runtimes() {
        runtime.block_on(async {
            let relay = ScriptedRelay::new().with_value("flag", true).manual();
            let goff = goff(&relay).await;
            let other = goff.clone();
            let asking = tokio::spawn({
                let goff = goff.clone();
                async move { evaluate(&goff).await }
            });
            relay.wait_for_requests(1).await;
            asking.abort();
            let _ = asking.await;
            let mut subscription = goff.subscribe();
            let sink = goff.invalidation_sink();
            drop(goff);
            assert_eq!(other.status().state, State::Ready);
            assert!(Handle::current().metrics().num_alive_tasks() > 0);
            drop(other);
            no_task_is_left().await;
            assert_eq!(relay.waiting(), 0);
            // What the caller still holds does no harm, and says that it is over.
            sink.invalidate(Invalidation::All);
            assert_eq!(subscription.next().await, None);

            let url = FaultyServer::refusing_url().await.unwrap();
            let goff = GoFeatureFlag::connect(GoFeatureFlagOptions::new(&url))
                .await
                .unwrap();
            assert!(Handle::current().metrics().num_alive_tasks() > 0);
            drop(goff);
            no_task_is_left().await;
        });
    }
}

/// A runtime that goes away first: nothing panics, and the client starts again on another.
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
            assert_eq!(evaluate(&goff).await, Ok(Reason::Cached));
            let report = goff.shutdown(DEADLINE).await;
            adds_up(&report);
            assert_eq!(report.recorded, 3);
            goff.initialize().await.unwrap();
            let report = goff.shutdown(DEADLINE).await;
            adds_up(&report);
            assert_eq!((report.delivered, report.pending), (3, 0));
        });
    }
}

/// Without any runtime left, dropping and asking a client do no harm either.
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
        assert_eq!(goff.status().state, State::Ready);
        goff.track("x", &context(), Map::new()).unwrap();
        goff.invalidation_sink().invalidate(Invalidation::All);
        let (done, dropped) = mpsc::channel();
        std::thread::spawn(move || {
            drop(goff);
            done.send(()).unwrap();
        });
        assert_eq!(dropped.recv_timeout(DEADLINE), Ok(()));
    }
}

/// Any mix of starting and stopping at once ends, and the client can still be started.
/// GOFF-LIFE-002, GOFF-LIFE-003.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn starting_and_stopping_at_once_ends() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = goff(&relay).await;
    for round in 0..50 {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let goff = goff.clone();
                tokio::spawn(async move {
                    match (task + round) % 4 {
                        0 => goff.initialize().await.unwrap(),
                        1 => adds_up(&goff.shutdown(DEADLINE).await),
                        2 => adds_up(&goff.shutdown(Duration::ZERO).await),
                        _ => assert!(matches!(
                            evaluate(&goff).await,
                            Ok(_) | Err(ErrorCode::ProviderNotReady)
                        )),
                    }
                })
            })
            .collect();
        for task in tasks {
            tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        }
    }
    goff.initialize().await.unwrap();
    assert_eq!(goff.status().state, State::Ready);
    evaluate(&goff).await.unwrap();
    adds_up(&goff.shutdown(DEADLINE).await);
    no_task_is_left().await;
}

/// Two shutdowns at once both come back, and what is buffered goes out once.
#[tokio::test(start_paused = true)]
async fn shutdowns_at_once_deliver_once() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = goff(&relay).await;
    hit(&goff, 4).await;
    relay.set_collector_delay(Some(Duration::from_secs(1)));
    let start = tokio::time::Instant::now();
    let (first, second) = tokio::join!(goff.shutdown(DEADLINE), goff.shutdown(DEADLINE));
    assert!(start.elapsed() <= DEADLINE + GRACE);
    for report in [first, second] {
        adds_up(&report);
        assert_eq!((report.recorded, report.delivered), (4, 4));
    }
    assert_eq!(relay.batches().len(), 1);
}

/// GOFF-EVT-001 to -003: Ready, what changed, Closed, and Ready again.
#[tokio::test]
async fn subscribers_are_told_of_the_life_of_a_client() {
    let relay = ScriptedRelay::new();
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let mut subscription = goff.subscribe();
    goff.initialize().await.unwrap();
    goff.initialize().await.unwrap();
    let flags = std::collections::BTreeSet::from(["a".to_owned()]);
    let sink = goff.invalidation_sink();
    sink.invalidate(Invalidation::Flags(flags.clone()));
    goff.shutdown(DEADLINE).await;
    goff.shutdown(DEADLINE).await;
    sink.invalidate(Invalidation::Flags(flags.clone()));
    goff.initialize().await.unwrap();
    drop(goff);
    let mut events = Vec::new();
    while let Some(event) = subscription.next().await {
        events.push(event);
    }
    let changed = ClientEvent::ConfigurationChanged(ChangedFlags::Named(flags));
    let expected = [
        ClientEvent::Ready,
        changed,
        ClientEvent::Closed,
        ClientEvent::Ready,
    ];
    assert_eq!(events, expected);
}

#[tokio::test(start_paused = true)]
async fn wait_until_ready_waits_for_it_or_for_its_deadline() {
    let goff = GoFeatureFlag::new(options(&ScriptedRelay::new())).unwrap();
    let start = tokio::time::Instant::now();
    assert!(!goff.wait_until_ready(Duration::from_secs(3)).await);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    let waiting = tokio::spawn({
        let goff = goff.clone();
        async move { goff.wait_until_ready(DEADLINE).await }
    });
    tokio::task::yield_now().await;
    goff.initialize().await.unwrap();
    assert!(waiting.await.unwrap());
    assert!(goff.wait_until_ready(Duration::ZERO).await);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    goff.shutdown(DEADLINE).await;
    assert!(!goff.wait_until_ready(Duration::from_secs(1)).await);
}

/// GOFF-TRACK-001 to -005: on the wire as the collector reads it, with the enriched context; none
/// when collection is off, or the client does not answer.
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
    let payload = || details(json!({"value": 99.5, "currency": "EUR"}));
    let refused = goff.track("checkout", &context, payload()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ProviderNotReady);
    goff.initialize().await.unwrap();
    goff.track("checkout", &context, payload()).unwrap();
    let unreadable = EvaluationContext::builder()
        .attribute("rate", Attribute::from(f64::NAN))
        .build();
    let refused = goff.track("checkout", &unreadable, payload()).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidContext);
    let report = goff.shutdown(DEADLINE).await;
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

    let silent = GoFeatureFlag::connect(with().disable_data_collection(true))
        .await
        .unwrap();
    silent.track("checkout", &context, payload()).unwrap();
    assert_eq!(silent.shutdown(DEADLINE).await.recorded, 0);
    assert_eq!(relay.batches().len(), 1);
}
