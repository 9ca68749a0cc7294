//! When events are sent, in which batches, and again after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use async_trait::async_trait;
use goff_core::{
    ContextView, EventBatch, EventSink, ExporterMetadata, RelayClient, RelayError, Resolution,
};
use serde_json::json;

use crate::fixture::*;

/// docs/python-parity.md A54; docs/python-parity.md A.6, row 31; GOFF-COLL-015.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_at_start_or_when_empty() {
    let (relay, publisher) = running(options());
    pass(10 * MINUTE).await;
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (0, 0, 0, 0));
    publisher.shutdown(SECOND).await;
    assert!(relay.batches().is_empty());
}

/// docs/python-parity.md A.6, row 29; GOFF-COLL-014.
#[tokio::test(start_paused = true)]
async fn events_are_sent_on_the_interval_and_at_shutdown() {
    let (relay, publisher) = running(options());
    record(&publisher, 0..3);
    settle().await;
    // The first interval is up to half shorter.
    pass(29 * SECOND).await;
    assert!(relay.batches().is_empty());
    pass(32 * SECOND).await;
    assert_eq!(batches(&relay), [[0, 1, 2]]);
    record(&publisher, 3..4);
    pass(20 * SECOND).await;
    assert_eq!(relay.batches().len(), 1);
    let report = publisher.shutdown(SECOND).await;
    assert_eq!(batches(&relay), [vec![0, 1, 2], vec![3]]);
    assert_eq!(counts(&report), (4, 4, 0, 0));
    assert!(report.error.is_none());
}

/// GOFF-COLL-014: at `max_pending_events`.
#[tokio::test(start_paused = true)]
async fn many_events_are_sent_without_waiting() {
    let (relay, publisher) = running(small());
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

/// Applications that were started together do not deliver together.
#[tokio::test(start_paused = true)]
async fn intervals_have_a_jitter() {
    let publishers: Vec<_> = (0..60).map(|_| running(options())).collect();
    let mut deliveries = Vec::new();
    for round in 1..3 {
        publishers
            .iter()
            .for_each(|(_, publisher)| record(publisher, 0..1));
        let mut delivered = vec![0; 67];
        for second in &mut delivered {
            pass(SECOND).await;
            let count = publishers
                .iter()
                .filter(|(relay, _)| relay.batches().len() == round);
            *second = count.count();
        }
        assert_eq!((delivered[28], delivered[66]), (0, 60));
        deliveries = delivered;
        // In step again: the next round begins where all are done.
        for (_, publisher) in &publishers {
            publisher.shutdown(SECOND).await;
            publisher.start().unwrap();
        }
        settle().await;
    }
    let most_at_once = deliveries.windows(2).map(|two| two[1] - two[0]).max();
    // Two a second on average in this half of the interval.
    assert!(most_at_once < Some(12), "{deliveries:?}");
}

/// Half of `max_pending_bytes`, so that a collector that works never lets the buffer overflow.
#[tokio::test(start_paused = true)]
async fn many_bytes_are_sent_without_waiting() {
    let large = |id| event(id).with_default_value(Some(Box::new(json!("x".repeat(10_000)))));
    let (relay, publisher) = running(options().max_pending_bytes(100_000));
    for id in 0..30 {
        publisher.record(large(id).into());
        settle().await;
        assert!(publisher.stats().pending_bytes <= 60_000);
    }
    assert_eq!(counts(&publisher.flush(SECOND).await), (30, 30, 0, 0));
    assert!(is_delivered(&relay, 0..30));
    assert_eq!(publisher.stats().pending_bytes, 0);
}

/// GOFF-COLL-019: by bytes as by number, the oldest first.
#[tokio::test(start_paused = true)]
async fn buffer_holds_so_many_bytes() {
    let large = |id| event(id).with_default_value(Some(Box::new(json!("x".repeat(10_000)))));
    let (relay, publisher) = running(options().max_pending_bytes(100_000));
    relay.set_collector_failure(refusal(503));
    (0..50).for_each(|id| publisher.record(large(id).into()));
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (50, 0, 41, 9));
    let bytes = publisher.stats().pending_bytes;
    assert!((90_000..=100_000).contains(&bytes), "{bytes}");
    let alone_too_large = Box::new(json!("x".repeat(100_000)));
    publisher.record(event(50).with_default_value(Some(alone_too_large)).into());
    relay.set_collector_failure(None);
    assert_eq!(counts(&publisher.flush(SECOND).await), (51, 9, 42, 0));
    assert!(is_delivered(&relay, 41..50));
}

/// GOFF-CFG-003: the defaults of both options are 60 s and 10,000 events.
#[tokio::test(start_paused = true)]
async fn default_is_ten_thousand_events() {
    let (relay, publisher) = running(options());
    record(&publisher, 0..9_999);
    settle().await;
    assert!(relay.batches().is_empty());
    record(&publisher, 9_999..10_000);
    while publisher.stats().delivered < 10_000 {
        tokio::task::yield_now().await;
    }
    assert!(is_delivered(&relay, 0..10_000));
}

/// docs/python-parity.md A53; docs/python-parity.md A.6, row 30; GOFF-COLL-002, GOFF-COLL-011.
#[tokio::test(start_paused = true)]
async fn batch_carries_the_exporter_metadata() {
    let entries = json!({"version": "1.0.0", "name": "myapp", "id": 123});
    let metadata = ExporterMetadata::new(entries.as_object().unwrap().clone()).unwrap();
    let (relay, publisher) = running(options().exporter_metadata(metadata));
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

/// docs/python-parity.md A55; docs/python-parity.md C16; GOFF-COLL-018: in order, and no later event is lost.
#[tokio::test(start_paused = true)]
async fn failed_batch_is_sent_again_in_order() {
    let (relay, publisher) = running(options());
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..3);
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (3, 0, 0, 3));
    assert!(report.error.is_some());
    record(&publisher, 3..5);
    relay.set_collector_failure(None);
    pass(INTERVAL).await;
    assert_eq!(batches(&relay), [[0, 1, 2, 3, 4]]);
    assert!(publisher.flush(SECOND).await.error.is_none());
}

/// docs/python-parity.md C16; GOFF-COLL-017.
#[tokio::test(start_paused = true)]
async fn events_recorded_during_a_delivery_are_kept() {
    for failure in [None, refusal(500)] {
        let (relay, publisher) = running(options());
        relay.set_collector_delay(Some(5 * SECOND));
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

/// It stays off until the interval or a flush delivers a batch.
#[tokio::test(start_paused = true)]
async fn size_trigger_is_off_after_a_failure() {
    let (relay, publisher) = running(small());
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..4);
    settle().await;
    assert_eq!(relay.refused_batches(), 1);
    record(&publisher, 4..40);
    settle().await;
    assert_eq!(relay.refused_batches(), 1);
    pass(INTERVAL).await;
    assert_eq!(relay.refused_batches(), 2);
    relay.set_collector_failure(None);
    record(&publisher, 40..41);
    settle().await;
    assert!(relay.batches().is_empty());
    pass(INTERVAL).await;
    assert_eq!(batches(&relay), [[33, 34, 35, 36], [37, 38, 39, 40]]);
    record(&publisher, 41..45);
    settle().await;
    assert_eq!(batches(&relay).last().unwrap(), &[41, 42, 43, 44]);
}

/// A failure in one session does not affect the next.
#[tokio::test(start_paused = true)]
async fn size_trigger_works_again_after_a_restart() {
    let (relay, publisher) = running(small());
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..4);
    settle().await;
    publisher.shutdown(SECOND).await;
    relay.set_collector_failure(None);
    publisher.start().unwrap();
    record(&publisher, 4..5);
    settle().await;
    assert_eq!(batches(&relay), [vec![0, 1, 2, 3], vec![4]]);
}

/// docs/python-parity.md C16; docs/python-parity.md C17; GOFF-COLL-019: a batch that is always
/// refused blocks later events only until it is dropped.
#[tokio::test(start_paused = true)]
async fn buffer_holds_twice_the_pending_events() {
    let (relay, publisher) = running(small());
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..100);
    let stats = publisher.stats();
    assert_eq!((stats.pending, stats.dropped), (8, 92));
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (100, 0, 92, 8));
    relay.set_collector_failure(None);
    publisher.flush(SECOND).await;
    assert_eq!(batches(&relay).concat(), [92, 93, 94, 95, 96, 97, 98, 99]);
}

/// GOFF-COLL-019: the oldest are dropped, whether they are errors or not.
#[tokio::test(start_paused = true)]
async fn outage_drops_the_oldest_events() {
    let (relay, publisher) = running(small());
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..3);
    (3..100).for_each(|id| publisher.record(event(id).with_is_default(true).into()));
    relay.set_collector_failure(None);
    publisher.flush(SECOND).await;
    assert_eq!(batches(&relay).concat(), [92, 93, 94, 95, 96, 97, 98, 99]);
}

fn json_length(batch: &EventBatch) -> usize {
    serde_json::to_vec(batch).unwrap().len()
}

/// Batches have at most `max_pending_events` events and 1 MB. A larger event is a batch alone.
#[tokio::test(start_paused = true)]
async fn batches_are_bounded_in_count_and_bytes() {
    let (relay, publisher) = running(options().max_pending_events(100));
    let sizes = [300_000, 300_000, 300_000, 300_000, 2_000_000, 10, 10];
    for (id, size) in (0..).zip(sizes) {
        let large = event(id).with_default_value(Some(Box::new(json!("x".repeat(size)))));
        publisher.record(large.into());
    }
    publisher.flush(SECOND).await;
    let expected = [vec![0, 1, 2], vec![3], vec![4], vec![5, 6]];
    assert_eq!(batches(&relay), expected);
    for batch in relay.batches() {
        let bytes = json_length(&batch);
        assert!(bytes <= 1_000_000 || batch.events.len() == 1, "{bytes}");
    }

    let (relay, publisher) = running(small());
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..7);
    publisher.flush(SECOND).await;
    relay.set_collector_failure(None);
    publisher.flush(SECOND).await;
    assert_eq!(batches(&relay), [vec![0, 1, 2, 3], vec![4, 5, 6]]);
}

/// Small events fill a batch up to its limit of bytes.
#[tokio::test(start_paused = true)]
async fn batches_of_small_events_are_filled() {
    let (relay, publisher) = running(options().max_pending_events(20_000));
    record(&publisher, 0..15_000);
    publisher.flush(MINUTE).await;
    let sizes: Vec<usize> = relay.batches().iter().map(json_length).collect();
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!((999_000..=1_000_000).contains(&sizes[0]), "{sizes:?}");
    assert!(is_delivered(&relay, 0..15_000));
}

/// A collector that counts the batches in flight.
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
async fn one_batch_is_in_flight_at_a_time() {
    let collector = Arc::new(Counting::default());
    let publisher = started(collector.clone(), small().flush_interval(SECOND));
    for round in 0..10 {
        record(&publisher, 0..5);
        let (first, second) = tokio::join!(publisher.flush(MINUTE), async {
            settle().await;
            record(&publisher, 0..5);
            publisher.flush(MINUTE).await
        });
        counts(&first);
        assert_eq!(second.pending, 0, "round {round}");
    }
    publisher.shutdown(MINUTE).await;
    assert_eq!(collector.most.load(Ordering::SeqCst), 1);
    assert!(collector.all.load(Ordering::SeqCst) > 20);
}

/// docs/python-parity.md C21.
#[tokio::test(start_paused = true)]
async fn publishers_share_nothing() {
    let (relay, publisher) = running(options());
    let (other_relay, other) = running(options());
    record(&publisher, 0..2);
    record(&other, 2..3);
    publisher.shutdown(SECOND).await;
    other.shutdown(SECOND).await;
    assert_eq!(batches(&relay), [[0, 1]]);
    assert_eq!(batches(&other_relay), [[2]]);
}

#[tokio::test(start_paused = true)]
async fn unknown_evaluations_are_counted_and_not_sent() {
    let (relay, publisher) = running(options());
    publisher.note_unknown();
    publisher.note_unknown();
    let stats = publisher.stats();
    assert_eq!((stats.unknown, stats.recorded), (2, 0));
    publisher.shutdown(SECOND).await;
    assert!(relay.batches().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_several_threads() {
    let (relay, publisher) = running(small());
    thread::scope(|scope| {
        for id in 0..4 {
            let publisher = &publisher;
            scope.spawn(move || {
                record(publisher, id..id + 1);
                publisher.note_unknown();
            });
        }
    });
    let report = publisher.shutdown(MINUTE).await;
    assert_eq!(counts(&report), (4, 4, 0, 0));
    assert_eq!(publisher.stats().unknown, 4);
    let mut ids = batches(&relay).concat();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
}
