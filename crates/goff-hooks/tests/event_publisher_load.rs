//! Many events from several threads: through a collector that fails and then recovers, and through
//! many starts and shutdowns.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use goff_core::{
    ContextKind, ErrorCode, Event, EventBatch, EventSink, EventSource, FeatureEvent, RelayError,
};
use goff_hooks::{EventPublisher, EventPublisherOptions};

use self::only_collector::{Collect, OnlyCollector};

mod only_collector;

const THREADS: usize = 8;
const EVENTS_OF_A_THREAD: i64 = 125_000;
const MAX_PENDING: usize = 10_000;

/// How long the collector takes for a batch. Whoever waited for it would show it.
const COLLECTION: Duration = Duration::from_millis(20);

/// Takes what it is given unless it fails, and checks it as it comes.
#[derive(Debug, Default)]
struct Collector {
    is_up: AtomicBool,
    refused: AtomicU64,
    taken: AtomicU64,
    /// The last event of each thread.
    last: Mutex<[i64; THREADS]>,
}

#[async_trait]
impl Collect for Collector {
    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        tokio::time::sleep(COLLECTION).await;
        if !self.is_up.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(RelayError::Status {
                status: 503,
                path: "/v1/data/collector".to_owned(),
                message: None,
                code: ErrorCode::General,
            });
        }
        let mut last = self.last.lock().unwrap();
        for event in &batch.events {
            let Event::Feature(event) = event else {
                continue;
            };
            let last = last
                .get_mut(event.user_key.as_str().parse::<usize>().unwrap())
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

/// What one thread saw.
struct Seen {
    nanoseconds: Vec<u32>,
    most_alive: usize,
}

/// Records its share; the first thread ends the outage once it has done some harm, after half of
/// its share at the earliest.
fn record_share(
    publisher: &EventPublisher,
    collector: &Collector,
    n: usize,
    key: &Arc<str>,
) -> Seen {
    let mut seen = Seen {
        nanoseconds: Vec::new(),
        most_alive: 0,
    };
    let user_key = n.to_string();
    for id in 1..=EVENTS_OF_A_THREAD {
        let event = Event::Feature(FeatureEvent {
            context_kind: ContextKind::User,
            user_key: user_key.as_str().into(),
            creation_date_seconds: id,
            flag_key: Arc::clone(key),
            resolution: None,
            default_value: None,
            is_default: id % 3 == 0,
            source: EventSource::ProviderCache,
        });
        let start = Instant::now();
        publisher.record(event);
        let taken = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
        seen.nanoseconds.push(taken);
        if id % 16 == 0 {
            // Every living event holds the key.
            seen.most_alive = seen.most_alive.max(Arc::strong_count(key));
            let stats = publisher.stats();
            assert_eq!(
                stats.recorded,
                stats.delivered + stats.dropped + stats.in_flight + stats.buffered
            );
            assert!(stats.buffered <= 2 * MAX_PENDING as u64);
            assert!(stats.in_flight <= MAX_PENDING as u64);
            let harm_is_done = stats.dropped > 0 && collector.refused.load(Ordering::SeqCst) > 0;
            if n == 0 && id > EVENTS_OF_A_THREAD / 2 && harm_is_done {
                collector.is_up.store(true, Ordering::SeqCst);
            }
        }
    }
    seen
}

/// GOFF-COLL-016 to -019, Python C16, C20.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_add_up_and_nobody_waits() {
    let collector = Arc::new(OnlyCollector::<Collector>::default());
    let options = EventPublisherOptions::default().max_pending_events(MAX_PENDING);
    let publisher = Arc::new(EventPublisher::new(collector.clone(), options));
    publisher.start().unwrap();
    let key: Arc<str> = "flag".into();
    let start = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let (publisher, collector) = (Arc::clone(&publisher), Arc::clone(&collector));
            let key = Arc::clone(&key);
            thread::spawn(move || record_share(&publisher, &collector, n, &key))
        })
        .collect();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        publisher.flush(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    let recording = start.elapsed();
    let (mut nanoseconds, mut most_alive) = (Vec::new(), 0);
    for thread in threads {
        let seen = thread.join().unwrap();
        nanoseconds.extend(seen.nanoseconds);
        most_alive = most_alive.max(seen.most_alive);
    }
    while collector.refused.load(Ordering::SeqCst) == 0 {
        publisher.flush(Duration::from_secs(1)).await;
    }
    collector.is_up.store(true, Ordering::SeqCst);
    let report = publisher.shutdown(Duration::from_secs(60)).await;

    assert_eq!(report.recorded, 1_000_000);
    assert_eq!(report.recorded, report.delivered + report.dropped);
    assert_eq!(report.buffered, 0);
    assert_eq!(report.delivered, collector.taken.load(Ordering::SeqCst));
    assert!(report.delivered > 0 && report.dropped > 0);
    assert!(collector.refused.load(Ordering::SeqCst) > 0);
    // The buffer, one batch on its way, and what each thread has in hand.
    let limit = 3 * MAX_PENDING + 4 * THREADS;
    assert!(most_alive <= limit, "{most_alive} events alive");

    nanoseconds.sort_unstable();
    let percentile = |per_mille: usize| {
        let index = nanoseconds.len() * per_mille / 1_000;
        Duration::from_nanos(nanoseconds.get(index).copied().unwrap_or_default().into())
    };
    println!(
        "1,000,000 events from {THREADS} threads in {recording:?}: record p50 {:?}, p99 {:?}, \
         p99.9 {:?}; {} delivered, {} dropped, at most {most_alive} alive",
        percentile(500),
        percentile(990),
        percentile(999),
        report.delivered,
        report.dropped,
    );
    assert!(percentile(999) < COLLECTION / 2);
}

/// GOFF-LIFE-003: what several threads record while the publisher is stopped and started is
/// delivered once or counted as dropped, none is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_recorded_through_many_lives_add_up() {
    const EVENTS: i64 = 100_000;
    let collector = Arc::new(OnlyCollector::<Collector>::default());
    collector.is_up.store(true, Ordering::SeqCst);
    let publisher = Arc::new(EventPublisher::new(
        collector.clone(),
        EventPublisherOptions::default(),
    ));
    let threads: Vec<_> = (0..4)
        .map(|n: usize| {
            let publisher = Arc::clone(&publisher);
            thread::spawn(move || {
                for id in 1..=EVENTS {
                    publisher.record(Event::Feature(FeatureEvent {
                        context_kind: ContextKind::User,
                        user_key: n.to_string().as_str().into(),
                        creation_date_seconds: id,
                        flag_key: "flag".into(),
                        resolution: None,
                        default_value: None,
                        is_default: false,
                        source: EventSource::InProcess,
                    }));
                    if id % 1_000 == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            })
        })
        .collect();
    let mut lives = 0;
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        publisher.start().unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let report = publisher.shutdown(Duration::from_secs(60)).await;
        assert_eq!(
            report.recorded,
            report.delivered + report.dropped + report.buffered
        );
        lives += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    publisher.start().unwrap();
    let report = publisher.shutdown(Duration::from_secs(60)).await;
    assert_eq!(report.recorded, 4 * u64::try_from(EVENTS).unwrap());
    assert_eq!(report.recorded, report.delivered + report.dropped);
    assert_eq!(report.buffered, 0);
    assert_eq!(report.delivered, collector.taken.load(Ordering::SeqCst));
    assert!(
        lives > 1 && report.delivered > 0 && report.dropped > 0,
        "{lives} lives, {report:?}"
    );
}
