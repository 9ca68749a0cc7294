//! What the publisher, its task and whoever records share.

use std::mem;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

use goff_core::{RelayClient, RelayError};
use tokio::sync::Notify;

use super::buffer::EventBuffer;
use super::lanes::{self, Lanes, own_lane};
use super::{DeliveryReport, EventPublisherOptions, as_u64, lock};

pub(super) struct Shared {
    pub(super) collector: Arc<dyn RelayClient>,
    pub(super) options: EventPublisherOptions,
    pub(super) lanes: Lanes,
    state: Mutex<State>,
    pub(super) unknown: AtomicU64,
    pub(super) many_buffered: Notify,
    pub(super) closed: Notify,
}

pub(super) struct State {
    pub(super) buffer: EventBuffer,
    pub(super) accepting: bool,
    refusal_told: bool,
    /// The task was woken because many events are buffered, and has not begun yet.
    pub(super) flush_wanted: bool,
    /// The last delivery failed, so that many events are no reason for the next.
    pub(super) resting: bool,
    /// Which lane recorded at once last, and how often that changed since the last delivery.
    last_lane: usize,
    handovers: u32,
    /// Which start this is, so that the end of an earlier one does not close a later one.
    pub(super) generation: u64,
    pub(super) error: Option<RelayError>,
}

/// What is left to do after unlocking.
#[derive(Clone, Copy, Default)]
struct Then {
    wake: bool,
    tell_refusal: bool,
}

impl Shared {
    pub(super) fn new(collector: Arc<dyn RelayClient>, options: EventPublisherOptions) -> Self {
        let capacity = options.max_pending_events.saturating_mul(2);
        Self {
            collector,
            options,
            lanes: Lanes::new(),
            state: Mutex::new(State {
                buffer: EventBuffer::new(capacity),
                accepting: false,
                refusal_told: false,
                flush_wanted: false,
                resting: false,
                last_lane: 0,
                handovers: 0,
                generation: 0,
                error: None,
            }),
            unknown: AtomicU64::new(0),
            many_buffered: Notify::new(),
            closed: Notify::new(),
        }
    }

    /// Takes in what the calling thread's lane holds.
    pub(super) fn take_in_own_lane(&self) {
        let dropped = self.change(|state, then| {
            let dropped = self
                .lanes
                .take_own(|events| state.buffer.take_in_all(events));
            state.wake_if_many(&self.options, then);
            dropped
        });
        // What was dropped for them is freed after unlocking.
        self.lanes.give_back(dropped);
    }

    /// The state as it is, without what is in the lanes. [`settle`](Self::settle) it.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Unlocks after events came in, and does what follows from them.
    #[inline]
    pub(super) fn settle(&self, mut state: MutexGuard<'_, State>) {
        let mut then = Then::default();
        if state.accepting {
            state.note_recorder(own_lane());
            state.wake_if_many(&self.options, &mut then);
        } else {
            then.tell_refusal = state.refuse();
        }
        if !state.counts_each(&self.options) {
            self.open_or_close_lanes(&mut state, &mut then);
        }
        drop(state);
        self.act(then);
    }

    /// Uses the state, with every event in the buffer that was recorded before.
    pub(super) fn with_state<T>(&self, using: impl FnOnce(&mut State) -> T) -> T {
        self.change(|state, then| {
            let mut is_more = false;
            self.lanes.empty(|events| {
                state.buffer.take_in_all(events);
                is_more = true;
            });
            if is_more {
                state.wake_if_many(&self.options, then);
            }
            using(state)
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Then) -> T) -> T {
        let mut then = Then::default();
        let mut state = self.lock();
        let result = change(&mut state, &mut then);
        self.open_or_close_lanes(&mut state, &mut then);
        drop(state);
        self.act(then);
        result
    }

    fn open_or_close_lanes(&self, state: &mut State, then: &mut Then) {
        let closed = state.counts_each(&self.options);
        if closed == self.lanes.is_closed() {
            return;
        }
        let mut is_more = false;
        self.lanes.set_closed(closed, |events| {
            state.buffer.take_in_all(events);
            is_more = true;
        });
        if is_more && state.accepting {
            state.wake_if_many(&self.options, then);
        }
    }

    #[inline]
    fn act(&self, then: Then) {
        if then.wake {
            self.many_buffered.notify_one();
        }
        if then.tell_refusal {
            tell_refusal();
        }
    }

    pub(super) fn report(&self) -> DeliveryReport {
        self.with_state(|state| {
            let counts = state.buffer.counts();
            DeliveryReport {
                recorded: counts.recorded,
                delivered: counts.delivered,
                dropped: counts.dropped,
                buffered: counts.in_flight + as_u64(state.buffer.len()),
                error: state.error.clone(),
            }
        })
    }
}

impl State {
    /// Begins a start of the publisher; gives its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.accepting = true;
        self.generation += 1;
        self.refusal_told = false;
        // What an earlier task was woken for or failed at is no matter of this one.
        self.flush_wanted = false;
        self.resting = false;
        self.generation
    }

    /// Begins a delivery of what is buffered now; gives how many events that are.
    pub(super) fn begin_delivery(&mut self) -> usize {
        self.flush_wanted = false;
        self.handovers = 0;
        self.buffer.len()
    }

    #[inline]
    fn note_recorder(&mut self, lane: usize) {
        if self.last_lane != lane {
            self.last_lane = lane;
            self.handovers = self.handovers.saturating_add(1);
        }
    }

    /// Whether every event goes into the buffer at once: when it is refused, when one of the next may
    /// be the one for which the task is woken, and when the buffer is full, where each takes the
    /// place of another anyway, unless threads take turns.
    #[inline]
    fn counts_each(&self, options: &EventPublisherOptions) -> bool {
        let soon = self.buffer.len().saturating_add(lanes::MOST);
        !self.accepting
            || self.may_wake() && soon >= options.max_pending_events
            || self.buffer.is_full() && self.handovers < MANY_HANDOVERS
    }

    #[inline]
    fn wake_if_many(&mut self, options: &EventPublisherOptions, then: &mut Then) {
        let wake = self.may_wake() && self.buffer.len() >= options.max_pending_events;
        self.flush_wanted |= wake;
        then.wake |= wake;
    }

    fn may_wake(&self) -> bool {
        !self.flush_wanted && !self.resting
    }

    /// Counts an event that is not taken in; gives whether to tell.
    #[cold]
    fn refuse(&mut self) -> bool {
        self.buffer.refuse();
        !mem::replace(&mut self.refusal_told, true)
    }
}

#[cold]
fn tell_refusal() {
    tracing::warn!(
        "usage data are dropped, because their publisher is not started or is shut down"
    );
}

/// How often recording threads take turns at a full buffer before each puts its events down in a
/// lane.
const MANY_HANDOVERS: u32 = 64;
