//! [`Pool`]: the connections of one tokio runtime.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use goff_core::Connect;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::{Connection, OpenGuard};
use crate::error::OptionError;

/// The limits of a pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) max_requests_in_flight: usize,
    /// `None` for as many as may be in flight.
    pub(crate) max_idle_connections: Option<usize>,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_connection_age: Option<Duration>,
}

impl PoolSettings {
    /// # Errors
    /// A setting with which no request could be sent, or no connection kept.
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        if self.max_requests_in_flight == 0 {
            let reason = "must be at least 1";
            return Err(OptionError::new("max_requests_in_flight", reason));
        }
        let instead = "to keep no idle connection set `max_idle_connections` to 0";
        let reason = format!("must be longer than zero; {instead}");
        if self.idle_timeout.is_zero() {
            return Err(OptionError::new("idle_connection_timeout", reason));
        }
        if self.max_connection_age.is_some_and(|age| age.is_zero()) {
            return Err(OptionError::new("max_connection_age", reason));
        }
        Ok(())
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            max_requests_in_flight: 256,
            max_idle_connections: None,
            idle_timeout: Duration::from_secs(50),
            max_connection_age: Some(Duration::from_secs(5 * 60)),
        }
    }
}

/// What a transport counts, over all its pools.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) open_connections: Arc<AtomicUsize>,
    pub(crate) requests_in_flight: AtomicUsize,
    pub(crate) requests_waiting: AtomicUsize,
}

/// The connections that one runtime drives.
///
/// A request without an idle connection waits for the first one that comes free or is opened. There
/// are as many attempts to connect as requests that wait. An attempt goes on when its request was
/// served otherwise, and a later request relies on it instead of beginning another. Dropping the
/// pool ends its attempts and closes its idle connections.
pub(crate) struct Pool {
    runtime: Handle,
    connect: Arc<dyn Connect>,
    settings: PoolSettings,
    counters: Arc<Counters>,
    permits: Semaphore,
    state: Mutex<State>,
    /// Locked only to spawn: a runtime that shuts down drops the new task at once, and the drop of
    /// an attempt locks `state`.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    /// The most recently used one last.
    idle: Vec<Connection>,
    waiting: VecDeque<Waiting>,
    last_id: u64,
    /// When the attempts to connect that are in progress began.
    attempts: Vec<Instant>,
}

/// A request that waits for a connection.
struct Waiting {
    id: u64,
    /// Whether an attempt was begun for it. The others rely on one that was begun before.
    has_attempt: bool,
    connection: oneshot::Sender<io::Result<Connection>>,
}

/// The permission to have a request in flight.
pub(crate) struct InFlight<'a> {
    _permit: Option<SemaphorePermit<'a>>,
    _counted: Counted<'a>,
}

/// One of what a counter counts, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Pool {
    pub(crate) fn new(
        runtime: Handle,
        connect: Arc<dyn Connect>,
        settings: PoolSettings,
        counters: Arc<Counters>,
    ) -> Self {
        let permits = settings
            .max_requests_in_flight
            .clamp(1, Semaphore::MAX_PERMITS);
        Self {
            runtime,
            connect,
            settings,
            counters,
            permits: Semaphore::new(permits),
            state: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits until fewer requests are in flight than may be.
    pub(crate) async fn enter(&self) -> InFlight<'_> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let _waiting = Counted::new(&self.counters.requests_waiting);
                // The semaphore is never closed.
                self.permits.acquire().await.ok()
            }
        };
        InFlight {
            _permit: permit,
            _counted: Counted::new(&self.counters.requests_in_flight),
        }
    }

    /// An idle connection, or a new one.
    ///
    /// # Errors
    /// The attempt to open a connection for this request failed.
    pub(crate) async fn checkout(self: &Arc<Self>) -> io::Result<Connection> {
        let began = Instant::now();
        let (connection, attempt_for) = {
            let mut state = self.state();
            if let Some(idle) = state.pop_idle(began, self.settings.idle_timeout) {
                return Ok(idle);
            }
            state.wait(began, self.settings.max_requests_in_flight)
        };
        if let Some(id) = attempt_for {
            self.spawn(self.attempt(id, began));
        }
        connection.await.unwrap_or_else(|_| {
            let gone = "the tokio runtime of the connection is shutting down";
            Err(io::Error::other(gone))
        })
    }

    /// Takes back a connection whose response was read.
    pub(crate) fn put_back(self: &Arc<Self>, mut connection: Connection) {
        connection.finished(Instant::now());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match connection.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => self.hand_over(connection),
            Poll::Ready(Err(_)) => {}
            // Rare: hyper has yet to see the end of the response, or still writes the request.
            Poll::Pending => {
                let (pool, limit) = (Arc::downgrade(self), self.settings.connect_timeout);
                self.spawn(async move {
                    let ready = poll_fn(|context| connection.poll_ready(context));
                    if let Ok(Ok(())) = tokio::time::timeout(limit, ready).await
                        && let Some(pool) = pool.upgrade()
                    {
                        pool.hand_over(connection);
                    }
                });
            }
        }
    }

    /// Closes the connections that were idle already at `time`.
    pub(crate) fn close_idle_since(&self, time: Instant) {
        self.state().idle.retain(|idle| idle.idle_since() > time);
    }

    /// Closes idle connections in time, until the pool is dropped. `guard` is dropped with the
    /// runtime at the latest.
    pub(crate) fn start_closing_idle(self: &Arc<Self>, guard: impl Send + 'static) {
        let pool = Arc::downgrade(self);
        let idle_timeout = self.settings.idle_timeout;
        self.spawn(async move {
            let _guard = guard;
            let mut pause = idle_timeout;
            loop {
                tokio::time::sleep(pause.max(SHORTEST_PAUSE)).await;
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                pause = pool.state().close_expired(idle_timeout);
            }
        });
    }

    /// An attempt to connect for the request `id`.
    fn attempt(
        self: &Arc<Self>,
        id: u64,
        began: Instant,
    ) -> impl Future<Output = ()> + Send + 'static {
        let connect = Arc::clone(&self.connect);
        let timeout = self.settings.connect_timeout;
        let max_age = self.settings.max_connection_age.unwrap_or(Duration::MAX);
        let open = Arc::clone(&self.counters.open_connections);
        let mut attempt = Attempt {
            pool: Arc::downgrade(self),
            id: Some(id),
            began,
        };
        async move {
            loop {
                let opening = Connection::open(&*connect, max_age, OpenGuard::new(&open));
                let outcome = tokio::time::timeout(timeout, opening).await;
                let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                if !attempt.ended(outcome) {
                    return;
                }
            }
        }
    }

    /// Gives a connection to the request that has waited longest, or keeps it.
    fn hand_over(&self, connection: Connection) {
        let max_idle = self.max_idle();
        self.state().hand_over(connection, max_idle);
    }

    /// How many idle connections to keep.
    fn max_idle(&self) -> usize {
        let PoolSettings {
            max_idle_connections,
            max_requests_in_flight,
            ..
        } = self.settings;
        max_idle_connections.unwrap_or(max_requests_in_flight)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        // Not `tokio::spawn`: another executor may poll the request.
        tasks.spawn_on(task, &self.runtime);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The most recently used connection that can take a request.
    fn pop_idle(&mut self, now: Instant, idle_timeout: Duration) -> Option<Connection> {
        while let Some(idle) = self.idle.pop() {
            if idle.is_ready() && !idle.remaining(now, idle_timeout).is_zero() {
                return Some(idle);
            }
        }
        None
    }

    /// Waits for a connection. Where more requests wait than attempts are in progress, the second
    /// value names the request for which to begin one.
    fn wait(
        &mut self,
        now: Instant,
        max_attempts: usize,
    ) -> (oneshot::Receiver<io::Result<Connection>>, Option<u64>) {
        self.waiting.retain(|other| !other.connection.is_closed());
        self.last_id += 1;
        let id = self.last_id;
        // An old attempt probably waits for a peer that does not respond.
        let young = |began: &&Instant| now.saturating_duration_since(**began) < PATIENCE;
        let has_attempt = self.attempts.len() < max_attempts
            && self.attempts.iter().filter(young).count() <= self.waiting.len();
        if has_attempt {
            self.attempts.push(now);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push_back(Waiting {
            id,
            has_attempt,
            connection: sender,
        });
        (receiver, has_attempt.then_some(id))
    }

    /// Gives a connection to the request that has waited longest, or keeps it.
    fn hand_over(&mut self, connection: Connection, max_idle: usize) {
        let mut connection = Ok(connection);
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting.connection.send(connection) {
                Ok(()) => return,
                // That request was given up.
                Err(returned) => connection = returned,
            }
        }
        if let Ok(mut connection) = connection {
            connection.keep();
            self.idle.push(connection);
            let surplus = self.idle.len().saturating_sub(max_idle);
            self.idle.drain(..surplus);
        }
    }

    /// The attempt for the request `id` served another one: if `id` still waits, it relies on the
    /// attempts that are in progress.
    fn served_another(&mut self, id: u64) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.id == id) {
            waiting.has_attempt = false;
        }
    }

    /// Takes the attempt that began at `began` off the list.
    fn end_attempt(&mut self, began: Instant) {
        if let Some(position) = self.attempts.iter().position(|other| *other == began) {
            self.attempts.swap_remove(position);
        }
    }

    /// Gives the error of an attempt to the request `id`, for which it was made. If that one does
    /// not wait any longer, a request that relied on the attempt gets its own: returns its number.
    fn failed(&mut self, id: u64, error: io::Error) -> Option<u64> {
        let position = self.waiting.iter().position(|waiting| waiting.id == id);
        if let Some(waiting) = position.and_then(|position| self.waiting.remove(position))
            && waiting.connection.send(Err(error)).is_ok()
        {
            return None;
        }
        let relying =
            |waiting: &&mut Waiting| !waiting.has_attempt && !waiting.connection.is_closed();
        let next = self.waiting.iter_mut().find(relying)?;
        next.has_attempt = true;
        Some(next.id)
    }

    /// Closes idle connections. Returns how long to wait before the next time.
    fn close_expired(&mut self, idle_timeout: Duration) -> Duration {
        let now = Instant::now();
        let mut next = idle_timeout;
        self.idle.retain(|idle| {
            let remaining = idle.remaining(now, idle_timeout);
            let keep = !remaining.is_zero() && !idle.is_closed();
            if keep {
                next = next.min(remaining);
            }
            keep
        });
        next
    }
}

/// Reports how an attempt to connect ended, also where its task panics or its runtime goes.
struct Attempt {
    pool: Weak<Pool>,
    /// The request for which the attempt is made; `None` once it has ended.
    id: Option<u64>,
    began: Instant,
}

impl Attempt {
    /// Whether to try again, for another request.
    fn ended(&mut self, outcome: io::Result<Connection>) -> bool {
        let Some((pool, id)) = self.pool.upgrade().zip(self.id.take()) else {
            return false;
        };
        // In one step: a request that begins to wait must not rely on an attempt that has ended.
        let mut state = pool.state();
        state.end_attempt(self.began);
        match outcome {
            Ok(connection) => {
                state.hand_over(connection, pool.max_idle());
                state.served_another(id);
            }
            Err(error) => self.id = state.failed(id, error),
        }
        if self.id.is_some() {
            self.began = Instant::now();
            state.attempts.push(self.began);
        }
        self.id.is_some()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        while self.id.is_some() {
            let error = io::Error::other("the attempt to connect was aborted");
            self.ended(Err(error));
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long an attempt to connect may be in progress for another request to rely on it.
const PATIENCE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
