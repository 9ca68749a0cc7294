//! A bounded queue of events that counts what became of each.

use std::collections::VecDeque;

use goff_core::{Event, FeatureEvent, Resolution};
use serde_json::{Map, Value};

/// Events in the order of recording. Its limits bound the queue together with the batch in flight;
/// beyond them the oldest queued event is dropped (GOFF-COLL-019).
///
/// An event that is taken stays in flight until it is delivered, rejected or put back, so that at any time
/// `recorded = delivered + dropped + rejected + pending`.
#[derive(Debug, Default)]
pub(super) struct EventBuffer {
    limits: Limits,
    queue: VecDeque<WeighedEvent>,
    in_flight: usize,
    /// The weight of the queue and the batch in flight.
    weight: usize,
    counts: EventCounts,
}

/// How many events a buffer holds at most, and how much they weigh. `SharedBuffer::new` sets both.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) weight: usize,
}

/// What became of the events that are no longer in the buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EventCounts {
    pub(super) recorded: usize,
    pub(super) delivered: usize,
    pub(super) dropped: usize,
    pub(super) rejected: usize,
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

    /// Moves the oldest event into the batch in flight.
    pub(super) fn take(&mut self) -> Option<WeighedEvent> {
        let event = self.queue.pop_front()?;
        self.in_flight += 1;
        Some(event)
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
                event.user_key.len()
                    + event.name.len()
                    + map_weight(&event.evaluation_context)
                    + map_weight(&event.details)
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
    let of_resolution = |resolution: &Resolution| {
        value_weight(&resolution.value)
            + resolution.variant.as_deref().map_or(0, str::len)
            + resolution.version.as_deref().map_or(0, str::len)
            + map_weight(&resolution.metadata)
    };
    event.user_key.len()
        + event.flag_key.len()
        + event.resolution.as_deref().map_or(0, of_resolution)
        + event.default_value.as_deref().map_or(0, value_weight)
}

fn map_weight(map: &Map<String, Value>) -> usize {
    map.iter()
        .map(|(name, value)| name.len() + value_weight(value))
        .sum()
}

fn value_weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_weight).sum(),
            Value::Object(members) => map_weight(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
mod tests;
