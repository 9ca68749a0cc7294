//! What exists between initialization and shutdown.

use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, IoRuntime, timeout};
use goff_core::{NoRuntimeError, RelayError};
use tokio::time::Instant;

use crate::client::changes::ChangeSink;
use crate::client::evaluator::Evaluator;
use crate::client::in_flight::{Evaluations, InFlight};
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
    in_flight: Arc<Evaluations>,
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
            in_flight: Arc::default(),
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

    /// An evaluation that waits for the relay proxy begins.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.enter()
    }

    /// Stops the change stream and the loading of flags, and waits until `end` for the evaluations
    /// in flight. Those left then, and any later ones, are cut off.
    pub(crate) async fn stop(&self, end: Instant) {
        let finishing = async {
            let left = end.saturating_duration_since(Instant::now());
            let _ = timeout(left, self.in_flight.ended()).await;
            self.in_flight.cut_off();
        };
        tokio::join!(self.stream.stop(end), self.evaluator.stop(end), finishing);
    }
}

/// How long a stream may be down before a cache without a time limit counts as stale.
const DEFAULT_STALE_AFTER: Duration = Duration::from_secs(60);
