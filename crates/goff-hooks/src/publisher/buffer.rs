//! A bounded queue of events that counts what became of each.

use std::collections::VecDeque;

use goff_core::__internal::{map_size, text_size, value_size};
use goff_core::{Event, FeatureEvent, Resolution, TrackingEvent};

/// Events in the order of recording. Its limits bound the queue together with the batch in flight;
/// beyond them the oldest queued event is dropped (GOFF-COLL-019).
///
/// An event that is taken stays in flight until it is delivered, rejected or put back, so that at any time
/// `recorded = delivered + dropped + rejected + pending`.
///
/// What [`push`](Self::push) writes comes first: see `SharedBuffer`.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct EventBuffer {
    queue: VecDeque<WeighedEvent>,
    /// The weight of the queue and the batch in flight.
    weight: usize,
    counts: EventCounts,
    in_flight: usize,
    limits: Limits,
}

/// How many events a buffer holds at most, and how much they weigh. `SharedBuffer::new` sets both.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) weight: usize,
}

/// What became of the events that are not in the buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct EventCounts {
    pub(super) recorded: usize,
    pub(super) dropped: usize,
    pub(super) delivered: usize,
    pub(super) rejected: usize,
    /// Events that were left out, and so never recorded.
    pub(super) left_out: usize,
}

/// An event and its weight: about how many bytes of memory it keeps.
#[derive(Debug)]
pub(super) struct WeighedEvent {
    pub(super) event: Event,
    pub(super) weight: usize,
}

impl EventBuffer {
    /// An empty buffer, which allocates as events arrive.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The number of queued events, without the batch in flight.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The number of events in the batch in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The number of queued events and of those in flight.
    pub(super) fn pending(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    /// The weight of the queued events and of those in flight.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn counts(&self) -> EventCounts {
        self.counts
    }

    /// Appends an event and drops the oldest events beyond the limits. The last one dropped is
    /// returned, so that the caller can free it outside its lock.
    pub(super) fn push(&mut self, event: WeighedEvent) -> Option<Event> {
        self.counts.recorded += 1;
        let can_ever_fit = event.weight <= self.limits.weight;
        let mut dropped = None;
        while !self.has_room(event.weight) {
            self.counts.dropped += 1;
            let oldest = if can_ever_fit {
                self.queue.pop_front()
            } else {
                None
            };
            let Some(oldest) = oldest else {
                return Some(event.event);
            };
            self.weight -= oldest.weight;
            dropped = Some(oldest.event);
        }
        self.weight += event.weight;
        self.queue.push_back(event);
        dropped
    }

    fn has_room(&self, weight: usize) -> bool {
        self.pending() < self.limits.events
            && self.weight.saturating_add(weight) <= self.limits.weight
    }

    /// Counts an event as dropped without taking it.
    pub(super) fn refuse(&mut self) {
        self.counts.recorded += 1;
        self.counts.dropped += 1;
    }

    /// Counts an event that is not recorded.
    pub(super) fn leave_out(&mut self) {
        self.counts.left_out += 1;
    }

    /// Moves the oldest events, at most `limit`, into the batch in flight. Those that are not read from
    /// the iterator would be lost.
    pub(super) fn take(&mut self, limit: usize) -> impl Iterator<Item = WeighedEvent> {
        let count = limit.min(self.queue.len());
        self.in_flight += count;
        self.queue.drain(..count)
    }

    /// Counts events in flight as delivered.
    pub(super) fn delivered(&mut self, count: usize, weight: usize) {
        self.counts.delivered += count;
        self.leave(count, weight);
    }

    /// Counts events in flight as rejected by the data collector.
    pub(super) fn rejected(&mut self, count: usize, weight: usize) {
        self.counts.rejected += count;
        self.leave(count, weight);
    }

    fn leave(&mut self, count: usize, weight: usize) {
        self.in_flight -= count;
        self.weight -= weight;
    }

    /// Returns events in flight to the front of the queue, in their order (GOFF-COLL-018).
    pub(super) fn put_back(&mut self, events: Vec<WeighedEvent>) {
        self.in_flight -= events.len();
        for event in events.into_iter().rev() {
            self.queue.push_front(event);
        }
    }
}

impl From<Event> for WeighedEvent {
    fn from(event: Event) -> Self {
        let contents = match &event {
            Event::Feature(event) => feature_weight(event),
            Event::Tracking(event) => {
                size_of::<TrackingEvent>()
                    + text_size(&event.user_key)
                    + text_size(&event.name)
                    + map_size(&event.evaluation_context)
                    + map_size(&event.details)
            }
            _ => 0,
        };
        Self {
            event,
            weight: size_of::<Self>() + contents,
        }
    }
}

/// A resolution counts in full, because the events may be the last that hold it.
fn feature_weight(event: &FeatureEvent) -> usize {
    text_size(&event.user_key)
        + text_size(&event.flag_key)
        + event
            .resolution
            .as_deref()
            .map_or(0, Resolution::memory_size)
        + event.default_value.as_deref().map_or(0, value_size)
}

#[cfg(test)]
mod tests;
