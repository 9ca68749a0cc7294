//! A queue before an application's sink, so that the sink cannot hold up evaluations.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, thread};

use goff_core::__internal::timeout as wait;
use goff_core::{Event, EventSink};
use tokio::sync::Notify;

use super::buffer::{EventBuffer, Limits, WeighedEvent};
use super::reports::{DeliveryReport, UsageStats};

/// Takes events without waiting, and passes them to an application's sink one by one, in order, on a
/// separate thread.
///
/// * A **slow or blocked** sink fills the queue, which holds twice `max_pending_events` events and
///   `max_pending_bytes` of memory. Beyond that the oldest queued event is dropped and counted. It is
///   one thread however often the queue is started.
/// * An event at which the sink **panics** counts as rejected; the next ones follow after a pause of
///   100 ms.
///
/// Each event is passed on at most once. After a shutdown, or when the queue is dropped, the thread
/// ends with the call in progress; the process does not wait for it.
pub struct QueuedSink(Arc<Queue>);

struct Queue {
    sink: Arc<dyn EventSink>,
    state: Mutex<State>,
    /// Wakes the thread.
    changed: Condvar,
    /// Wakes threads that wait for a round to end, and tasks that do.
    round_ended: Condvar,
    round_ended_for_tasks: Notify,
}

#[derive(Default)]
struct State {
    buffer: EventBuffer,
    unknown: u64,
    is_open: bool,
    /// The number of times the queue was opened.
    session: u64,
    /// The thread exists.
    is_running: bool,
    /// The thread ends after the call in progress.
    stops: bool,
    /// A round passes on the events that were queued when it began. Their numbers so far.
    rounds_begun: u64,
    rounds_ended: u64,
    refusal_logged: bool,
    drop_logged: bool,
    panic_logged: bool,
}

impl QueuedSink {
    /// Creates a queue that drops events until [`start`](Self::start) is called.
    #[must_use]
    pub fn new(
        sink: Arc<dyn EventSink>,
        max_pending_events: usize,
        max_pending_bytes: usize,
    ) -> Self {
        let limits = Limits {
            events: max_pending_events.saturating_mul(2),
            weight: max_pending_bytes,
        };
        Self(Arc::new(Queue {
            sink,
            state: Mutex::new(State {
                buffer: EventBuffer::new(limits),
                ..State::default()
            }),
            changed: Condvar::new(),
            round_ended: Condvar::new(),
            round_ended_for_tasks: Notify::new(),
        }))
    }

    /// Accepts events from now on. Events of an earlier session that are still queued are passed on.
    /// If the system gives no thread, events are dropped until another start.
    pub fn start(&self) {
        self.start_on(thread::Builder::new());
    }

    fn start_on(&self, thread: thread::Builder) {
        let mut state = self.0.lock();
        state.stops = false;
        state.refusal_logged = false;
        if !mem::replace(&mut state.is_open, true) {
            state.session += 1;
        }
        if mem::replace(&mut state.is_running, true) {
            return;
        }
        let queue = Arc::clone(&self.0);
        let thread = thread.name("goff-event-sink".to_owned());
        if let Err(error) = thread.spawn(move || queue.run()) {
            state.is_running = false;
            state.is_open = false;
            state.refusal_logged = true;
            drop(state);
            tracing::warn!(%error, "no thread for the event sink, its usage data is dropped until the next start");
        }
    }

    /// Waits until the sink has taken the events recorded so far, for at most `timeout`.
    pub async fn flush(&self, timeout: Duration) -> DeliveryReport {
        let round = self.0.lock().round_of_the_queued();
        let _ = wait(timeout, self.0.wait_for(round)).await;
        self.report()
    }

    /// [`flush`](Self::flush) that blocks the thread.
    pub fn flush_blocking(&self, timeout: Duration) -> DeliveryReport {
        let state = self.0.lock();
        let round = state.round_of_the_queued();
        let waited = self
            .0
            .round_ended
            .wait_timeout_while(state, timeout, |state| !state.has_ended(round));
        drop(waited);
        self.report()
    }

    /// Refuses events from now on, waits until the sink has taken the queued ones, for at most
    /// `timeout`, and ends the thread. Events left then stay queued; the one that the sink is taking
    /// counts as pending.
    pub async fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        let session = {
            let mut state = self.0.lock();
            state.is_open = false;
            state.session
        };
        let report = self.flush(timeout).await;
        let mut state = self.0.lock();
        // A later session has the thread.
        if state.session == session && !state.is_open {
            state.stops = true;
            self.0.changed.notify_one();
        }
        drop(state);
        if report.dropped > 0 || report.rejected > 0 || report.pending > 0 {
            tracing::warn!(
                delivered = report.delivered,
                dropped = report.dropped,
                pending = report.pending,
                rejected = report.rejected,
                "event sink shut down before it took all usage data"
            );
        }
        report
    }

    /// What became of every event so far.
    #[must_use]
    pub fn stats(&self) -> UsageStats {
        let state = self.0.lock();
        UsageStats::of(&state.buffer, state.unknown)
    }

    /// The same, as a report.
    #[must_use]
    pub fn report(&self) -> DeliveryReport {
        DeliveryReport::of(&self.0.lock().buffer, None)
    }
}

impl EventSink for QueuedSink {
    fn record(&self, event: Event) {
        let event = WeighedEvent::from(event);
        let mut state = self.0.lock();
        if !state.is_open {
            state.buffer.refuse();
            let is_first = !mem::replace(&mut state.refusal_logged, true);
            drop(state);
            if is_first {
                tracing::warn!("usage data dropped: the event sink is not running");
            }
            return;
        }
        let dropped = state.buffer.push(event);
        let begins = dropped.is_some() && !mem::replace(&mut state.drop_logged, true);
        drop(state);
        self.0.changed.notify_one();
        if begins {
            tracing::warn!("event sink too slow or blocked, its oldest usage data is dropped");
        }
    }

    fn note_unknown(&self) {
        self.0.lock().unknown += 1;
    }

    fn note_left_out(&self) {
        self.0.lock().buffer.leave_out();
    }
}

impl Drop for QueuedSink {
    fn drop(&mut self) {
        self.0.lock().stops = true;
        self.0.changed.notify_one();
    }
}

impl fmt::Debug for QueuedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedSink")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl State {
    /// The round whose end means that everything queued now was passed on.
    fn round_of_the_queued(&self) -> u64 {
        self.rounds_begun + u64::from(self.buffer.len() > 0)
    }

    /// Whether a round has ended, or never will: the one that runs may pass on everything that was
    /// queued.
    fn has_ended(&self, round: u64) -> bool {
        let is_idle = self.buffer.len() == 0 && self.rounds_ended == self.rounds_begun;
        self.rounds_ended >= round || is_idle || !self.is_running
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_for(&self, round: u64) {
        loop {
            let mut ended = pin!(self.round_ended_for_tasks.notified());
            ended.as_mut().enable();
            if self.lock().has_ended(round) {
                return;
            }
            ended.await;
        }
    }

    /// Passes events on until the queue is stopped.
    fn run(&self) {
        while let Some(count) = self.next_round() {
            for event in (0..count).map_while(|_| self.take()) {
                self.pass_on(event);
            }
            self.contained(|sink| sink.flush());
            let mut state = self.lock();
            state.rounds_ended = state.rounds_begun;
            state.drop_logged &= state.buffer.len() > 0;
            drop(state);
            self.announce();
        }
        self.announce();
    }

    /// Waits for events, and returns how many there are; `None` if the queue is stopped.
    fn next_round(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stops {
                state.is_running = false;
                return None;
            }
            if state.buffer.len() > 0 {
                state.rounds_begun += 1;
                return Some(state.buffer.len());
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self) -> Option<WeighedEvent> {
        let mut state = self.lock();
        if state.stops {
            return None;
        }
        state.buffer.take(1).next()
    }

    fn pass_on(&self, event: WeighedEvent) {
        let WeighedEvent { event, weight } = event;
        if self.contained(|sink| sink.record(event)) {
            let mut state = self.lock();
            state.panic_logged = false;
            state.buffer.delivered(1, weight);
        } else {
            self.lock().buffer.rejected(1, weight);
            thread::sleep(PAUSE_AFTER_A_PANIC);
        }
    }

    /// Calls the sink, and returns whether it returned.
    fn contained(&self, call: impl FnOnce(&dyn EventSink)) -> bool {
        let returned = catch_unwind(AssertUnwindSafe(|| call(&*self.sink))).is_ok();
        if !returned && !mem::replace(&mut self.lock().panic_logged, true) {
            tracing::warn!("event sink panicked, the event is lost");
        }
        returned
    }

    fn announce(&self) {
        self.round_ended.notify_all();
        self.round_ended_for_tasks.notify_waiters();
    }
}

/// A sink that panics at every event prints, and costs, little.
const PAUSE_AFTER_A_PANIC: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
