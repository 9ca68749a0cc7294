//! Delivers events: on an interval, when many are buffered, when asked, and at shutdown.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::BackgroundTask;
use goff_core::{Event, EventSink, NoRuntimeError, RelayClient};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

pub use self::buffer::{EventBuffer, EventCounts};
use self::lanes::is_full;
pub use self::options::EventPublisherOptions;
pub use self::reports::{DeliveryReport, UsageStats};
use self::shared::{Shared, State};
use self::worker::Delivery;

mod buffer;
mod json_size;
mod lanes;
mod options;
mod reports;
mod shared;
mod worker;

/// The sink that sends events to a relay proxy.
///
/// [`record`](EventSink::record) takes a lock, appends, and returns; each thread puts up to 32 events
/// down by itself first, which count as buffered. A task of its own delivers: every flush interval,
/// as soon as `max_pending_events` are buffered, on [`flush`](Self::flush) and at
/// [`shutdown`](Self::shutdown); never at start, never an empty batch, one batch at a time
/// (GOFF-COLL-014 to -018). The events of each thread are delivered in their order. Delivery is at
/// least once: a batch whose answer was lost is sent again, because the collector has no key by
/// which to tell.
///
/// A batch that is refused stays in front of the buffer, in order. After that, reaching
/// `max_pending_events` sends nothing until the interval, a flush or the shutdown has delivered a
/// batch again. The buffer holds twice `max_pending_events` (GOFF-COLL-019); see
/// [`EventBuffer`](crate::EventBuffer) for what is dropped then. An outage is told by one warning
/// when it begins and one line when it is over.
///
/// Dropped without `shutdown` it leaves no task behind and loses what is buffered. A runtime that
/// goes away first only ends delivery.
pub struct EventPublisher {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

impl EventPublisher {
    /// A publisher that does not run yet: what is recorded before [`start`](Self::start) is
    /// dropped.
    #[must_use]
    pub fn new(collector: Arc<dyn RelayClient>, options: EventPublisherOptions) -> Self {
        Self {
            shared: Arc::new(Shared::new(collector, options)),
            running: Mutex::new(None),
        }
    }

    /// Starts delivery on the current runtime. On a publisher that runs it does nothing; after
    /// [`shutdown`](Self::shutdown) it starts afresh with what is still buffered.
    ///
    /// # Errors
    /// When called outside a tokio runtime.
    pub fn start(&self) -> Result<(), NoRuntimeError> {
        let mut running = lock(&self.running);
        if let Some(running) = &*running
            && !running.task.is_finished()
        {
            return Ok(());
        }
        let (flushes, flush_requests) = mpsc::unbounded_channel();
        let (cut_off, cut_off_receiver) = watch::channel(None);
        let task = BackgroundTask::spawn(|stop| {
            let shared = Arc::clone(&self.shared);
            Delivery::new(shared, flush_requests, cut_off_receiver, stop).run()
        })?;
        let generation = self.shared.with_state(State::begin);
        *running = Some(Running {
            task,
            flushes,
            cut_off,
            generation,
        });
        Ok(())
    }

    /// Delivers what was recorded so far, and returns when that is done or has failed, at the
    /// latest after `deadline`; a batch on its way then goes on by itself. Without effect on a
    /// publisher that does not run.
    pub async fn flush(&self, deadline: Duration) -> DeliveryReport {
        let (reply, done) = oneshot::channel();
        let is_asked = lock(&self.running)
            .as_ref()
            .is_some_and(|running| running.flushes.send(reply).is_ok());
        if is_asked {
            // Whether it is done, late, or given up by a task that ended: the report says.
            let _ = timeout(deadline, done).await;
        }
        self.shared.report()
    }

    /// Delivers what is buffered, ends the task, and refuses events from then on. It returns
    /// within `deadline` and a few milliseconds; a batch that is on its way then is cut off and
    /// counts as still buffered. To shut down twice, also at once, does no harm.
    pub async fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        let closed = self.shared.closed.notified();
        let Some(running) = lock(&self.running).take() else {
            if self.shared.with_state(|state| state.accepting) {
                let _ = timeout(deadline, closed).await;
            }
            return self.shared.report();
        };
        let closing = Closing {
            shared: &self.shared,
            generation: running.generation,
        };
        running.cut_off.send_replace(Some(instant_after(deadline)));
        running
            .task
            .stop(deadline.saturating_add(CUT_OFF_GRACE))
            .await;
        drop(closing);
        let report = self.shared.report();
        self.shared.tell_shutdown(&report);
        report
    }

    /// What became of every evaluation and event so far.
    #[must_use]
    pub fn stats(&self) -> UsageStats {
        self.shared.with_state(|state| {
            let counts = state.buffer.counts();
            UsageStats {
                recorded: counts.recorded,
                delivered: counts.delivered,
                dropped: counts.dropped,
                in_flight: counts.in_flight,
                buffered: as_u64(state.buffer.len()),
                unknown: self.shared.unknown.load(Ordering::Relaxed),
            }
        })
    }
}

impl EventSink for EventPublisher {
    /// In one piece, because an event that is handed on is copied each time.
    fn record(&self, mut event: Event) {
        if let Some(mut lane) = self.shared.lanes.own() {
            lane.push(event);
            if is_full(&lane) {
                drop(lane);
                self.shared.take_in_own_lane();
            }
            return;
        }
        let mut state = self.shared.lock();
        // From then on `event` is the one that was dropped for it, and freed after unlocking.
        let is_in = !state.accepting || state.buffer.exchange(&mut event);
        if !is_in {
            state.buffer.take_in(event);
        }
        self.shared.settle(state);
    }

    fn note_unknown(&self) {
        self.shared.unknown.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for EventPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventPublisher")
            .field("options", &self.shared.options)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

struct Running {
    task: BackgroundTask,
    flushes: mpsc::UnboundedSender<oneshot::Sender<()>>,
    cut_off: watch::Sender<Option<Instant>>,
    generation: u64,
}

impl Shared {
    fn tell_shutdown(&self, report: &DeliveryReport) {
        let DeliveryReport {
            delivered,
            dropped,
            buffered,
            ..
        } = report;
        if *dropped > 0 || *buffered > 0 {
            tracing::warn!(
                delivered,
                dropped,
                buffered,
                "usage data were not all delivered by the time of shutdown"
            );
        } else {
            tracing::debug!(delivered, "usage data are all delivered at shutdown");
        }
    }
}

/// Refuses events when a shutdown ends, also one that is dropped half-way.
struct Closing<'a> {
    shared: &'a Shared,
    generation: u64,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.shared.with_state(|state| {
            if state.generation == self.generation {
                state.accepting = false;
            }
        });
        self.shared.closed.notify_waiters();
    }
}

fn instant_after(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now + FAR)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How long a task that was cut off at the deadline may take to end.
const CUT_OFF_GRACE: Duration = Duration::from_millis(50);

/// A deadline beyond reach.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
