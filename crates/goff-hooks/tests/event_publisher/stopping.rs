//! Flushing and stopping within a time limit.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use goff_core::{ContextView, EventBatch, RelayClient, RelayError, Resolution};
use goff_hooks::{DeliveryReport, EventPublisher};
use goff_testkit::{RecordingLog, ScriptedRelay};
use tokio::time::Instant;

use crate::fixture::*;

/// The batch in flight continues and is not sent twice.
#[tokio::test(start_paused = true)]
async fn flush_returns_after_its_timeout() {
    let (relay, publisher) = running(options());
    relay.set_collector_delay(Some(10 * SECOND));
    record(&publisher, 0..3);
    let start = Instant::now();
    let report = publisher.flush(2 * SECOND).await;
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(counts(&report), (3, 0, 0, 3));
    let report = publisher.flush(MINUTE).await;
    assert_eq!(counts(&report), (3, 3, 0, 0));
    assert_eq!(start.elapsed(), 10 * SECOND);
    assert_eq!(batches(&relay), [[0, 1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn flush_behind_another_returns_after_its_own_timeout() {
    let (relay, publisher) = running(options());
    relay.set_collector_delay(Some(HOUR));
    record(&publisher, 0..3);
    let start = Instant::now();
    tokio::join!(
        publisher.flush(5 * SECOND),
        publisher.flush(SECOND),
        async {
            publisher.flush(2 * SECOND).await;
            assert_eq!(start.elapsed(), 2 * SECOND);
        }
    );
    assert_eq!(start.elapsed(), 5 * SECOND);
}

/// A batch that is cut off stays pending and is delivered in order after the next start.
#[tokio::test(start_paused = true)]
async fn shutdown_cuts_off_after_its_timeout() {
    let (relay, publisher) = running(options());
    relay.set_collector_delay(Some(HOUR));
    record(&publisher, 0..3);
    let start = Instant::now();
    let report = publisher.shutdown(2 * SECOND).await;
    assert!(start.elapsed() <= 2 * SECOND + Duration::from_millis(100));
    assert_eq!(counts(&report), (3, 0, 0, 3));
    assert_eq!(publisher.stats().in_flight, 0);

    relay.set_collector_delay(None);
    pass(2 * HOUR).await;
    assert!(relay.batches().is_empty());
    publisher.start().unwrap();
    record(&publisher, 3..4);
    let report = publisher.shutdown(2 * SECOND).await;
    assert_eq!(counts(&report), (4, 4, 0, 0));
    assert_eq!(batches(&relay), [[0, 1, 2, 3]]);
}

/// A batch that was in flight before the shutdown is cut off with it; if it ends in time, the rest
/// follows.
#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_a_batch_in_flight() {
    for (delay, delivered) in [(HOUR, 0), (3 * SECOND, 4)] {
        let (relay, publisher) = running(options());
        relay.set_collector_delay(Some(delay));
        record(&publisher, 0..2);
        let _ = publisher.flush(SECOND).await;
        record(&publisher, 2..4);
        let start = Instant::now();
        let report = publisher.shutdown(10 * SECOND).await;
        assert!(start.elapsed() <= 10 * SECOND + Duration::from_millis(100));
        assert_eq!(counts(&report), (4, delivered, 0, 4 - delivered));
        assert!(is_delivered(&relay, 0..delivered.cast_signed()));
    }
}

/// docs/python-parity.md A.6, row 40: it does not wait for the interval.
#[tokio::test(start_paused = true)]
async fn shutdown_is_prompt() {
    let (relay, publisher) = running(options().flush_interval(1_000_000 * SECOND));
    record(&publisher, 0..1);
    let start = Instant::now();
    publisher.shutdown(MINUTE).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(batches(&relay), [[0]]);
}

/// docs/python-parity.md A.6, row 39.
#[tokio::test(start_paused = true)]
async fn shutdown_is_idempotent() {
    let (relay, publisher) = running(options());
    relay.set_collector_delay(Some(SECOND));
    record(&publisher, 0..2);
    let (first, second) = tokio::join!(publisher.shutdown(MINUTE), publisher.shutdown(MINUTE));
    let third = publisher.shutdown(MINUTE).await;
    for report in [first, second, third] {
        assert_eq!(counts(&report), (2, 2, 0, 0));
    }
    assert_eq!(relay.batches().len(), 1);
    EventPublisher::new(Arc::new(relay), options())
        .shutdown(MINUTE)
        .await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_whose_future_is_dropped_stops_the_publisher() {
    let (relay, publisher) = running(options());
    relay.set_collector_delay(Some(HOUR));
    record(&publisher, 0..2);
    let result = tokio::time::timeout(SECOND, publisher.shutdown(MINUTE)).await;
    assert!(result.is_err());
    settle().await;
    let stats = publisher.stats();
    assert_eq!((stats.in_flight, stats.pending), (0, 2));
    record(&publisher, 2..3);
    assert_eq!(publisher.stats().dropped, 1);
}

#[tokio::test(start_paused = true)]
async fn longest_durations_are_accepted() {
    let longest = options()
        .flush_interval(Duration::MAX)
        .max_pending_events(usize::MAX);
    let (relay, publisher) = running(longest);
    record(&publisher, 0..1);
    publisher.flush(Duration::MAX).await;
    record(&publisher, 1..2);
    publisher.shutdown(Duration::MAX).await;
    assert_eq!(batches(&relay), [[0], [1]]);
}

/// docs/python-parity.md B16: they are counted and logged with one warning.
#[tokio::test(start_paused = true)]
async fn events_are_dropped_while_the_publisher_is_not_running() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    let publisher = EventPublisher::new(Arc::new(relay.clone()), options());
    record(&publisher, 0..3);
    publisher.start().unwrap();
    publisher.start().unwrap();
    record(&publisher, 3..5);
    publisher.shutdown(SECOND).await;
    record(&publisher, 5..9);
    let stats = publisher.stats();
    assert_eq!(
        (stats.recorded, stats.delivered, stats.dropped),
        (9, 2, 3 + 4)
    );
    assert_eq!(batches(&relay), [[3, 4]]);
    assert_eq!(counts(&publisher.flush(SECOND).await), (9, 2, 7, 0));
    let line = "WARN usage data dropped: the event publisher is not running";
    log.assert_count(line, 2);
}

/// Dropping the publisher ends its task, which drops the collector.
#[tokio::test(start_paused = true)]
async fn dropped_publisher_leaves_no_task() {
    let collector = Arc::new(ScriptedRelay::new());
    collector.set_collector_delay(Some(SECOND));
    let publisher = started(collector.clone(), options());
    record(&publisher, 0..2);
    let _ = publisher.flush(Duration::from_millis(1)).await;
    assert!(Arc::strong_count(&collector) > 1);
    drop(publisher);
    settle().await;
    assert_eq!(Arc::strong_count(&collector), 1);
}

/// A collector that panics, against the contract of `RelayClient`, until it is well.
#[derive(Debug, Default)]
struct Panicking {
    is_well: AtomicBool,
    /// Whether it panics when it is called, not when its future is awaited.
    at_once: bool,
    delivered: Mutex<Vec<i64>>,
}

impl RelayClient for Panicking {
    fn evaluate<'a, 'f, 'c, 'r>(
        &'a self,
        _: &'f str,
        _: &'c dyn ContextView,
    ) -> Pin<Box<dyn Future<Output = Result<Resolution, RelayError>> + Send + 'r>>
    where
        'a: 'r,
        'f: 'r,
        'c: 'r,
    {
        Box::pin(async { Ok(Resolution::default()) })
    }

    #[expect(clippy::panic, reason = "on purpose")]
    fn collect<'a, 'b, 'r>(
        &'a self,
        batch: &'b EventBatch,
    ) -> Pin<Box<dyn Future<Output = Result<(), RelayError>> + Send + 'r>>
    where
        'a: 'r,
        'b: 'r,
    {
        let panics = !self.is_well.load(Ordering::SeqCst);
        if panics && self.at_once {
            panic!("on purpose")
        }
        Box::pin(async move {
            tokio::time::sleep(SECOND).await;
            if panics {
                panic!("on purpose")
            }
            self.delivered
                .lock()
                .unwrap()
                .extend(batch.events.iter().map(id));
            Ok(())
        })
    }
}

/// It is a failed delivery like others: logged once, and tried again.
#[tokio::test(start_paused = true)]
async fn panic_of_the_collector_loses_no_event_and_delivery_goes_on() {
    for at_once in [false, true] {
        let (log, _guard) = Log::capture();
        let collector = Arc::new(Panicking {
            at_once,
            ..Panicking::default()
        });
        let publisher = started(Arc::clone(&collector), options());
        record(&publisher, 0..2);
        let report = publisher.flush(MINUTE).await;
        assert_eq!(counts(&report), (2, 0, 0, 2));
        let error = report.error.unwrap().to_string();
        assert!(error.contains("the relay client panicked"), "{error}");
        record(&publisher, 2..3);
        assert_eq!(counts(&publisher.flush(MINUTE).await), (3, 0, 0, 3));
        log.assert_count("WARN usage data not delivered", 1);
        collector.is_well.store(true, Ordering::SeqCst);
        pass(2 * MINUTE).await;
        assert_eq!(*collector.delivered.lock().unwrap(), [0, 1, 2]);
        record(&publisher, 3..4);
        assert_eq!(counts(&publisher.shutdown(MINUTE).await), (4, 4, 0, 0));
    }
}

/// Here in the subscriber of the application, also while that panic is logged.
#[tokio::test(start_paused = true)]
async fn panic_of_the_log_loses_no_event_and_delivery_goes_on() {
    let log = RecordingLog::of("goff_hooks");
    let _guard = tracing::subscriber::set_default(log.clone());
    for panics in [1, 2] {
        let (relay, publisher) = running(options());
        relay.set_collector_failure(refusal(503));
        log.panic_at("usage data not delivered", panics);
        record(&publisher, 0..2);
        let report = publisher.flush(MINUTE).await;
        assert_eq!(counts(&report), (2, 0, 0, 2));
        let error = report.error.unwrap().to_string();
        assert!(error.contains("the delivery panicked"), "{error}");
        assert_eq!(log.panics_left(), 0);
        relay.set_collector_failure(None);
        pass(2 * MINUTE).await;
        assert_eq!(batches(&relay), [[0, 1]]);
        record(&publisher, 2..3);
        assert_eq!(counts(&publisher.shutdown(MINUTE).await), (3, 3, 0, 0));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Calls without a runtime or after its end are harmless, and another runtime can deliver the
/// pending events.
#[test]
fn publisher_outlives_its_runtime() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(HOUR));
    let publisher = EventPublisher::new(Arc::new(relay.clone()), small());
    assert!(publisher.start().is_err());
    let first = runtime();
    first.block_on(async {
        publisher.start().unwrap();
        record(&publisher, 0..2);
        let _ = publisher.flush(SECOND).await;
        assert_eq!(publisher.stats().in_flight, 2);
    });
    drop(first);
    record(&publisher, 2..6);
    let stats = publisher.stats();
    assert_eq!((stats.in_flight, stats.pending), (0, 6));

    relay.set_collector_delay(None);
    let second = runtime();
    let report = second.block_on(publisher.flush(SECOND));
    assert_eq!(counts(&report), (6, 0, 0, 6));
    let names_runtime = |report: &DeliveryReport| {
        let error = report.error.as_ref().unwrap().to_string();
        assert!(error.contains("tokio runtime"), "{error}");
    };
    names_runtime(&report);
    let report = second.block_on(async {
        publisher.start().unwrap();
        publisher.flush(SECOND).await
    });
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(batches(&relay).concat(), [0, 1, 2, 3, 4, 5]);
    drop(second);
    let report = runtime().block_on(publisher.flush(SECOND));
    assert!(report.error.is_none(), "nothing is pending: {report:?}");
    record(&publisher, 6..7);
    let report = runtime().block_on(publisher.shutdown(SECOND));
    assert_eq!(counts(&report), (7, 6, 0, 1));
    names_runtime(&report);
    names_runtime(&publisher.report());
    let third = runtime();
    let report = third.block_on(async {
        publisher.start().unwrap();
        relay.set_collector_delay(Some(HOUR));
        publisher.shutdown(Duration::from_millis(50)).await
    });
    assert_eq!(counts(&report), (7, 6, 0, 1));
    assert!(
        report.error.is_none(),
        "its runtime has not ended: {report:?}"
    );
}

/// Another executor can wait for the publisher, whether its runtime is driven or not.
#[test]
fn flush_and_shutdown_work_outside_tokio() {
    let driven = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let idle = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    for (runtime, delivered) in [(driven, 3), (idle, 0)] {
        let (_relay, publisher) = {
            let _entered = runtime.enter();
            running(options())
        };
        record(&publisher, 0..3);
        let limit = Duration::from_millis(if delivered == 0 { 20 } else { 5_000 });
        pollster::block_on(async {
            let report = publisher.flush(limit).await;
            assert_eq!(counts(&report), (3, delivered, 0, 3 - delivered));
            for _ in 0..2 {
                let report = publisher.shutdown(limit).await;
                assert_eq!(counts(&report), (3, delivered, 0, 3 - delivered));
            }
        });
    }
    let never_started = EventPublisher::new(Arc::new(ScriptedRelay::new()), options());
    pollster::block_on(never_started.flush(SECOND));
    pollster::block_on(never_started.shutdown(SECOND));
}
