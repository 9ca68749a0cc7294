//! Threads that record in turns: what each puts down by itself is not late, lost or out of order.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::*;

/// Threads of which one records at a time, each the ids that its number is the remainder of.
struct Recorders {
    publisher: Arc<EventPublisher>,
    orders: Vec<Sender<i64>>,
    done: Receiver<()>,
}

impl Recorders {
    fn of(publisher: EventPublisher) -> Self {
        let publisher = Arc::new(publisher);
        let (is_done, done) = channel();
        let orders = (0..4)
            .map(|_| {
                let (order, orders) = channel();
                let (publisher, is_done) = (Arc::clone(&publisher), is_done.clone());
                thread::spawn(move || {
                    for id in orders {
                        publisher.record(event(id, false, None));
                        is_done.send(()).unwrap();
                    }
                });
                order
            })
            .collect();
        Self {
            publisher,
            orders,
            done,
        }
    }

    fn record(&self, ids: std::ops::Range<i64>) {
        for (id, order) in ids.zip(self.orders.iter().cycle()) {
            order.send(id).unwrap();
            self.done.recv().unwrap();
        }
    }
}

/// What has arrived once that many events have, or when it takes too long: without a look at the
/// publisher, which would hurry it.
async fn delivered(relay: &ScriptedRelay, count: usize) -> Vec<i64> {
    for _ in 0..1_000 {
        if batches(relay).concat().len() >= count {
            break;
        }
        settle().await;
    }
    batches(relay).concat()
}

/// Everything arrived once, and what one thread recorded in its order.
fn check(mut sent: Vec<i64>, count: i64) {
    for recorder in 0..4 {
        let own = sent.iter().filter(|id| **id % 4 == recorder);
        assert!(own.is_sorted_by(|earlier, later| earlier < later));
    }
    sent.sort_unstable();
    assert!(sent.into_iter().eq(0..count));
}

/// GOFF-COLL-016: neither before the last of them, nor after.
#[tokio::test(start_paused = true)]
async fn last_of_many_events_wakes_the_delivery() {
    let relay = ScriptedRelay::new();
    let recorders = Recorders::of(started(&relay, options().max_pending_events(1_000)));
    recorders.record(0..999);
    settle().await;
    assert!(relay.batches().is_empty());
    recorders.record(999..1_000);
    check(delivered(&relay, 1_000).await, 1_000);
}

/// GOFF-COLL-015.
#[tokio::test(start_paused = true)]
async fn interval_delivers_all_of_it() {
    let relay = ScriptedRelay::new();
    let recorders = Recorders::of(started(&relay, options()));
    recorders.record(0..501);
    pass(MINUTE + SECOND).await;
    check(batches(&relay).concat(), 501);
}

#[tokio::test(start_paused = true)]
async fn shutdown_delivers_all_of_it_and_refuses_the_rest() {
    let relay = ScriptedRelay::new();
    let recorders = Recorders::of(started(&relay, options()));
    recorders.record(0..501);
    let publisher = &recorders.publisher;
    assert_eq!(counts(&publisher.shutdown(SECOND).await), (501, 501, 0, 0));
    recorders.record(501..600);
    publisher.start().unwrap();
    assert_eq!(counts(&publisher.flush(SECOND).await), (600, 501, 99, 0));
    check(batches(&relay).concat(), 501);
}

/// GOFF-COLL-019: in an outage the newest stay, as many as there is room for.
#[tokio::test(start_paused = true)]
async fn outage_keeps_the_newest() {
    let relay = ScriptedRelay::new();
    relay.set_collector_failure(refusal(503));
    let recorders = Recorders::of(started(&relay, options().max_pending_events(300)));
    recorders.record(0..300);
    settle().await;
    recorders.record(300..2_000);
    relay.set_collector_failure(None);
    let report = recorders.publisher.flush(SECOND).await;
    assert_eq!(counts(&report), (2_000, 600, 1_400, 0));
    let mut sent = batches(&relay).concat();
    sent.sort_unstable();
    // The lanes of other threads may hold a few that are older than those dropped for them.
    assert!(sent.iter().filter(|id| **id >= 1_400).count() >= 600 - 4 * 32);
}

/// What is recorded while a shutdown delivers is kept, what comes after it is refused.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_recording_of_all_threads() {
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(HOUR));
    let recorders = Recorders::of(started(&relay, options()));
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
    check(batches(&relay).concat(), 500);
}
