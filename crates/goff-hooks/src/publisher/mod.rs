//! The event sink that delivers to a relay proxy.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, end_after, timeout as wait};
use goff_core::{Event, EventSink, NoRuntimeError, RelayClient};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

pub use self::options::EventPublisherOptions;
pub use self::queued_sink::QueuedSink;
pub use self::reports::{DeliveryReport, UsageStats};
use self::shared_buffer::SharedBuffer;
use self::worker::Worker;

mod batch_limits;
mod buffer;
mod delivery_log;
mod json_size;
mod options;
mod queued_sink;
mod reports;
mod shared_buffer;
mod worker;

/// The sink that sends events to a relay proxy.
///
/// [`record`](EventSink::record) takes a lock, appends the event and returns. A background task
/// delivers the events in the order of recording: every flush interval, as soon as
/// `max_pending_events` or half of `max_pending_bytes` are queued, on [`flush`](Self::flush) and at
/// [`shutdown`](Self::shutdown). Nothing is sent at start or when the queue is empty, and one batch
/// at a time is in flight. Delivery is at least once: a batch whose response was lost is sent
/// again, because the wire has no deduplication key.
///
/// A batch that fails returns to the front of the queue. From then on reaching
/// `max_pending_events` starts no delivery until the interval, a flush or the shutdown has
/// delivered a batch.
///
/// What will never be accepted does not block the rest. A batch that is refused for its content
/// (400, 413, 422, or a 403 that other batches do not get) is sent again in halves, until the one
/// event is found, which is counted as rejected; the first is logged with a warning. A 413 also
/// halves the size of later batches.
///
/// The queue and the batch in flight together hold at most twice `max_pending_events` events and
/// `max_pending_bytes` of memory. Beyond that the oldest queued event is dropped. An outage is
/// logged with one warning when it begins and one line when it is over.
///
/// Dropping a publisher without `shutdown` ends its task and loses the pending events. If the
/// runtime ends first, delivery stops and the events stay.
///
/// An application that has neither the hook nor our client records events itself, here to a relay
/// proxy in memory:
///
/// ```
/// use std::sync::Arc;
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
///
/// use goff_core::{
///     ContextKind, EventSink as _, EventSource, FeatureEvent, Reason, Resolution,
/// };
/// use goff_hooks::{EventPublisher, EventPublisherOptions};
/// use goff_testkit::ScriptedRelay;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let relay = Arc::new(ScriptedRelay::new());
/// let publisher = EventPublisher::new(relay, EventPublisherOptions::default());
/// publisher.start()?;
///
/// let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
/// let served = Resolution::new(true, Reason::Cached).with_variant("on");
/// let event = FeatureEvent::new(
///     "new-checkout",
///     ContextKind::User,
///     "user-1",
///     i64::try_from(now)?,
///     EventSource::ProviderCache,
/// )
/// .with_resolution(Arc::new(served));
/// publisher.record(event.into());
///
/// let report = publisher.shutdown(Duration::from_secs(5)).await;
/// println!("{}", serde_json::to_string(&report)?);
/// assert_eq!((report.recorded, report.delivered), (1, 1));
/// # Ok(())
/// # }
/// ```
///
/// *Specification*: GOFF-COLL-014 to -018, GOFF-COLL-019.
pub struct EventPublisher {
    buffer: Arc<SharedBuffer>,
    collector: Arc<dyn RelayClient>,
    options: EventPublisherOptions,
    session: Mutex<Option<Session>>,
    /// Wakes callers of `shutdown` that wait for another call to finish.
    shut_down: Notify,
}

/// The period between start and shutdown.
struct Session {
    number: u64,
    worker: BackgroundTask,
    flush_requests: mpsc::UnboundedSender<oneshot::Sender<()>>,
    deadline: Arc<OnceLock<Instant>>,
}

impl EventPublisher {
    /// Creates a publisher that drops events until [`start`](Self::start) is called.
    #[must_use]
    pub fn new(collector: Arc<dyn RelayClient>, options: EventPublisherOptions) -> Self {
        Self {
            buffer: Arc::new(SharedBuffer::new(&options)),
            collector,
            options,
            session: Mutex::new(None),
            shut_down: Notify::new(),
        }
    }

    /// Starts delivery on the current runtime. Does nothing while the publisher is running. After
    /// [`shutdown`](Self::shutdown) it starts again with the pending events.
    ///
    /// # Errors
    /// [`NoRuntimeError`] when called outside a tokio runtime, or on one without timers.
    pub fn start(&self) -> Result<(), NoRuntimeError> {
        let mut session = self.session();
        if let Some(session) = &*session
            && !session.worker.is_finished()
        {
            return Ok(());
        }
        let (flush_requests, requests) = mpsc::unbounded_channel();
        let deadline = Arc::new(OnceLock::new());
        let worker = BackgroundTask::spawn(|stop| {
            let worker = Worker {
                buffer: Arc::clone(&self.buffer),
                collector: Arc::clone(&self.collector),
                options: self.options.clone(),
                flush_requests: requests,
                stop,
                deadline: Arc::clone(&deadline),
            };
            worker.run()
        })?;
        *session = Some(Session {
            number: self.buffer.open(),
            worker,
            flush_requests,
            deadline,
        });
        Ok(())
    }

    /// Delivers the events recorded so far. Returns when they are delivered, when a batch failed,
    /// or after `timeout`; a batch in flight then continues in the background. Without effect
    /// unless the publisher is running. Delivery happens on the runtime of
    /// [`start`](Self::start); the caller may be on any executor.
    pub async fn flush(&self, timeout: Duration) -> DeliveryReport {
        let (request, done) = oneshot::channel();
        let is_requested = self
            .session()
            .as_ref()
            .is_some_and(|session| session.flush_requests.send(request).is_ok());
        if is_requested {
            // Finished, timed out or given up by a task that ended: the report has the result.
            let _ = wait(timeout, done).await;
        }
        self.buffer.report()
    }

    /// Delivers the pending events, ends the background task and refuses events from then on. It
    /// returns within `timeout` and a few milliseconds; a batch still in flight is cut off and
    /// counts as pending. Calling it again, even concurrently, is harmless.
    pub async fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        let deadline = end_after(timeout);
        let shut_down = self.shut_down.notified();
        let Some(session) = self.session().take() else {
            if self.buffer.is_open() {
                let _ = wait(timeout, shut_down).await;
            }
            return self.buffer.report();
        };
        let closing = Closing {
            publisher: self,
            session: session.number,
        };
        let _ = session.deadline.set(deadline);
        session
            .worker
            .stop(timeout.saturating_add(CUT_OFF_GRACE))
            .await;
        drop(closing);
        let report = self.buffer.report();
        log_shutdown(&report);
        report
    }

    /// What became of every event so far, without a delivery.
    #[must_use]
    pub fn report(&self) -> DeliveryReport {
        self.buffer.report()
    }

    /// What became of every evaluation and event so far.
    #[must_use]
    pub fn stats(&self) -> UsageStats {
        self.buffer.stats()
    }

    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a thread holds the lock of the events, for the bench that measures how long.
pub fn is_locked(publisher: &EventPublisher) -> bool {
    publisher.buffer.is_locked()
}

impl EventSink for EventPublisher {
    fn record(&self, event: Event) {
        self.buffer.record(event);
    }

    fn note_unknown(&self) {
        self.buffer.note_unknown();
    }

    fn note_left_out(&self) {
        self.buffer.note_left_out();
    }
}

impl fmt::Debug for EventPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventPublisher")
            .field("options", &self.options)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Refuses events at the end of a shutdown, also of one whose future is dropped.
struct Closing<'a> {
    publisher: &'a EventPublisher,
    session: u64,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.publisher.buffer.close(self.session);
        self.publisher.shut_down.notify_waiters();
    }
}

fn log_shutdown(report: &DeliveryReport) {
    let (delivered, dropped, pending) = (report.delivered, report.dropped, report.pending);
    let rejected = report.rejected;
    if dropped > 0 || rejected > 0 || pending > 0 {
        tracing::warn!(
            delivered,
            dropped,
            pending,
            rejected,
            "event publisher shut down before all usage data was delivered"
        );
    } else {
        tracing::debug!(
            delivered,
            "event publisher shut down, all usage data delivered"
        );
    }
}

/// How long the task may take to end after the deadline.
const CUT_OFF_GRACE: Duration = Duration::from_millis(50);
