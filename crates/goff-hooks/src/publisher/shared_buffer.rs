//! The event buffer behind its one lock.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use goff_core::{Event, NoRuntimeError, RelayError};
use tokio::sync::Notify;

use super::buffer::{EventBuffer, Limits, WeighedEvent};
use super::options::EventPublisherOptions;
use super::reports::{DeliveryReport, UsageStats};

/// What recording threads, the worker and the publisher share.
///
/// Bench row "record an event, two threads": threads that record pass the lock, and what it guards, from
/// one processor to the other, a cache line at a time. So what recording writes stands together, the
/// lock first.
#[repr(C, align(64))]
pub(super) struct SharedBuffer {
    state: Mutex<State>,
    max_pending_events: usize,
    max_pending_bytes: usize,
    /// Wakes the worker when `max_pending_events` are queued, or half of `max_pending_bytes`.
    pub(super) size_trigger: Notify,
}

#[derive(Default)]
#[repr(C)]
struct State {
    buffer: EventBuffer,
    is_open: bool,
    refusal_logged: bool,
    /// The size trigger has fired, and no delivery has begun since.
    size_trigger_fired: bool,
    /// The size trigger is off, because the last delivery failed.
    size_trigger_off: bool,
    /// The worker ended with its runtime.
    has_ended: bool,
    /// Evaluations that the relay proxy may or may not have recorded.
    unknown: u64,
    /// The number of times the queue was opened.
    session: u64,
    /// Why the last batch failed; `None` if it was delivered.
    error: Option<RelayError>,
}

impl SharedBuffer {
    /// A buffer that is not open yet.
    pub(super) fn new(options: &EventPublisherOptions) -> Self {
        let limits = Limits {
            events: options.max_pending_events.saturating_mul(2),
            weight: options.max_pending_bytes,
        };
        Self {
            state: Mutex::new(State {
                buffer: EventBuffer::new(limits),
                ..State::default()
            }),
            max_pending_events: options.max_pending_events,
            max_pending_bytes: options.max_pending_bytes,
            size_trigger: Notify::new(),
        }
    }

    /// Accepts events from now on. Returns the number of this session.
    pub(super) fn open(&self) -> u64 {
        let mut state = self.lock();
        state.is_open = true;
        state.session += 1;
        state.has_ended = false;
        state.refusal_logged = false;
        state.size_trigger_fired = false;
        state.size_trigger_off = false;
        state.session
    }

    /// The worker ends with its runtime.
    pub(super) fn ended(&self) {
        self.lock().has_ended = true;
    }

    /// Refuses events from now on, unless a later session has begun.
    pub(super) fn close(&self, session: u64) {
        let mut state = self.lock();
        if state.session == session {
            state.is_open = false;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open
    }

    pub(super) fn record(&self, event: Event) {
        let event = WeighedEvent::from(event);
        let mut state = self.lock();
        if !state.is_open {
            state.buffer.refuse();
            if !mem::replace(&mut state.refusal_logged, true) {
                drop(state);
                tracing::warn!("usage data dropped: the event publisher is not running");
            }
            return;
        }
        let dropped = state.buffer.push(event);
        let fires = !state.size_trigger_fired
            && !state.size_trigger_off
            && (state.buffer.len() >= self.max_pending_events
                || state.buffer.weight() > self.max_pending_bytes / 2);
        if fires {
            state.size_trigger_fired = true;
        }
        drop(state);
        // Freed outside the lock.
        drop(dropped);
        if fires {
            self.size_trigger.notify_one();
        }
    }

    pub(super) fn note_unknown(&self) {
        self.lock().unknown += 1;
    }

    pub(super) fn note_left_out(&self) {
        self.lock().buffer.leave_out();
    }

    /// Begins a delivery. Returns the number of queued events.
    pub(super) fn begin_delivery(&self) -> usize {
        let mut state = self.lock();
        state.size_trigger_fired = false;
        state.buffer.len()
    }

    /// Moves the oldest events, at most `limit`, into the batch in flight.
    pub(super) fn take(&self, limit: usize) -> Vec<WeighedEvent> {
        // Allocated before the lock is taken.
        let mut taken = Vec::with_capacity(limit);
        taken.extend(self.lock().buffer.take(limit));
        taken
    }

    /// Returns events in flight to the front, in their order.
    pub(super) fn put_back(&self, events: Vec<WeighedEvent>) {
        self.lock().buffer.put_back(events);
    }

    /// Notes that a batch was delivered.
    pub(super) fn delivered(&self, count: usize, weight: usize) {
        let mut state = self.lock();
        state.buffer.delivered(count, weight);
        state.size_trigger_off = false;
        state.error = None;
    }

    /// Notes that the data collector will never accept events in flight. `error` says why, if they
    /// were the last batch.
    pub(super) fn rejected(&self, count: usize, weight: usize, error: Option<RelayError>) {
        let mut state = self.lock();
        state.buffer.rejected(count, weight);
        state.error = error.or(state.error.take());
    }

    /// Notes that a batch failed. The size trigger is off until a batch is delivered.
    pub(super) fn failed(&self, error: RelayError) {
        let mut state = self.lock();
        state.size_trigger_fired = false;
        state.size_trigger_off = true;
        state.error = Some(error);
    }

    pub(super) fn is_size_trigger_off(&self) -> bool {
        self.lock().size_trigger_off
    }

    pub(super) fn report(&self) -> DeliveryReport {
        let state = self.lock();
        let error = match state.has_ended && state.buffer.pending() > 0 {
            true => Some(RelayError::NotConnected(Arc::new(NoRuntimeError::Ended))),
            false => state.error.clone(),
        };
        DeliveryReport::of(&state.buffer, error)
    }

    pub(super) fn stats(&self) -> UsageStats {
        let state = self.lock();
        UsageStats::of(&state.buffer, state.unknown)
    }

    /// Whether a thread holds the lock, for bench row "record an event, two threads: under the lock".
    pub(super) fn is_locked(&self) -> bool {
        matches!(self.state.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
