//! Threads that record in turns and at the same time: no event is late, lost or out of order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use goff_core::EventSink;
use goff_hooks::{EventPublisher, EventPublisherOptions};
use goff_testkit::ScriptedRelay;

use crate::fixture::*;

/// Four threads that record in turns.
struct Recorders {
    publisher: Arc<EventPublisher>,
    orders: Vec<Sender<i64>>,
    done: Receiver<()>,
}

impl Recorders {
    /// Threads that record in a running publisher.
    fn of(options: EventPublisherOptions) -> (ScriptedRelay, Self) {
        let (relay, publisher) = running(options);
        let publisher = Arc::new(publisher);
        let (is_done, done) = channel();
        let orders = (0..4)
            .map(|_| {
                let (order, orders) = channel();
                let (publisher, is_done) = (Arc::clone(&publisher), is_done.clone());
                thread::spawn(move || {
                    for id in orders {
                        publisher.record(event(id).into());
                        is_done.send(()).unwrap();
                    }
                });
                order
            })
            .collect();
        let recorders = Self {
            publisher,
            orders,
            done,
        };
        (relay, recorders)
    }

    fn record(&self, ids: std::ops::Range<i64>) {
        for (id, order) in ids.zip(self.orders.iter().cycle()) {
            order.send(id).unwrap();
            self.done.recv().unwrap();
        }
    }
}

/// GOFF-COLL-016: delivery starts with the last event, neither earlier nor later.
#[tokio::test(start_paused = true)]
async fn last_of_many_events_triggers_the_delivery() {
    let (relay, recorders) = Recorders::of(options().max_pending_events(1_000));
    recorders.record(0..999);
    settle().await;
    assert!(relay.batches().is_empty());
    recorders.record(999..1_000);
    settle().await;
    assert!(is_delivered(&relay, 0..1_000));
}

/// GOFF-COLL-015.
#[tokio::test(start_paused = true)]
async fn interval_delivers_the_events_of_all_threads() {
    let (relay, recorders) = Recorders::of(options());
    recorders.record(0..501);
    pass(INTERVAL).await;
    assert!(is_delivered(&relay, 0..501));
}

#[tokio::test(start_paused = true)]
async fn shutdown_delivers_the_events_of_all_threads_and_refuses_later_ones() {
    let (relay, recorders) = Recorders::of(options());
    recorders.record(0..501);
    let publisher = &recorders.publisher;
    assert_eq!(counts(&publisher.shutdown(SECOND).await), (501, 501, 0, 0));
    recorders.record(501..600);
    publisher.start().unwrap();
    assert_eq!(counts(&publisher.flush(SECOND).await), (600, 501, 99, 0));
    assert!(is_delivered(&relay, 0..501));
}

/// GOFF-COLL-019: in an outage exactly the oldest events are dropped.
#[tokio::test(start_paused = true)]
async fn outage_drops_exactly_the_oldest_of_all_threads() {
    let (relay, recorders) = Recorders::of(options().max_pending_events(300));
    relay.set_collector_failure(refusal(503));
    recorders.record(0..300);
    settle().await;
    recorders.record(300..2_000);
    relay.set_collector_failure(None);
    let report = recorders.publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (2_000, 600, 1_400, 0));
    assert!(is_delivered(&relay, 1_400..2_000));
}

/// GOFF-COLL-019: the same when the threads record at the same time. Each thread's newest events
/// stay, and the counts are exact.
#[tokio::test(start_paused = true)]
async fn concurrent_recording_drops_exactly_the_oldest() {
    const THREADS: i64 = 4;
    const EVENTS_OF_A_THREAD: i64 = 5_000;
    let (relay, publisher) = running(options().max_pending_events(500));
    relay.set_collector_failure(refusal(503));
    // After this failure the size trigger is off, so that no batch is in flight.
    record(&publisher, -1..0);
    let _ = publisher.flush(SECOND).await;
    thread::scope(|scope| {
        for first in (0..THREADS).map(|thread| thread * EVENTS_OF_A_THREAD) {
            let publisher = &publisher;
            scope.spawn(move || record(publisher, first..first + EVENTS_OF_A_THREAD));
        }
    });
    relay.set_collector_failure(None);
    let report = publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (20_001, 1_000, 19_001, 0));
    let delivered = batches(&relay).concat();
    for end in (1..=THREADS).map(|thread| thread * EVENTS_OF_A_THREAD) {
        let of_thread = end - EVENTS_OF_A_THREAD..end;
        let mut own = delivered.clone();
        own.retain(|id| of_thread.contains(id));
        let count = i64::try_from(own.len()).unwrap();
        assert!(own.into_iter().eq(end - count..end));
    }
}

/// Events recorded while a shutdown delivers are kept, later ones are refused.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_recording_of_all_threads() {
    let (relay, recorders) = Recorders::of(options());
    relay.set_collector_delay(Some(HOUR));
    let publisher = &recorders.publisher;
    recorders.record(0..300);
    let (report, ()) = tokio::join!(publisher.shutdown(2 * SECOND), async {
        settle().await;
        recorders.record(300..500);
    });
    assert_eq!(counts(&report), (500, 0, 0, 500));
    recorders.record(500..600);
    relay.set_collector_delay(None);
    publisher.start().unwrap();
    assert_eq!(counts(&publisher.flush(SECOND).await), (600, 500, 100, 0));
    assert!(is_delivered(&relay, 0..500));
}
