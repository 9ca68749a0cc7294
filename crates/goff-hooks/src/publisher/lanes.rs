//! Where threads put events down until somebody takes the lock of the buffer.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use goff_core::Event;

/// A few events of each thread. Threads that record at the same time would otherwise hand the
/// buffer's cache lines to each other for every event, which takes several times as long as to
/// record one; and a single thread hands many events over faster than one by one.
///
/// While the lanes are closed, they are empty, and every event goes into the buffer at once. They
/// are opened and closed under the buffer's lock.
pub(super) struct Lanes {
    lanes: [Lane; COUNT],
    closed: AtomicBool,
}

/// On cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Lane(Mutex<Vec<Event>>);

impl Lanes {
    /// Closed.
    pub(super) fn new() -> Self {
        Self {
            lanes: Default::default(),
            closed: AtomicBool::new(true),
        }
    }

    /// The lane of the calling thread, if the lanes are open. Whoever finds it [full](is_full) after
    /// an event has been put down lets it go and [takes](Self::take_own) the events out.
    #[inline]
    pub(super) fn own(&self) -> Option<MutexGuard<'_, Vec<Event>>> {
        if self.is_closed() {
            return None;
        }
        let mut events = self.lanes.get(own_lane())?.lock();
        // Asked again: after the lanes have been closed, and emptied, nothing comes.
        if self.is_closed() {
            return None;
        }
        if events.capacity() == 0 {
            events.reserve_exact(ROOM);
        }
        Some(events)
    }

    /// Gives the events of the calling thread's lane to `take`, and its room with what `take` has
    /// left there to the caller, who holds the buffer's lock.
    pub(super) fn take_own(&self, take: impl FnOnce(&mut Vec<Event>)) -> Vec<Event> {
        let Some(lane) = self.lanes.get(own_lane()) else {
            return Vec::new();
        };
        // Emptied under both locks: an event is never overtaken by a later one of its thread.
        let mut events = lane.lock();
        take(&mut events);
        mem::take(&mut *events)
    }

    /// Takes the room of a lane back, for the calling thread's next events.
    pub(super) fn give_back(&self, mut room: Vec<Event>) {
        room.clear();
        if let Some(lane) = self.lanes.get(own_lane()) {
            let mut events = lane.lock();
            if events.capacity() == 0 {
                *events = room;
            }
        }
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Opens or closes the lanes; the caller holds the buffer's lock. What was put down meanwhile
    /// goes to `take`.
    pub(super) fn set_closed(&self, closed: bool, take: impl FnMut(&mut Vec<Event>)) {
        self.closed.store(closed, Ordering::Relaxed);
        if closed {
            self.empty_all(take);
        }
    }

    /// Gives the events of each lane to `take`, which leaves there what is not needed any more; the
    /// caller holds the buffer's lock.
    pub(super) fn empty(&self, take: impl FnMut(&mut Vec<Event>)) {
        if !self.is_closed() {
            self.empty_all(take);
        }
    }

    fn empty_all(&self, mut take: impl FnMut(&mut Vec<Event>)) {
        for lane in &self.lanes {
            let mut events = lane.lock();
            if !events.is_empty() {
                take(&mut events);
                events.clear();
            }
        }
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a lane has no room left.
#[inline]
pub(super) fn is_full(lane: &[Event]) -> bool {
    lane.len() >= ROOM
}

/// The lane of the calling thread, in every publisher.
#[inline]
pub(super) fn own_lane() -> usize {
    LANE.with(|lane| *lane)
}

thread_local! {
    static LANE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

const COUNT: usize = 8;
const ROOM: usize = 32;

/// How many events are put down, but for those that come while a full lane is being emptied.
pub(super) const MOST: usize = COUNT * ROOM;

#[cfg(test)]
mod tests {
    use goff_core::{ContextKind, EventSource, FeatureEvent};

    use super::*;

    fn event(id: i64) -> Event {
        Event::Feature(FeatureEvent {
            context_kind: ContextKind::User,
            user_key: "".into(),
            creation_date_seconds: id,
            flag_key: "flag".into(),
            resolution: None,
            default_value: None,
            is_default: false,
            source: EventSource::InProcess,
        })
    }

    fn ids(events: &[Event]) -> Vec<i64> {
        events
            .iter()
            .map(|event| match event {
                Event::Feature(event) => event.creation_date_seconds,
                _ => unreachable!(),
            })
            .collect()
    }

    fn emptied(lanes: &Lanes) -> Vec<i64> {
        let mut all = Vec::new();
        lanes.empty(|events| all.extend(ids(events)));
        all
    }

    #[test]
    fn full_lane_is_taken_out_in_order() {
        let lanes = Lanes::new();
        lanes.set_closed(false, |_| unreachable!());
        for id in 0..32 {
            let mut lane = lanes.own().unwrap();
            assert!(!is_full(&lane));
            lane.push(event(id));
        }
        assert!(is_full(&lanes.own().unwrap()));
        let room = lanes.take_own(|events| {
            assert_eq!(ids(events), (0..32).collect::<Vec<_>>());
            events.truncate(1);
        });
        assert_eq!(ids(&room), [0]);
        assert!(emptied(&lanes).is_empty());
        lanes.give_back(room);
        lanes.own().unwrap().push(event(32));
        assert_eq!(emptied(&lanes), [32]);
        assert!(emptied(&lanes).is_empty());
    }

    #[test]
    fn closed_lanes_take_nothing_and_keep_nothing() {
        let lanes = Lanes::new();
        assert!(lanes.own().is_none());
        lanes.set_closed(false, |_| unreachable!());
        lanes.own().unwrap().push(event(1));
        let mut left = Vec::new();
        lanes.set_closed(true, |events| left.extend(ids(events)));
        assert_eq!(left, [1]);
        assert!(lanes.own().is_none());
        assert!(emptied(&lanes).is_empty());
    }

    #[test]
    fn events_of_all_threads_are_found() {
        let lanes = Lanes::new();
        lanes.set_closed(false, |_| unreachable!());
        std::thread::scope(|scope| {
            for thread in 0..20 {
                let lanes = &lanes;
                scope.spawn(move || lanes.own().unwrap().push(event(thread)));
            }
        });
        let mut all = emptied(&lanes);
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
    }
}
