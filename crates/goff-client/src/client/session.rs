//! What exists between initialization and shutdown.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, IoRuntime, timeout};
use goff_core::{NoRuntimeError, RelayError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::changes::ChangeSink;
use crate::client::evaluator::Evaluator;
use crate::client::session_runtime::SessionRuntime;
use crate::client::stream::ChangeStream;
use crate::options::settings::{Mode, Settings};
use crate::status::SessionStatus;
use crate::status::counters::Counters;

/// A client that evaluates. Dropping it ends everything that it started.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) runtime: SessionRuntime,
    pub(crate) evaluator: Evaluator,
    pub(crate) changes: Arc<ChangeSink>,
    pub(crate) stream: ChangeStream,
    status: SessionStatus,
    _health: Option<BackgroundTask>,
    in_flight: watch::Sender<InFlightEvaluations>,
}

/// The evaluations that wait for the relay proxy.
#[derive(Debug, Clone, Copy, Default)]
struct InFlightEvaluations {
    count: usize,
    is_cut_off: bool,
}

impl Session {
    /// A session with its change stream, but without flags, on the current runtime, which `io` is.
    pub(crate) fn new(
        io: IoRuntime,
        settings: &Settings,
        status: SessionStatus,
        counters: &Arc<Counters>,
    ) -> Result<Self, NoRuntimeError> {
        let runtime = SessionRuntime::new(io, &status)?;
        let evaluator = Evaluator::new(&settings.mode, counters);
        let changes = Arc::new(ChangeSink::new(
            evaluator.change_target(),
            status.clone(),
            Arc::clone(counters),
        ));
        let stream = ChangeStream::open(settings.stream.as_ref(), settings.api_key(), &changes)?;
        let stream_errors = stream.clone();
        let stream_error = move || stream_errors.last_error().map(|(error, _)| error);
        let health = match &settings.mode {
            Mode::Remote { cache, .. } => {
                // Without a cache nothing can be stale.
                let limits = cache.filter(|_| stream.exists());
                let stale_after = limits.map(|limits| limits.ttl.unwrap_or(DEFAULT_STALE_AFTER));
                changes.follow_health(stale_after, stream_error)?
            }
            #[cfg(feature = "in-process")]
            Mode::InProcess(_) => None,
        };
        Ok(Self {
            _health: health,
            runtime,
            evaluator,
            changes,
            stream,
            status,
            in_flight: watch::Sender::default(),
        })
    }

    /// Starts to load flags; remote evaluation is ready at once. The flags of `earlier`, a session
    /// whose runtime has ended, are served until others are loaded.
    pub(crate) fn start(&self, earlier: Option<&Self>) -> Result<(), NoRuntimeError> {
        let stream = self.stream.clone();
        self.evaluator.start(
            &self.status,
            earlier.map(|session| &session.evaluator),
            Box::new(move || stream.close()),
        )
    }

    /// There is another API key.
    #[cfg(feature = "http")]
    pub(crate) fn rekeyed(&self, key: Option<goff_core::ApiKey>) {
        self.changes.rekeyed();
        self.stream.set_api_key(key);
    }

    /// Waits until the first attempt to load flags has ended (GOFF-LIFE-001).
    ///
    /// # Errors
    /// The relay proxy refused the key.
    pub(crate) async fn first_attempt(&self) -> Result<(), RelayError> {
        self.evaluator.first_attempt().await
    }

    /// Runs an evaluation that waits; `None` when the client's shutdown has run out of time.
    pub(crate) async fn until_cut_off<T>(&self, evaluation: impl Future<Output = T>) -> Option<T> {
        let mut in_flight = self.in_flight.subscribe();
        tokio::select! {
            biased;
            result = evaluation => Some(result),
            // The sender is in `self`, so the channel is open.
            _ = in_flight.wait_for(|in_flight| in_flight.is_cut_off) => None,
        }
    }

    /// Stops the change stream and the loading of flags, and waits until `end` for the evaluations
    /// in flight. Those left then, and any later ones, are cut off.
    pub(crate) async fn stop(&self, end: Instant) {
        let finishing = async {
            let mut in_flight = self.in_flight.subscribe();
            let idle = in_flight.wait_for(|in_flight| in_flight.count == 0);
            let left = end.saturating_duration_since(Instant::now());
            let _ = timeout(left, idle).await;
            self.in_flight
                .send_modify(|in_flight| in_flight.is_cut_off = true);
        };
        tokio::join!(self.stream.stop(end), self.evaluator.stop(end), finishing);
    }
}

/// One evaluation in flight. Shutdown waits for it, so it is held until the evaluation is
/// recorded: the last delivery then includes its event.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<Session>);

impl InFlightGuard {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        session.in_flight.send_if_modified(|in_flight| {
            in_flight.count += 1;
            // Receivers wait for the count to fall only.
            false
        });
        Self(session)
    }
}

impl Deref for InFlightGuard {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.in_flight.send_if_modified(|in_flight| {
            in_flight.count -= 1;
            in_flight.count == 0
        });
    }
}

/// How long a stream may be down before a cache without a time limit counts as stale.
const DEFAULT_STALE_AFTER: Duration = Duration::from_secs(60);
