//! Many events from several threads: through a collector that fails and recovers, through one that
//! never answers, and through many starts and shutdowns.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ContextView, Event, EventBatch, EventSink, RelayClient, RelayError, Resolution};
use goff_hooks::EventPublisher;

use crate::fixture::*;

const THREADS: usize = 8;
const EVENTS_OF_A_THREAD: i64 = 125_000;
const MAX_PENDING: usize = 10_000;

/// Checks each batch, and takes it while it is up.
#[derive(Debug, Default)]
struct Collector {
    is_up: AtomicBool,
    refused: AtomicU64,
    taken: AtomicU64,
    /// The last event of each thread.
    last: Mutex<[i64; THREADS]>,
}

#[async_trait]
impl RelayClient for Collector {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !self.is_up.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return refusal(503).map_or(Ok(()), Err);
        }
        let mut last = self.last.lock().unwrap();
        for event in &batch.events {
            let Event::Feature(event) = event else {
                continue;
            };
            let last = last
                .get_mut(event.user_key.parse::<usize>().unwrap())
                .unwrap();
            // Each thread's events in order, none twice.
            assert!(event.creation_date_seconds > *last);
            *last = event.creation_date_seconds;
        }
        let taken = u64::try_from(batch.events.len()).unwrap();
        self.taken.fetch_add(taken, Ordering::SeqCst);
        Ok(())
    }
}

fn event_of(thread: usize, id: i64, flag_key: &Arc<str>) -> Event {
    let mut event = event(id).with_user_key(thread.to_string());
    event.flag_key = Arc::clone(flag_key);
    event.is_default = id % 3 == 0;
    event.into()
}

fn joined<T>(threads: Vec<JoinHandle<T>>) -> impl Iterator<Item = T> {
    threads.into_iter().map(|thread| thread.join().unwrap())
}

/// Records the events of one thread. The first thread ends the outage after half of its events at
/// the earliest, once batches were refused and events dropped. Returns the most events alive.
fn record_share(
    publisher: &EventPublisher,
    collector: &Collector,
    thread: usize,
    flag_key: &Arc<str>,
) -> usize {
    let mut most_alive = 0;
    for id in 1..=EVENTS_OF_A_THREAD {
        publisher.record(event_of(thread, id, flag_key));
        if id % 16 == 0 {
            // Each event in memory holds the key.
            most_alive = most_alive.max(Arc::strong_count(flag_key));
            let stats = publisher.stats();
            let sum = stats.delivered + stats.dropped + stats.rejected + stats.pending;
            assert_eq!(stats.recorded, sum);
            assert!(stats.pending <= 2 * MAX_PENDING as u64);
            assert!(stats.in_flight <= MAX_PENDING as u64);
            let is_outage_felt = stats.dropped > 0 && collector.refused.load(Ordering::SeqCst) > 0;
            if thread == 0 && id > EVENTS_OF_A_THREAD / 2 && is_outage_felt {
                collector.is_up.store(true, Ordering::SeqCst);
            }
        }
    }
    most_alive
}

/// docs/python-parity.md C16, C20; GOFF-COLL-016 to -019.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_add_up() {
    let collector = Arc::new(Collector::default());
    let options = options().max_pending_events(MAX_PENDING);
    let publisher = Arc::new(started(collector.clone(), options));
    let flag_key: Arc<str> = "flag".into();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (publisher, collector) = (Arc::clone(&publisher), Arc::clone(&collector));
            let flag_key = Arc::clone(&flag_key);
            thread::spawn(move || record_share(&publisher, &collector, thread, &flag_key))
        })
        .collect();
    while !threads.iter().all(JoinHandle::is_finished) {
        publisher.flush(SECOND).await;
        tokio::task::yield_now().await;
    }
    let most_alive = joined(threads).max().unwrap();
    while collector.refused.load(Ordering::SeqCst) == 0 {
        publisher.flush(SECOND).await;
    }
    collector.is_up.store(true, Ordering::SeqCst);
    let report = publisher.shutdown(MINUTE).await;

    let (recorded, delivered, dropped, pending) = counts(&report);
    assert_eq!((recorded, pending), (1_000_000, 0));
    assert_eq!(delivered, collector.taken.load(Ordering::SeqCst));
    assert!(delivered > 0 && dropped > 0);
    assert!(collector.refused.load(Ordering::SeqCst) > 0);
    // The pending events, and for each thread its key, the event it records and the one dropped.
    let limit = 2 * MAX_PENDING + 3 * THREADS + 1;
    assert!(most_alive <= limit, "{most_alive} events alive");
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(MINUTE, waiting).await.unwrap();
}

/// docs/python-parity.md C20; GOFF-COLL-017, GOFF-COLL-019: the threads finish while a batch hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_never_waits_for_the_collector() {
    let (relay, publisher) = running(options().max_pending_events(1_000));
    relay.set_collector_delay(Some(HOUR));
    record(&publisher, 0..1_000);
    until(|| publisher.stats().in_flight == 1_000).await;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| record(&publisher, 0..10_000));
        }
    });
    let report = publisher.shutdown(Duration::ZERO).await;
    assert_eq!(counts(&report), (41_000, 0, 39_000, 2_000));
}

/// GOFF-LIFE-003: an event recorded while the publisher is stopped and started is delivered once
/// or counted as dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_recorded_through_many_restarts_add_up() {
    let collector = Arc::new(Collector::default());
    collector.is_up.store(true, Ordering::SeqCst);
    let publisher = Arc::new(EventPublisher::new(collector.clone(), options()));
    let is_over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (publisher, is_over) = (Arc::clone(&publisher), Arc::clone(&is_over));
            thread::spawn(move || {
                let flag_key = "flag".into();
                let mut recorded = 0;
                while !is_over.load(Ordering::SeqCst) {
                    recorded += 1;
                    publisher.record(event_of(thread, recorded, &flag_key));
                    if recorded % 1_000 == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                u64::try_from(recorded).unwrap()
            })
        })
        .collect();
    let mut delivered = 0;
    for _ in 0..5 {
        publisher.start().unwrap();
        let recorded = publisher.stats().recorded;
        until(|| publisher.stats().recorded > recorded + 1_000).await;
        let (_, now, dropped, _) = counts(&publisher.shutdown(MINUTE).await);
        assert!(now > delivered, "{now} after {delivered}");
        delivered = now;
        until(|| publisher.stats().dropped > dropped).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let all: u64 = joined(threads).sum();
    publisher.start().unwrap();
    let report = publisher.shutdown(MINUTE).await;
    let (recorded, delivered, dropped, pending) = counts(&report);
    assert_eq!((recorded, pending), (all, 0));
    assert_eq!(delivered, collector.taken.load(Ordering::SeqCst));
    assert!(delivered > 0 && dropped > 0, "{report:?}");
}
