use std::sync::mpsc;
use std::time::Instant;

use goff_core::{ContextKind, EventSource, FeatureEvent};
use goff_testkit::RecordingLog;
use proptest::prelude::*;
use tracing::Level;
use tracing::subscriber::with_default;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const AT_ONCE: Duration = Duration::from_millis(50);

fn event(id: i64) -> Event {
    FeatureEvent::new(
        "flag",
        ContextKind::User,
        "user",
        id,
        EventSource::InProcess,
    )
    .into()
}

fn id(event: &Event) -> i64 {
    match event {
        Event::Feature(event) => event.creation_date_seconds,
        _ => unreachable!(),
    }
}

/// A sink that blocks at each event until it is allowed to go on, and panics where it is told to.
#[derive(Debug)]
struct Gate {
    entered: Mutex<Vec<i64>>,
    permits: Mutex<mpsc::Receiver<bool>>,
    flushes: Mutex<usize>,
}

impl EventSink for Gate {
    fn record(&self, event: Event) {
        self.entered.lock().unwrap().push(id(&event));
        let panics = self.permits.lock().unwrap().recv() == Ok(true);
        assert!(!panics, "as told");
    }

    fn flush(&self) {
        *self.flushes.lock().unwrap() += 1;
    }
}

fn gated(max_pending_events: usize) -> (Arc<Gate>, mpsc::Sender<bool>, QueuedSink) {
    let (permits, receiver) = mpsc::channel();
    let gate = Arc::new(Gate {
        entered: Mutex::default(),
        permits: Mutex::new(receiver),
        flushes: Mutex::default(),
    });
    let queue = QueuedSink::new(
        Arc::clone(&gate) as Arc<dyn EventSink>,
        max_pending_events,
        usize::MAX,
    );
    (gate, permits, queue)
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < end, "timed out");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Recorded, delivered, dropped, rejected, pending, which add up.
fn counts(report: &DeliveryReport) -> [u64; 5] {
    let counts = [
        report.recorded,
        report.delivered,
        report.dropped,
        report.rejected,
        report.pending,
    ];
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>());
    counts
}

#[tokio::test]
async fn events_arrive_in_order_and_the_sink_is_flushed() {
    let (gate, permits, queue) = gated(10_000);
    drop(permits);
    queue.start();
    (0..5_000).for_each(|n| queue.record(event(n)));
    let report = queue.flush(PATIENCE).await;
    assert_eq!(counts(&report), [5_000, 5_000, 0, 0, 0]);
    assert_eq!(
        *gate.entered.lock().unwrap(),
        (0..5_000).collect::<Vec<_>>()
    );
    let flushes = *gate.flushes.lock().unwrap();
    assert!((1..=5_000).contains(&flushes), "{flushes}");
    queue.record(event(5_000));
    assert_eq!(queue.flush_blocking(PATIENCE).delivered, 5_001);
    assert_eq!(*gate.flushes.lock().unwrap(), flushes + 1);
    // Nothing is queued, so nothing is waited for.
    assert_eq!(queue.flush_blocking(PATIENCE).delivered, 5_001);
    queue.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn blocked_sink_costs_the_oldest_events_and_no_recording_thread_waits() {
    let (gate, permits, queue) = gated(5);
    queue.start();
    queue.record(event(0));
    until(|| gate.entered.lock().unwrap().len() == 1);
    let begin = Instant::now();
    (1..1_000).for_each(|n| queue.record(event(n)));
    assert_eq!(counts(&queue.flush(AT_ONCE).await), [1_000, 0, 990, 0, 10]);
    assert_eq!(
        counts(&queue.flush_blocking(AT_ONCE)),
        [1_000, 0, 990, 0, 10]
    );
    let report = queue.shutdown(AT_ONCE).await;
    assert_eq!(counts(&report), [1_000, 0, 990, 0, 10]);
    assert!(begin.elapsed() < PATIENCE);
    // Refused while shut down, and one thread however often it is started.
    queue.record(event(1_000));
    for _ in 0..3 {
        queue.start();
        queue.shutdown(Duration::ZERO).await;
    }
    queue.start();
    (0..10).for_each(|_| permits.send(false).unwrap());
    assert_eq!(counts(&queue.flush(PATIENCE).await), [1_001, 10, 991, 0, 0]);
    let expected: Vec<_> = [0].into_iter().chain(991..1_000).collect();
    assert_eq!(*gate.entered.lock().unwrap(), expected);
}

/// The last events of a running round leave no later round to wait for.
#[tokio::test]
async fn flush_within_a_round_ends_with_the_round() {
    for shuts_down in [false, true] {
        let (gate, permits, queue) = gated(10);
        queue.start();
        queue.record(event(0));
        until(|| gate.entered.lock().unwrap().len() == 1);
        (1..4).for_each(|n| queue.record(event(n)));
        permits.send(false).unwrap();
        // The round of these three has begun, and two of them are still queued.
        until(|| gate.entered.lock().unwrap().len() == 2);
        let begin = Instant::now();
        let flush = async {
            match shuts_down {
                true => queue.shutdown(PATIENCE).await,
                false => queue.flush(PATIENCE).await,
            }
        };
        let (report, ()) = tokio::join!(flush, async { drop(permits) });
        assert_eq!(counts(&report), [4, 4, 0, 0, 0]);
        assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    }
}

/// Nothing is queued that no thread will take.
#[tokio::test]
async fn without_a_thread_events_are_refused_until_the_next_start() {
    let (gate, permits, queue) = gated(10);
    drop(permits);
    let log = RecordingLog::of("goff_hooks");
    let too_large = || thread::Builder::new().stack_size(1 << 60);
    with_default(log.clone(), || {
        queue.start_on(too_large());
        (0..3).for_each(|n| queue.record(event(n)));
    });
    let lines = log.lines();
    let [(level, line)] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(*level, Level::WARN);
    assert!(line.contains("no thread for the event sink"), "{line}");
    assert_eq!(counts(&queue.flush(PATIENCE).await), [3, 0, 3, 0, 0]);
    queue.start();
    queue.record(event(3));
    assert_eq!(counts(&queue.shutdown(PATIENCE).await), [4, 1, 3, 0, 0]);
    assert_eq!(*gate.entered.lock().unwrap(), [3]);
}

#[tokio::test]
async fn event_at_which_the_sink_panics_is_rejected_and_the_next_ones_follow() {
    let (gate, permits, queue) = gated(10);
    queue.start();
    for (n, panics) in [true, false, true, true, false].into_iter().enumerate() {
        permits.send(panics).unwrap();
        queue.record(event(i64::try_from(n).unwrap()));
    }
    let report = queue.shutdown(PATIENCE).await;
    assert_eq!(counts(&report), [5, 2, 0, 3, 0]);
    assert_eq!(*gate.entered.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn what_a_shutdown_leaves_is_taken_once_after_the_next_start() {
    let (gate, permits, queue) = gated(10);
    queue.start();
    (0..4).for_each(|n| queue.record(event(n)));
    until(|| gate.entered.lock().unwrap().len() == 1);
    assert_eq!(counts(&queue.shutdown(AT_ONCE).await), [4, 0, 0, 0, 4]);
    permits.send(false).unwrap();
    // The thread ends with the call in progress.
    until(|| !queue.0.lock().is_running);
    assert_eq!(counts(&queue.report()), [4, 1, 0, 0, 3]);
    drop(permits);
    queue.start();
    assert_eq!(counts(&queue.shutdown(PATIENCE).await), [4, 4, 0, 0, 0]);
    assert_eq!(*gate.entered.lock().unwrap(), [0, 1, 2, 3]);
    until(|| !queue.0.lock().is_running);
}

#[test]
fn dropping_the_queue_ends_its_thread() {
    let (gate, permits, queue) = gated(10);
    queue.start();
    queue.record(event(0));
    until(|| gate.entered.lock().unwrap().len() == 1);
    let inner = Arc::downgrade(&queue.0);
    drop(queue);
    permits.send(false).unwrap();
    until(|| inner.upgrade().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Through blocking, panics, flushes, shutdowns and starts: each event is counted once, and is
    /// given to the sink at most once, in order.
    #[test]
    fn every_event_is_counted_once(steps in prop::collection::vec(0_u8..8, 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (gate, permits, queue) = gated(3);
        let (mut recorded, mut left_out, mut panics) = (0, 0, 0);
        for step in steps {
            match step {
                0 => queue.start(),
                1 => { runtime.block_on(queue.shutdown(Duration::ZERO)); }
                2 => { runtime.block_on(queue.flush(Duration::from_millis(1))); }
                3 => permits.send(false).unwrap(),
                4 if panics < 2 => {
                    panics += 1;
                    permits.send(true).unwrap();
                }
                5 => {
                    left_out += 1;
                    queue.note_left_out();
                }
                _ => {
                    recorded += 1;
                    queue.record(event(recorded));
                }
            }
            let report = queue.report();
            counts(&report);
            prop_assert_eq!(report.recorded, u64::try_from(recorded).unwrap());
            prop_assert_eq!(report.left_out, left_out);
        }
        drop(permits);
        queue.start();
        let report = runtime.block_on(queue.shutdown(PATIENCE));
        counts(&report);
        prop_assert_eq!(report.pending, 0);
        let entered = gate.entered.lock().unwrap().clone();
        prop_assert!(entered.is_sorted_by(|a, b| a < b), "{entered:?}");
        prop_assert_eq!(u64::try_from(entered.len()).unwrap(), report.delivered + report.rejected);
    }
}
