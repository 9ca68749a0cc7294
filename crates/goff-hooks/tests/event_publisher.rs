//! The publisher over a scripted relay proxy, on a clock that stands still.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{
    BulkEvaluation, ConfigurationUpdate, ContextKind, ContextView, ErrorCode, Etag, Event,
    EventBatch, EventSink, EventSource, ExporterMetadata, FeatureEvent, RelayClient, RelayError,
    Resolution,
};
use goff_hooks::{DeliveryReport, EventPublisher, EventPublisherOptions};
use goff_testkit::ScriptedRelay;
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn event(id: i64, failed: bool, value: Option<Value>) -> Event {
    Event::Feature(FeatureEvent {
        context_kind: ContextKind::User,
        user_key: "user".into(),
        creation_date_seconds: id,
        flag_key: "flag".into(),
        resolution: None,
        served_instead: value.map(Box::new),
        failed,
        source: EventSource::ProviderCache,
    })
}

fn record(publisher: &EventPublisher, ids: std::ops::Range<i64>) {
    for id in ids {
        publisher.record(event(id, false, None));
    }
}

fn started(relay: &ScriptedRelay, options: EventPublisherOptions) -> EventPublisher {
    let publisher = EventPublisher::new(Arc::new(relay.clone()), options);
    publisher.start().unwrap();
    publisher
}

fn options() -> EventPublisherOptions {
    EventPublisherOptions::default()
}

fn small() -> EventPublisherOptions {
    options().max_pending_events(4)
}

/// The ids of every event that arrived, by batch.
fn batches(relay: &ScriptedRelay) -> Vec<Vec<i64>> {
    let ids = |batch: &EventBatch| batch.events.iter().map(id).collect();
    relay.batches().iter().map(ids).collect()
}

fn id(event: &Event) -> i64 {
    match event {
        Event::Feature(event) => event.creation_date_seconds,
        _ => -1,
    }
}

fn refusal(status: u16) -> Option<RelayError> {
    Some(RelayError::Status {
        status,
        path: "/v1/data/collector".to_owned(),
        message: None,
        code: ErrorCode::General,
    })
}

/// (recorded, delivered, dropped, buffered), which add up.
fn counts(report: &DeliveryReport) -> (u64, u64, u64, u64) {
    let DeliveryReport {
        recorded,
        delivered,
        dropped,
        buffered,
        ..
    } = *report;
    assert_eq!(recorded, delivered + dropped + buffered, "{report:?}");
    (recorded, delivered, dropped, buffered)
}

/// Lets the task do what it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass, second by second, so that the task sees each.
async fn pass(time: Duration) {
    for _ in 0..time.as_secs() {
        advance(SECOND).await;
        settle().await;
    }
}

/// GOFF-COLL-015, Python A54, row 31: nothing at start, nothing when there is nothing.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_at_start_or_when_empty() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options());
    pass(10 * MINUTE).await;
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (0, 0, 0, 0));
    publisher.shutdown(SECOND).await;
    assert!(relay.batches().is_empty());
}

/// GOFF-COLL-014, Python row 29: on the interval, and once more at shutdown.
#[tokio::test(start_paused = true)]
async fn events_are_sent_on_the_interval_and_at_shutdown() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options());
    record(&publisher, 0..3);
    settle().await;
    pass(59 * SECOND).await;
    assert!(relay.batches().is_empty());
    pass(SECOND).await;
    assert_eq!(batches(&relay), [[0, 1, 2]]);
    record(&publisher, 3..4);
    pass(59 * SECOND).await;
    assert_eq!(relay.batches().len(), 1);
    let report = publisher.shutdown(SECOND).await;
    assert_eq!(batches(&relay), [vec![0, 1, 2], vec![3]]);
    assert_eq!(counts(&report), (4, 4, 0, 0));
    assert!(report.error.is_none());
}

/// GOFF-COLL-014: at `max_pending_events`, without waiting for the interval.
#[tokio::test(start_paused = true)]
async fn many_events_are_sent_at_once() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, small());
    record(&publisher, 0..3);
    settle().await;
    assert!(relay.batches().is_empty());
    record(&publisher, 3..4);
    settle().await;
    assert_eq!(batches(&relay), [[0, 1, 2, 3]]);
    record(&publisher, 4..8);
    settle().await;
    assert_eq!(relay.batches().len(), 2);
}

/// The defaults of both options: 60 s and 10,000 events.
/// GOFF-CFG-003.
#[tokio::test(start_paused = true)]
async fn default_is_ten_thousand_events() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options());
    record(&publisher, 0..9_999);
    settle().await;
    assert!(relay.batches().is_empty());
    record(&publisher, 9_999..10_000);
    while publisher.stats().delivered < 10_000 {
        tokio::task::yield_now().await;
    }
    let sent: Vec<i64> = batches(&relay).concat();
    assert!(sent.into_iter().eq(0..10_000));
}

/// GOFF-COLL-002, GOFF-COLL-011, Python row 30 and A53.
#[tokio::test(start_paused = true)]
async fn batch_carries_the_exporter_metadata() {
    let relay = ScriptedRelay::new();
    let metadata = ExporterMetadata::new([
        ("version".to_owned(), json!("1.0.0")),
        ("name".to_owned(), json!("myapp")),
        ("id".to_owned(), json!(123)),
    ])
    .unwrap();
    let publisher = started(&relay, options().exporter_metadata(metadata));
    record(&publisher, 0..3);
    publisher.shutdown(SECOND).await;
    assert_eq!(
        serde_json::to_value(&relay.batches()[0].meta).unwrap(),
        json!({
            "version": "1.0.0", "name": "myapp", "id": 123,
            "provider": "rust", "openfeature": true,
        })
    );
}

/// GOFF-COLL-018, Python A55, C16: in order, and nothing that came meanwhile is lost.
#[tokio::test(start_paused = true)]
async fn failed_batch_is_sent_again_in_order() {
    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(503));
    let publisher = started(&relay, options());
    record(&publisher, 0..3);
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (3, 0, 0, 3));
    assert!(report.error.is_some());
    record(&publisher, 3..5);
    relay.set_collector_failure(None);
    pass(MINUTE).await;
    assert_eq!(batches(&relay), [[0, 1, 2, 3, 4]]);
    assert!(publisher.flush(SECOND).await.error.is_none());
}

/// Events recorded while a batch is on its way stay (Python C16).
/// GOFF-COLL-017.
#[tokio::test(start_paused = true)]
async fn events_recorded_during_a_delivery_are_kept() {
    for failure in [None, refusal(500)] {
        let relay = ScriptedRelay::new();
        relay.set_collector_delay(Some(5 * SECOND));
        let publisher = started(&relay, options());
        record(&publisher, 0..2);
        let flush = async {
            relay.set_collector_failure(failure.clone());
            publisher.flush(MINUTE).await
        };
        let during = async {
            settle().await;
            assert_eq!(publisher.stats().in_flight, 2);
            record(&publisher, 2..4);
        };
        let (report, ()) = tokio::join!(flush, during);
        assert_eq!(report.recorded, 4);
        relay.set_collector_failure(None);
        publisher.shutdown(MINUTE).await;
        assert_eq!(batches(&relay).concat(), [0, 1, 2, 3]);
    }
}

/// After a failure the size trigger rests until another reason has delivered a batch.
#[tokio::test(start_paused = true)]
async fn size_trigger_rests_after_a_failure() {
    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(503));
    let publisher = started(&relay, small());
    record(&publisher, 0..4);
    settle().await;
    assert_eq!(relay.refused_batches(), 1);
    record(&publisher, 4..40);
    settle().await;
    assert_eq!(relay.refused_batches(), 1);
    pass(MINUTE).await;
    assert_eq!(relay.refused_batches(), 2);
    relay.set_collector_failure(None);
    record(&publisher, 40..41);
    settle().await;
    assert!(relay.batches().is_empty());
    pass(MINUTE).await;
    assert_eq!(batches(&relay), [[33, 34, 35, 36], [37, 38, 39, 40]]);
    record(&publisher, 41..45);
    settle().await;
    assert_eq!(batches(&relay).last().unwrap(), &[41, 42, 43, 44]);
}

/// What an earlier life failed at does not keep a later one from delivering.
#[tokio::test(start_paused = true)]
async fn size_trigger_works_again_after_a_restart() {
    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(503));
    let publisher = started(&relay, small());
    record(&publisher, 0..4);
    settle().await;
    publisher.shutdown(SECOND).await;
    relay.set_collector_failure(None);
    publisher.start().unwrap();
    record(&publisher, 4..5);
    settle().await;
    assert_eq!(batches(&relay), [vec![0, 1, 2, 3], vec![4]]);
}

/// GOFF-COLL-019, Python C16, C17: a batch that can never be taken blocks what is behind it only
/// until the cap has pushed it out.
#[tokio::test(start_paused = true)]
async fn buffer_holds_twice_the_pending_events() {
    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(400));
    let publisher = started(&relay, small());
    record(&publisher, 0..100);
    let stats = publisher.stats();
    assert_eq!((stats.buffered, stats.dropped), (8, 92));
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (100, 0, 92, 8));
    relay.set_collector_failure(None);
    publisher.flush(SECOND).await;
    assert_eq!(batches(&relay).concat(), [92, 93, 94, 95, 96, 97, 98, 99]);
}

/// An outage makes every evaluation an error; the hits before it survive.
/// GOFF-COLL-019.
#[tokio::test(start_paused = true)]
async fn errors_of_an_outage_do_not_push_out_earlier_events() {
    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(503));
    let publisher = started(&relay, small());
    record(&publisher, 0..3);
    for id in 3..100 {
        publisher.record(event(id, true, None));
    }
    relay.set_collector_failure(None);
    publisher.flush(SECOND).await;
    assert_eq!(batches(&relay).concat(), [0, 1, 2, 95, 96, 97, 98, 99]);
}

/// Batches have at most `max_pending_events` events and 1 MB; an event that is larger on its own
/// goes on its own.
#[tokio::test(start_paused = true)]
async fn batches_are_bounded_in_count_and_bytes() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options().max_pending_events(100));
    let sizes = [300_000, 300_000, 300_000, 300_000, 2_000_000, 10, 10];
    for (id, size) in (0..).zip(sizes) {
        publisher.record(event(id, false, Some(json!("x".repeat(size)))));
    }
    publisher.flush(SECOND).await;
    assert_eq!(
        batches(&relay),
        [vec![0, 1, 2], vec![3], vec![4], vec![5, 6]]
    );
    for batch in relay.batches() {
        let bytes = serde_json::to_vec(&batch).unwrap().len();
        assert!(bytes <= 1_000_000 || batch.events.len() == 1, "{bytes}");
    }

    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(503));
    let publisher = started(&relay, small());
    record(&publisher, 0..7);
    publisher.flush(SECOND).await;
    relay.set_collector_failure(None);
    publisher.flush(SECOND).await;
    assert_eq!(batches(&relay), [vec![0, 1, 2, 3], vec![4, 5, 6]]);
}

/// More than one slice of small events fills a batch to the limit of bytes, and no further.
#[tokio::test(start_paused = true)]
async fn batches_of_small_events_are_filled() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options().max_pending_events(20_000));
    record(&publisher, 0..15_000);
    publisher.flush(MINUTE).await;
    let sizes: Vec<usize> = relay
        .batches()
        .iter()
        .map(|batch| serde_json::to_vec(batch).unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!((999_000..=1_000_000).contains(&sizes[0]), "{sizes:?}");
    assert!(batches(&relay).concat().into_iter().eq(0..15_000));
}

/// A collector that counts how many batches are on their way at once.
#[derive(Debug, Default)]
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

#[async_trait]
impl RelayClient for Counting {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn evaluate_all(&self, _: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        Ok(BulkEvaluation::new())
    }

    async fn flag_configuration(
        &self,
        _: &[String],
        _: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        Ok(ConfigurationUpdate::NotModified)
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(SECOND).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// GOFF-COLL-016, GOFF-COLL-017.
#[tokio::test(start_paused = true)]
async fn one_batch_is_on_its_way_at_a_time() {
    let collector = Arc::new(Counting::default());
    let publisher = EventPublisher::new(collector.clone(), small().flush_interval(SECOND));
    publisher.start().unwrap();
    for round in 0..10 {
        record(&publisher, 0..5);
        let (first, second) = tokio::join!(publisher.flush(MINUTE), async {
            settle().await;
            record(&publisher, 0..5);
            publisher.flush(MINUTE).await
        });
        counts(&first);
        assert_eq!(second.buffered, 0, "round {round}");
    }
    publisher.shutdown(MINUTE).await;
    assert_eq!(collector.most.load(Ordering::SeqCst), 1);
    assert!(collector.all.load(Ordering::SeqCst) > 20);
}

/// A flush ends at its deadline; the batch goes on, and is not sent twice.
#[tokio::test(start_paused = true)]
async fn flush_returns_at_its_deadline() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(10 * SECOND));
    let publisher = started(&relay, options());
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

/// Whoever flushes after a hanging batch is not held longer than its own deadline either.
#[tokio::test(start_paused = true)]
async fn flush_behind_another_returns_at_its_deadline() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(HOUR));
    let publisher = started(&relay, options());
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

/// Shutdown is over at its deadline; what is cut off then is still buffered, and delivered by the
/// next start, in order.
#[tokio::test(start_paused = true)]
async fn shutdown_cuts_off_at_its_deadline() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(HOUR));
    let publisher = started(&relay, options());
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

/// A batch that hangs since before the shutdown is cut off with it; one that ends in time is
/// followed by the rest.
#[tokio::test(start_paused = true)]
async fn shutdown_deals_with_a_batch_on_its_way() {
    for (delay, delivered) in [(HOUR, 0), (3 * SECOND, 4)] {
        let relay = ScriptedRelay::new();
        relay.set_collector_delay(Some(delay));
        let publisher = started(&relay, options());
        record(&publisher, 0..2);
        let _ = publisher.flush(SECOND).await;
        record(&publisher, 2..4);
        let start = Instant::now();
        let report = publisher.shutdown(10 * SECOND).await;
        assert!(start.elapsed() <= 10 * SECOND + Duration::from_millis(100));
        assert_eq!(counts(&report), (4, delivered, 0, 4 - delivered));
        assert!(
            batches(&relay)
                .concat()
                .into_iter()
                .eq(0..i64::try_from(delivered).unwrap())
        );
    }
}

/// Python row 40: not a moment of the interval is waited for.
#[tokio::test(start_paused = true)]
async fn shutdown_is_prompt() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options().flush_interval(1_000_000 * SECOND));
    record(&publisher, 0..1);
    let start = Instant::now();
    publisher.shutdown(MINUTE).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(batches(&relay), [[0]]);
}

/// Python row 39: twice, and at once, without harm.
#[tokio::test(start_paused = true)]
async fn shutdown_is_idempotent() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(SECOND));
    let publisher = started(&relay, options());
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
async fn shutdown_that_is_given_up_leaves_nothing_running() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(HOUR));
    let publisher = started(&relay, options());
    record(&publisher, 0..2);
    let given_up = tokio::time::timeout(SECOND, publisher.shutdown(MINUTE)).await;
    assert!(given_up.is_err());
    settle().await;
    let stats = publisher.stats();
    assert_eq!((stats.in_flight, stats.buffered), (0, 2));
    record(&publisher, 2..3);
    assert_eq!(publisher.stats().dropped, 1);
}

/// No duration is too long.
#[tokio::test(start_paused = true)]
async fn endless_durations_do_no_harm() {
    let relay = ScriptedRelay::new();
    let endless = options()
        .flush_interval(Duration::MAX)
        .max_pending_events(usize::MAX);
    let publisher = started(&relay, endless);
    record(&publisher, 0..1);
    publisher.flush(Duration::MAX).await;
    record(&publisher, 1..2);
    publisher.shutdown(Duration::MAX).await;
    assert_eq!(batches(&relay), [[0], [1]]);
}

/// Python B16: outside of start and shutdown events are dropped, counted, with one warning.
#[tokio::test(start_paused = true)]
async fn events_are_dropped_while_the_publisher_does_not_run() {
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
    assert_eq!(log.count("WARN usage data are dropped, because"), 2);
}

/// Python C21: per instance.
#[tokio::test(start_paused = true)]
async fn publishers_share_nothing() {
    let relays = [ScriptedRelay::new(), ScriptedRelay::new()];
    let publishers = relays.each_ref().map(|relay| started(relay, options()));
    record(&publishers[0], 0..2);
    record(&publishers[1], 2..3);
    for publisher in &publishers {
        publisher.shutdown(SECOND).await;
    }
    assert_eq!(batches(&relays[0]), [[0, 1]]);
    assert_eq!(batches(&relays[1]), [[2]]);
}

/// One warning when an outage begins, one summary when it is over (Python B16, C17).
/// GOFF-ERR-006.
#[tokio::test(start_paused = true)]
async fn outage_is_told_once_at_either_end() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, small());
    relay.set_collector_failure(refusal(400));
    for id in 0..10 {
        record(&publisher, id..id + 1);
        pass(MINUTE).await;
    }
    assert_eq!(log.count("WARN"), 1);
    assert_eq!(log.count("WARN usage data were not delivered"), 1);
    assert_eq!(log.count("400"), 1);
    relay.set_collector_failure(None);
    pass(MINUTE).await;
    pass(MINUTE).await;
    assert_eq!(log.count("WARN"), 2);
    assert_eq!(
        log.count("WARN usage data are delivered again delivered=8 dropped=2"),
        1
    );
    // The next outage is another one; nothing was lost in it.
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..1);
    pass(MINUTE).await;
    relay.set_collector_failure(None);
    pass(MINUTE).await;
    assert_eq!(log.count("WARN"), 3);
    assert_eq!(
        log.count("INFO usage data are delivered again delivered=1 dropped=0"),
        1
    );
}

/// Without an outage too: events that come faster than they are taken.
#[tokio::test(start_paused = true)]
async fn loss_under_load_is_told_once_at_either_end() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(SECOND));
    let publisher = started(&relay, small());
    for _ in 0..10 {
        record(&publisher, 0..20);
        pass(SECOND).await;
    }
    assert_eq!(log.count("WARN"), 1);
    assert_eq!(
        log.count("WARN usage data are dropped: they come faster"),
        1
    );
    pass(10 * SECOND).await;
    record(&publisher, 0..4);
    pass(10 * SECOND).await;
    assert_eq!(log.count("WARN"), 2);
    assert_eq!(log.count("WARN usage data are delivered again"), 1);
    counts(&publisher.flush(MINUTE).await);
}

/// GOFF-ERR-006.
#[tokio::test(start_paused = true)]
async fn shutdown_tells_what_is_lost() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options());
    record(&publisher, 0..1);
    publisher.shutdown(SECOND).await;
    assert_eq!(log.count("WARN"), 0);
    relay.set_collector_failure(refusal(503));
    publisher.start().unwrap();
    record(&publisher, 0..2);
    publisher.shutdown(SECOND).await;
    assert_eq!(
        log.count("WARN usage data were not all delivered by the time of shutdown delivered=1 dropped=0 buffered=2"),
        1
    );
}

/// The option `debug`: deliveries at INFO.
#[tokio::test(start_paused = true)]
async fn deliveries_are_logged_at_debug_or_info() {
    let (log, _guard) = Log::capture();
    for debug in [false, true] {
        let publisher = started(&ScriptedRelay::new(), options().debug(debug));
        record(&publisher, 0..2);
        publisher.flush(SECOND).await;
    }
    assert_eq!(log.count("DEBUG usage data delivered delivered=2"), 1);
    assert_eq!(log.count("INFO usage data delivered delivered=2"), 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_evaluations_are_counted_and_not_sent() {
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options());
    publisher.note_unknown();
    publisher.note_unknown();
    let stats = publisher.stats();
    assert_eq!((stats.unknown, stats.recorded), (2, 0));
    publisher.shutdown(SECOND).await;
    assert!(relay.batches().is_empty());
}

/// Dropping the publisher ends its task, which lets go of the collector.
#[tokio::test(start_paused = true)]
async fn dropped_publisher_leaves_no_task() {
    let collector = Arc::new(Counting::default());
    let publisher = EventPublisher::new(collector.clone(), options());
    publisher.start().unwrap();
    record(&publisher, 0..2);
    let _ = publisher.flush(Duration::from_millis(1)).await;
    assert!(Arc::strong_count(&collector) > 1);
    drop(publisher);
    settle().await;
    assert_eq!(Arc::strong_count(&collector), 1);
}

/// A collector that breaks its promise never to panic loses no event.
#[derive(Debug)]
struct Panicking;

#[async_trait]
impl RelayClient for Panicking {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn evaluate_all(&self, _: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        Ok(BulkEvaluation::new())
    }

    async fn flag_configuration(
        &self,
        _: &[String],
        _: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        Ok(ConfigurationUpdate::NotModified)
    }

    #[expect(clippy::panic, reason = "on purpose")]
    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        panic!("on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn panic_of_the_collector_loses_no_event() {
    let publisher = EventPublisher::new(Arc::new(Panicking), options());
    publisher.start().unwrap();
    record(&publisher, 0..2);
    assert_eq!(counts(&publisher.flush(SECOND).await), (2, 0, 0, 2));
    record(&publisher, 2..3);
    assert_eq!(counts(&publisher.shutdown(SECOND).await), (3, 0, 0, 3));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Neither a thread without a runtime nor one whose runtime is gone is disturbed, and another
/// runtime can take over what is left.
#[test]
fn runtime_that_goes_away_first_does_no_harm() {
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
    assert_eq!((stats.in_flight, stats.buffered), (0, 6));

    relay.set_collector_delay(None);
    let second = runtime();
    let report = second.block_on(publisher.flush(SECOND));
    assert_eq!(counts(&report), (6, 0, 0, 6));
    second.block_on(async {
        publisher.start().unwrap();
        publisher.flush(SECOND).await;
    });
    assert_eq!(batches(&relay).concat(), [0, 1, 2, 3, 4, 5]);
    drop(second);
    let report = runtime().block_on(publisher.shutdown(SECOND));
    assert_eq!(counts(&report), (6, 6, 0, 0));
}

/// The same on a runtime with several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_several_threads() {
    let relay = ScriptedRelay::new();
    let publisher = Arc::new(started(&relay, small()));
    let recording: Vec<_> = (0..4)
        .map(|n| {
            let publisher = Arc::clone(&publisher);
            std::thread::spawn(move || {
                record(&publisher, n..n + 1);
                publisher.note_unknown();
            })
        })
        .collect();
    for thread in recording {
        thread.join().unwrap();
    }
    let report = publisher.shutdown(MINUTE).await;
    assert_eq!(counts(&report), (4, 4, 0, 0));
    assert_eq!(publisher.stats().unknown, 4);
    let mut ids = batches(&relay).concat();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
}

/// What this thread logs: level, message, other fields.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// How many lines hold `text`.
    fn count(&self, text: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("goff_hooks")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String, String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
                if field.name() == "message" {
                    write!(self.0, " {value:?}").unwrap();
                } else {
                    write!(self.1, " {field}={value:?}").unwrap();
                }
            }
        }
        let mut line = Line(event.metadata().level().to_string(), String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0 + &line.1);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
