//! [`RecordingSink`]: records events and invalidations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use goff_core::{Event, EventSink, Invalidation, InvalidationSink, StreamState};

/// An [`EventSink`] and [`InvalidationSink`] that records for a test. Clones share one record.
#[derive(Debug, Clone, Default)]
pub struct RecordingSink(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    events: Vec<Event>,
    invalidations: Vec<Invalidation>,
    stream_states: Vec<StreamState>,
}

impl RecordingSink {
    /// The events so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// The invalidations so far, in order.
    #[must_use]
    pub fn invalidations(&self) -> Vec<Invalidation> {
        self.lock().invalidations.clone()
    }

    /// The states of the change stream so far, in order.
    #[must_use]
    pub fn stream_states(&self) -> Vec<StreamState> {
        self.lock().stream_states.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for RecordingSink {
    fn record(&self, event: Event) {
        self.lock().events.push(event);
    }
}

impl InvalidationSink for RecordingSink {
    fn invalidate(&self, invalidation: Invalidation) {
        self.lock().invalidations.push(invalidation);
    }

    fn stream_state(&self, state: StreamState) {
        self.lock().stream_states.push(state);
    }
}

#[cfg(test)]
mod tests {
    use goff_core::{ContextKind, TrackingEvent};

    use super::*;

    #[test]
    fn everything_is_recorded_in_order() {
        let sink = RecordingSink::default();
        let event =
            |name: &str| Event::from(TrackingEvent::new(name, ContextKind::User, "user", 0));
        sink.record(event("first"));
        sink.clone().record(event("second"));
        sink.invalidate(Invalidation::All);
        sink.stream_state(StreamState::Open);
        assert_eq!(sink.events(), [event("first"), event("second")]);
        assert_eq!(sink.invalidations(), [Invalidation::All]);
        assert_eq!(sink.stream_states(), [StreamState::Open]);
    }
}
