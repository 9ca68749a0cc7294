//! A bounded queue of events that knows what became of each.

use std::collections::VecDeque;
use std::mem;

use goff_core::Event;

/// Events in the order in which they were recorded, at most `capacity` of them (GOFF-COLL-019,
/// Python C16).
///
/// At the cap the oldest error event is dropped, or the oldest event if no error is buffered: an
/// outage, which makes every evaluation an error, does not push out what came before it. A batch
/// that is taken stays [in flight](EventCounts::in_flight) until it is delivered or put back, so
/// that nothing is ever uncounted:
///
/// `recorded = delivered + dropped + in flight + buffered`
///
/// It is pure: no clock, no lock. Every operation takes constant time for each event that it
/// touches; dropping one searches for nothing.
#[derive(Debug)]
pub struct EventBuffer {
    capacity: usize,
    /// Apart from each other, so that the oldest of either kind is at hand.
    errors: VecDeque<Failed>,
    others: VecDeque<Event>,
    /// Where in `others` the oldest is. At the cap the newest takes the place of the oldest, and
    /// the next one is the oldest then: nothing moves.
    oldest: usize,
    /// The number of the oldest of the others; they are numbered without a gap.
    first_number: u64,
    counts: EventCounts,
}

/// An error, and its place among the others.
#[derive(Debug)]
struct Failed {
    /// The number of the first that is newer.
    before: u64,
    event: Event,
}

/// How many events a buffer has seen, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// All that were pushed or refused.
    pub recorded: u64,
    /// Those that were taken and not put back.
    pub delivered: u64,
    /// Those that found no room, or were refused.
    pub dropped: u64,
    /// Those that are taken, and neither delivered nor put back yet.
    pub in_flight: u64,
}

impl EventBuffer {
    /// An empty buffer. It allocates as events come, not in advance.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            errors: VecDeque::new(),
            others: VecDeque::new(),
            oldest: 0,
            // What is put back counts downwards.
            first_number: u64::MAX / 2,
            counts: EventCounts::default(),
        }
    }

    /// How many events are buffered.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.errors.len() + self.others.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.others.is_empty()
    }

    /// Whether the next event drops another.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// What became of every event so far.
    #[must_use]
    pub fn counts(&self) -> EventCounts {
        self.counts
    }

    /// Appends an event. At the cap one is dropped: the oldest error, or the oldest event, or this
    /// one if it is the only error.
    pub fn push(&mut self, mut event: Event) {
        if !self.exchange(&mut event) {
            self.take_in(event);
        }
    }

    /// At the cap, what [`push`](Self::push) does, except that the event that is dropped is left in
    /// `event`: a buffer behind a lock frees it after unlocking. Below the cap it does nothing;
    /// tells which.
    #[inline]
    pub fn exchange(&mut self, event: &mut Event) -> bool {
        if !self.is_full() {
            return false;
        }
        self.counts.recorded += 1;
        self.counts.dropped += 1;
        match (is_error(event), self.errors.is_empty()) {
            // Nothing but an older error gives way to an error.
            (true, true) => {}
            (false, true) => self.replace_oldest(event),
            (_, false) => self.replace_oldest_error(event),
        }
        true
    }

    #[inline]
    fn replace_oldest(&mut self, event: &mut Event) {
        // A buffer without room has no oldest.
        let Some(place) = self.others.get_mut(self.oldest) else {
            return;
        };
        mem::swap(place, event);
        self.oldest += 1;
        if self.oldest == self.others.len() {
            self.oldest = 0;
        }
        self.first_number += 1;
    }

    fn replace_oldest_error(&mut self, event: &mut Event) {
        if let Some(failed) = self.errors.pop_front() {
            self.append(mem::replace(event, failed.event));
        }
    }

    /// Takes events in, in their order. What is left in `events` was dropped for them.
    pub(crate) fn take_in_all(&mut self, events: &mut Vec<Event>) {
        let room = self.capacity.saturating_sub(self.len());
        for event in events.drain(..room.min(events.len())) {
            self.take_in(event);
        }
        for event in events {
            self.exchange(event);
        }
    }

    /// Takes an event in that the cap leaves room for.
    #[inline]
    pub(crate) fn take_in(&mut self, event: Event) {
        self.counts.recorded += 1;
        self.append(event);
    }

    #[inline]
    fn append(&mut self, event: Event) {
        self.straighten();
        if is_error(&event) {
            let before = self.first_number + as_u64(self.others.len());
            make_room(&mut self.errors, self.capacity);
            self.errors.push_back(Failed { before, event });
        } else {
            make_room(&mut self.others, self.capacity);
            self.others.push_back(event);
        }
    }

    /// Brings the oldest of the others to the front: as many steps as there were replaced.
    #[inline]
    fn straighten(&mut self) {
        if self.oldest > 0 {
            self.others.rotate_left(mem::take(&mut self.oldest));
        }
    }

    /// Counts an event that is not taken in.
    pub fn refuse(&mut self) {
        self.counts.recorded += 1;
        self.counts.dropped += 1;
    }

    /// Takes the oldest events, at most `limit`. They are in flight until
    /// [`delivered`](Self::delivered) or [`put_back`](Self::put_back).
    #[must_use]
    pub fn take(&mut self, limit: usize) -> Vec<Event> {
        self.straighten();
        let count = limit.min(self.len());
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count && !self.errors.is_empty() {
            taken.extend(self.pop_first());
        }
        let rest = count - taken.len();
        taken.extend(self.others.drain(..rest));
        self.first_number += as_u64(rest);
        self.counts.in_flight += as_u64(taken.len());
        taken
    }

    /// Ends the flight of `count` events that arrived.
    pub fn delivered(&mut self, count: usize) {
        let count = as_u64(count);
        self.counts.in_flight = self.counts.in_flight.saturating_sub(count);
        self.counts.delivered += count;
    }

    /// Puts events that did not arrive back in front, in their order (GOFF-COLL-018). What then
    /// exceeds the cap is dropped.
    pub fn put_back(&mut self, events: Vec<Event>) {
        self.counts.in_flight = self.counts.in_flight.saturating_sub(as_u64(events.len()));
        self.straighten();
        for event in events.into_iter().rev() {
            if is_error(&event) {
                let before = self.first_number;
                self.errors.push_front(Failed { before, event });
            } else {
                self.first_number -= 1;
                self.others.push_front(event);
            }
        }
        let excess = self.len().saturating_sub(self.capacity);
        self.counts.dropped += as_u64(excess);
        let errors = excess.min(self.errors.len());
        self.errors.drain(..errors);
        self.others.drain(..excess - errors);
        self.first_number += as_u64(excess - errors);
    }

    fn pop_first(&mut self) -> Option<Event> {
        let error_is_older = self.others.is_empty()
            || self
                .errors
                .front()
                .is_some_and(|error| error.before <= self.first_number);
        if error_is_older {
            self.errors.pop_front().map(|failed| failed.event)
        } else {
            self.first_number += 1;
            self.others.pop_front()
        }
    }
}

/// Room for one more: doubled as usual, but never beyond the cap.
fn make_room<T>(queue: &mut VecDeque<T>, most: usize) {
    if queue.len() == queue.capacity() {
        let doubled = queue.len().max(FIRST_ROOM);
        queue.reserve_exact(doubled.min(most.saturating_sub(queue.len())));
    }
}

#[inline]
fn is_error(event: &Event) -> bool {
    matches!(event, Event::Feature(event) if event.is_default)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// For how many events room is made at first.
const FIRST_ROOM: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use goff_core::{ContextKind, EventSource, FeatureEvent, TrackingEvent};
    use proptest::prelude::*;
    use serde_json::Map;

    use super::*;

    fn feature(id: i64, failed: bool) -> Event {
        Event::Feature(FeatureEvent {
            context_kind: ContextKind::User,
            user_key: "".into(),
            creation_date_seconds: id,
            flag_key: "flag".into(),
            resolution: None,
            default_value: None,
            is_default: failed,
            source: EventSource::ProviderCache,
        })
    }

    fn tracking(id: i64) -> Event {
        Event::from(TrackingEvent {
            context_kind: ContextKind::User,
            user_key: String::new(),
            creation_date_seconds: id,
            name: String::new(),
            evaluation_context: Map::new(),
            details: Map::new(),
        })
    }

    fn id(event: &Event) -> i64 {
        match event {
            Event::Feature(event) => event.creation_date_seconds,
            Event::Tracking(event) => event.creation_date_seconds,
            _ => unreachable!(),
        }
    }

    fn ids(events: &[Event]) -> Vec<i64> {
        events.iter().map(id).collect()
    }

    /// The ids of what is buffered, in order.
    fn contents(buffer: &EventBuffer) -> Vec<i64> {
        let mut others: Vec<_> = buffer.others.iter().collect();
        others.rotate_left(buffer.oldest);
        let others = others
            .into_iter()
            .enumerate()
            .map(|(n, event)| (buffer.first_number + n as u64, 1, id(event)));
        let errors = buffer
            .errors
            .iter()
            .map(|failed| (failed.before, 0, id(&failed.event)));
        // Stable, so that errors between the same two others keep their order.
        let mut all: Vec<_> = others.chain(errors).collect();
        all.sort_by_key(|(number, kind, _)| (*number, *kind));
        all.into_iter().map(|(_, _, id)| id).collect()
    }

    /// GOFF-COLL-019.
    #[test]
    fn oldest_event_goes_at_the_cap() {
        let mut buffer = EventBuffer::new(3);
        for n in 0..4 {
            buffer.push(feature(n, false));
        }
        buffer.push(tracking(4));
        assert_eq!(ids(&buffer.take(9)), [2, 3, 4]);
        assert_eq!(buffer.counts().dropped, 2);
    }

    #[test]
    fn errors_of_an_outage_leave_what_came_before_it() {
        let mut buffer = EventBuffer::new(4);
        for (n, failed) in [(0, false), (1, true), (2, false), (3, false), (4, true)] {
            buffer.push(feature(n, failed));
        }
        let batch = buffer.take(9);
        assert_eq!(ids(&batch), [0, 2, 3, 4]);
        buffer.put_back(batch);
        buffer.push(feature(5, false));
        // No older error left: the new one itself is the oldest.
        buffer.push(feature(6, true));
        assert_eq!(ids(&buffer.take(9)), [0, 2, 3, 5]);
    }

    /// GOFF-COLL-018.
    #[test]
    fn failed_batch_returns_to_its_place() {
        let mut buffer = EventBuffer::new(6);
        for n in 0..4 {
            buffer.push(feature(n, n % 2 == 1));
        }
        let batch = buffer.take(3);
        assert_eq!(ids(&batch), [0, 1, 2]);
        buffer.push(feature(4, false));
        buffer.put_back(batch);
        assert_eq!(ids(&buffer.take(9)), [0, 1, 2, 3, 4]);
    }

    /// GOFF-COLL-019: the cap applies after re-queueing as well.
    #[test]
    fn cap_holds_for_what_is_put_back() {
        let mut buffer = EventBuffer::new(3);
        for n in 0..3 {
            buffer.push(feature(n, n == 2));
        }
        let batch = buffer.take(3);
        for n in 3..5 {
            buffer.push(feature(n, false));
        }
        buffer.put_back(batch);
        assert_eq!(buffer.counts().dropped, 2);
        assert_eq!(ids(&buffer.take(9)), [1, 3, 4]);
    }

    /// Memory follows the cap, not the next power of two.
    #[test]
    fn room_is_never_made_beyond_the_cap() {
        for capacity in [1, 20, 20_000] {
            let mut buffer = EventBuffer::new(capacity);
            for n in 0..60_000 {
                buffer.push(feature(n, false));
            }
            assert_eq!(buffer.others.capacity(), capacity);
        }
    }

    #[test]
    fn buffer_without_room_drops_everything() {
        let mut buffer = EventBuffer::new(0);
        buffer.push(feature(0, false));
        buffer.push(feature(1, true));
        assert!(buffer.take(1).is_empty());
        let counts = buffer.counts();
        assert_eq!((counts.recorded, counts.dropped), (2, 2));
    }

    /// At the cap a push costs the same however much is buffered. A buffer that searched for the
    /// oldest error would take a thousand times as long with a thousand times as many events.
    #[test]
    fn dropping_takes_constant_time() {
        let time = |capacity: i64, failed: fn(i64) -> bool| -> Duration {
            let mut buffer = EventBuffer::new(usize::try_from(capacity).unwrap());
            for n in 0..capacity {
                buffer.push(feature(n, false));
            }
            let start = Instant::now();
            for n in 0..100_000 {
                buffer.push(feature(n, failed(n)));
            }
            start.elapsed()
        };
        for failed in [|_| false, |_| true, |n| n % 2 == 0] {
            let small = time(200, failed);
            let large = time(200_000, failed);
            assert!(large < small * 50, "{small:?} and {large:?}");
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Push { failed: bool },
        Refuse,
        Take(usize),
        Deliver,
        PutBack,
        Split(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => any::<bool>().prop_map(|failed| Step::Push { failed }),
            1 => Just(Step::Refuse),
            2 => (0_usize..6).prop_map(Step::Take),
            1 => Just(Step::Deliver),
            2 => Just(Step::PutBack),
            1 => (0_usize..4).prop_map(Step::Split),
        ]
    }

    /// The obvious buffer: one list, searched.
    #[derive(Default)]
    struct Model {
        events: Vec<(i64, bool)>,
        dropped: u64,
    }

    impl Model {
        fn ids(&self) -> Vec<i64> {
            self.events.iter().map(|(id, _)| *id).collect()
        }

        fn trim(&mut self, capacity: usize) {
            while self.events.len() > capacity {
                let index = self
                    .events
                    .iter()
                    .position(|(_, failed)| *failed)
                    .unwrap_or(0);
                self.events.remove(index);
                self.dropped += 1;
            }
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_searched_list(
            capacity in 0_usize..8,
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let mut buffer = EventBuffer::new(capacity);
            let mut model = Model::default();
            let (mut flying, mut flying_model) = (Vec::new(), Vec::new());
            let (mut delivered, mut recorded, mut refused) = (0, 0, 0);
            for step in steps {
                match step {
                    Step::Push { failed } => {
                        buffer.push(feature(recorded, failed));
                        model.events.push((recorded, failed));
                        recorded += 1;
                    }
                    Step::Refuse => {
                        buffer.refuse();
                        refused += 1;
                    }
                    // One batch at a time, as the publisher does it.
                    Step::Take(limit) if flying.is_empty() => {
                        flying = buffer.take(limit);
                        let count = limit.min(model.events.len());
                        flying_model = model.events.drain(..count).collect();
                    }
                    Step::Take(_) => {}
                    Step::Deliver => {
                        buffer.delivered(flying.len());
                        delivered += flying.len();
                        flying.clear();
                        flying_model.clear();
                    }
                    Step::PutBack => {
                        buffer.put_back(mem::take(&mut flying));
                        model.events.splice(0..0, flying_model.drain(..));
                    }
                    Step::Split(at) => {
                        let at = at.min(flying.len());
                        buffer.put_back(flying.split_off(at));
                        model.events.splice(0..0, flying_model.drain(at..));
                    }
                }
                model.trim(capacity);
                let flying_ids: Vec<_> = flying_model.iter().map(|(id, _)| *id).collect();
                prop_assert_eq!(ids(&flying), flying_ids);
                prop_assert_eq!(buffer.len(), model.events.len());
                prop_assert_eq!(contents(&buffer), model.ids());
                prop_assert_eq!(buffer.is_empty(), model.events.is_empty());
                let counts = buffer.counts();
                prop_assert_eq!(
                    counts,
                    EventCounts {
                        recorded: recorded as u64 + refused,
                        delivered: delivered as u64,
                        dropped: model.dropped + refused,
                        in_flight: flying.len() as u64,
                    }
                );
                prop_assert_eq!(
                    counts.recorded,
                    counts.delivered + counts.dropped + counts.in_flight + buffer.len() as u64
                );
            }
            prop_assert_eq!(ids(&buffer.take(usize::MAX)), model.ids());
        }
    }
}
