//! The native client.

#[cfg(feature = "blocking")]
pub(crate) mod blocking;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod collection;
pub(crate) mod evaluator;
#[cfg(feature = "in-process")]
mod explain;
pub(crate) mod flag_list;
pub(crate) mod in_flight;
pub(crate) mod lifecycle;
#[cfg(feature = "in-process")]
pub(crate) mod local_flags;
pub(crate) mod panicked;
pub(crate) mod pending;
pub(crate) mod remote_health;
pub(crate) mod session;
pub(crate) mod session_runtime;
pub(crate) mod snapshot;
#[cfg_attr(not(feature = "ws"), path = "no_stream.rs")]
pub(crate) mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::contained;
use goff_core::{
    ContextView, EvaluationType, Event, EventSink, ExporterMetadata, FlagType, InvalidationSink,
    Outcome, RelayError, ResolutionError,
};
use goff_hooks::__internal::unix_seconds;
use goff_hooks::{DeliveryReport, EnrichedContext, tracking_event};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::client::check::Check;
use crate::client::evaluator::Lookup;
use crate::client::lifecycle::Lifecycle;
#[cfg(feature = "in-process")]
use crate::client::local_flags::LocalFlags;
use crate::client::panicked::{BULK, call_panicked, caught_call};
use crate::client::pending::{CLOSED, PendingEvaluation, not_evaluated};
use crate::client::session::Session;
use crate::client::snapshot::Snapshot;
use crate::details::{EvaluationDetails, PROVIDER_NAME, Recorder, TypedRequest};
use crate::options::GoFeatureFlagOptions;
use crate::options::error::{InitializeError, OptionsError};
use crate::remote::prefetched::Prefetched;
#[cfg(doc)]
use crate::status::State;
use crate::status::Status;
use crate::status::events::Subscription;
use crate::status::refresh::{RefreshError, Refreshed};
use crate::status::stats::Stats;

/// A client of one relay proxy. Clones are handles to the same client. Two clients in one process
/// share nothing.
///
/// Shut it down before the process ends: [`shutdown`](Self::shutdown) delivers the usage data that
/// is still buffered. Dropping the last handle instead loses that data, and stops all tasks.
///
/// # Runtimes
///
/// Requests run on the tokio runtime of their caller, which must be running: its own timers bound
/// them. Between [`Runtime::enter`](tokio::runtime::Runtime::enter) and the end of the guard that
/// runtime is the caller's too, so on one that nothing drives (a current-thread runtime outside
/// `block_on`), a call that another executor polls waits without a limit, as
/// [`tokio::time::timeout`] does there. Call outside the guard: under another executor, requests run
/// on the runtime on which the client was started, and a wait for one that is not driven is bounded.
///
/// ```no_run
/// use std::time::Duration;
///
/// use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "http")] {
/// let options = GoFeatureFlagOptions::new("http://localhost:1031");
/// let goff = GoFeatureFlag::connect(options).await?;
/// let context = EvaluationContext::builder().targeting_key("user-1").build();
/// let new_checkout = goff.evaluate("new-checkout", &context, false).await;
/// println!("{} because {}", new_checkout.value, new_checkout.reason());
/// goff.shutdown(Duration::from_secs(5)).await;
/// # }
/// # Ok(())
/// # }
/// ```
///
/// `Debug` shows its settings, status and counters, and no user.
#[derive(Clone)]
pub struct GoFeatureFlag {
    lifecycle: Arc<Lifecycle>,
}

impl fmt::Debug for GoFeatureFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoFeatureFlag")
            .field("settings", self.lifecycle.settings())
            .field("status", &self.status())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl GoFeatureFlag {
    /// Checks the options. Nothing is sent, and evaluations are refused until
    /// [`initialize`](Self::initialize).
    ///
    /// *Specification*: GOFF-CFG-001.
    ///
    /// # Errors
    /// The first option that cannot be used, and why.
    pub fn new(options: GoFeatureFlagOptions) -> Result<Self, OptionsError> {
        let lifecycle = Arc::new(Lifecycle::new(options.check()?));
        #[cfg(feature = "opentelemetry")]
        Lifecycle::register_metrics(&lifecycle);
        Ok(Self { lifecycle })
    }

    /// Starts the client: an empty cache, the change stream and the delivery of usage data.
    ///
    /// With remote evaluation it returns at once, without I/O (docs/python-parity.md A22); an
    /// unreachable relay proxy fails the first evaluation. With in-process evaluation it returns
    /// after the first attempt to load the flags, which the option `timeout` bounds. If that
    /// attempt fails, [`status`](Self::status) is [`Error`](State::Error), and loading is retried.
    ///
    /// On a started client it does nothing, so one handle can serve several OpenFeature domains.
    /// After [`shutdown`](Self::shutdown), or after the relay proxy refused the key, it starts the
    /// client again; usage data that is still buffered is kept.
    ///
    /// *Specification*: GOFF-LIFE-001, GOFF-EVT-008, GOFF-LIFE-002, GOFF-LIFE-003.
    ///
    /// # Errors
    /// [`InitializeError::NoRuntime`] outside a tokio runtime, and [`InitializeError::Refused`].
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        self.lifecycle.initialize().await
    }

    /// [`new`](Self::new) and [`initialize`](Self::initialize) in one. It starts tasks; with remote
    /// evaluation it opens no connection.
    ///
    /// # Errors
    /// The errors of both.
    pub async fn connect(options: GoFeatureFlagOptions) -> Result<Self, InitializeError> {
        let client = Self::new(options)?;
        client.initialize().await?;
        Ok(client)
    }

    /// [`connect`](Self::connect), if a [`check`](Self::check) finds nothing wrong: for programs that
    /// are to fail at once where the relay proxy is not reachable or refuses the key, and where flags
    /// that are held here could not be loaded. `timeout` bounds the check; if it fails, nothing was
    /// started.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and [`InitializeError::Unusable`].
    pub async fn connect_checked(
        options: GoFeatureFlagOptions,
        timeout: Duration,
    ) -> Result<Self, InitializeError> {
        let client = Self::new(options)?;
        client.initialize_checked(timeout).await?;
        Ok(client)
    }

    async fn initialize_checked(&self, timeout: Duration) -> Result<(), InitializeError> {
        if self.lifecycle.settings().mode.has_relay_proxy() {
            let check = self.check(timeout).await;
            if let Some(error) = check.error {
                return Err(InitializeError::Unusable(error));
            }
        }
        self.initialize().await?;
        match self.lifecycle.flags_error() {
            Some(error) => Err(InitializeError::Unusable(error)),
            None => Ok(()),
        }
    }

    /// Asks the relay proxy, with one small request and for at most `timeout`, whether it answers and
    /// accepts the API key. No evaluation is recorded. For readiness probes, which need not wait for
    /// an evaluation to fail, and for [`connect_checked`](Self::connect_checked).
    ///
    /// The request is one for the flag configuration: of one flag that hardly exists, or with
    /// in-process evaluation the conditional one, which is usually answered with "not modified". It
    /// is sent before [`initialize`](Self::initialize) too, and changes neither the state of the
    /// client nor its flags. Without a relay proxy nothing is sent; the check then says whether
    /// flags are loaded. It waits behind a rate limit (429) of requests for the configuration.
    pub async fn check(&self, timeout: Duration) -> Check {
        self.lifecycle.check(timeout).await
    }

    /// Replaces the API key while the client runs; an empty key means none. First the usage data that
    /// is buffered is delivered with the key before, for at most the option `timeout`. Then every
    /// request has the new key; requests in flight keep theirs.
    ///
    /// The key selects the flag set, so the new key is a new source of flags: no cached answer is
    /// served any more, and no request joined that began before. With in-process evaluation the flags
    /// are fetched anew, and those of the key before are served until they have arrived, also if the
    /// new key is refused; then the last-known-good file is written anew. The next change stream is
    /// opened with the new key, and then the current one closed.
    ///
    /// `Ok` means that the key is in use, not that it is accepted; call [`check`](Self::check) after
    /// it. The same key again does nothing. If the future is dropped before it is ready, the key before
    /// may stay. After the relay proxy has refused the key before ([`Fatal`](State::Fatal)), call
    /// [`initialize`](Self::initialize) next.
    ///
    /// # Errors
    /// A key that cannot be sent, or a client without an endpoint; nothing is changed.
    #[cfg(feature = "http")]
    pub async fn set_api_key(&self, key: impl AsRef<str>) -> Result<(), OptionsError> {
        self.lifecycle.set_api_key(key.as_ref()).await
    }

    /// The state of the client, and its last background error.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lifecycle.status()
    }

    /// Counters since the client was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.lifecycle.stats()
    }

    /// Waits until evaluations are answered, for at most `timeout`, and returns whether they are.
    /// Returns `false` at once when the relay proxy has refused the key (in-process evaluation). With
    /// remote evaluation this says nothing about the key; use [`check`](Self::check).
    pub async fn wait_until_ready(&self, timeout: Duration) -> bool {
        self.lifecycle.wait_until_ready(timeout).await
    }

    /// The events of this client from now on.
    ///
    /// *Specification*: GOFF-EVT-001.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.lifecycle.subscribe()
    }

    /// Where flags are evaluated.
    #[must_use]
    pub fn evaluation_type(&self) -> EvaluationType {
        self.lifecycle.evaluation_type()
    }

    /// The same flags without `async`, also those of a flag file; `None` with remote evaluation. They follow the client's
    /// starts and shutdowns, and record usage data through it.
    #[cfg(feature = "in-process")]
    #[must_use]
    pub fn local(&self) -> Option<LocalFlags> {
        (self.evaluation_type() == EvaluationType::InProcess)
            .then(|| LocalFlags::of_client(Arc::clone(&self.lifecycle)))
    }

    /// The flags as they are now, for one request of the application: see [`Snapshot`]. `None` with
    /// remote evaluation, where [`prefetch`](Self::prefetch) gives one.
    #[cfg(feature = "in-process")]
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.local().map(|flags| flags.snapshot())
    }

    /// The flags for one request of the application, in both modes: see [`Snapshot`].
    ///
    /// With remote evaluation the relay proxy evaluates all flags for `context`, or those that its
    /// `gofeatureflag.flagList` names, in one request of the bulk endpoint, which the option
    /// `timeout` bounds. The snapshot is for this context only. Each call is a request: nothing is
    /// cached or shared with other calls. With in-process evaluation nothing is sent, and the
    /// snapshot takes any context.
    ///
    /// It never fails: where the request did, each evaluation gives its default and the error, which
    /// [`Snapshot::error`] returns too.
    pub async fn prefetch(&self, context: &dyn ContextView) -> Snapshot {
        #[cfg(feature = "in-process")]
        if let Some(snapshot) = self.snapshot() {
            return snapshot;
        }
        let since = Instant::now();
        let flags = self.prefetched(context).await;
        Snapshot::prefetched(flags, Arc::clone(&self.lifecycle) as _, since)
    }

    async fn prefetched(&self, context: &dyn ContextView) -> Result<Prefetched, ResolutionError> {
        let session = self.session()?;
        let mut in_flight = session.enter();
        let enriched = EnrichedContext::new(context, self.exporter_metadata());
        let evaluator = &session.evaluator;
        let all = pin!(evaluator.prefetch(&enriched, session.runtime.io()));
        let all = contained(BULK, all);
        let all = in_flight
            .until_cut_off(all)
            .await
            .ok_or(CLOSED)?
            .map_err(|_| call_panicked(BULK))??
            .ok_or_else(|| self.lifecycle.not_ready())?;
        caught_call(BULK, || Prefetched::new(all, context))?
    }

    /// The labels of this application's usage data.
    #[must_use]
    pub fn exporter_metadata(&self) -> &ExporterMetadata {
        self.lifecycle.exporter_metadata()
    }

    /// Takes usage data for delivery by this client; `None` with `disable_data_collection`, and where
    /// there is neither a relay proxy nor an `event_sink`.
    #[must_use]
    pub fn event_sink(&self) -> Option<Arc<dyn EventSink>> {
        self.lifecycle.event_sink()
    }

    /// Takes flag changes from your own source, such as a `ChangeListener` of goff-ws: cached
    /// answers for the flags are no longer served, and subscribers get an event. As with a
    /// listener, [`Invalidation::All`](crate::Invalidation::All) before
    /// [`StreamState::Open`](crate::StreamState::Open) counts as a connection, not as a change. It
    /// does nothing while the client is not initialized.
    #[must_use]
    pub fn invalidation_sink(&self) -> Arc<dyn InvalidationSink> {
        Lifecycle::invalidation_sink(&self.lifecycle)
    }

    /// Evaluates a flag as a `bool`, `i64`, `f64`, `String`, JSON object (`serde_json::Map`) or any
    /// JSON (`serde_json::Value`). It never fails: where the flag gives no value, the result is
    /// `default`, and [`EvaluationDetails`] says why. Types are not coerced.
    ///
    /// *Specification*: GOFF-EVAL-003 to -006.
    pub async fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_as_requested(TypedRequest::typed(flag_key, context, default))
            .await
    }

    /// Evaluates a flag as your own type. A value that cannot be deserialized is `TYPE_MISMATCH`
    /// with the decoder's message. Where the default is served, the usage data has the value null,
    /// because the type need not serialize.
    ///
    /// ```no_run
    /// # use goff_client::{EvaluationContext, GoFeatureFlag};
    /// #[derive(serde::Deserialize)]
    /// struct Limits { requests: u32, window_seconds: f64 }
    ///
    /// # async fn example(goff: GoFeatureFlag, context: EvaluationContext) {
    /// let default = Limits { requests: 10, window_seconds: 1.0 };
    /// let limits = goff.evaluate_as("limits", &context, default).await.value;
    /// # }
    /// ```
    pub async fn evaluate_as<T: DeserializeOwned>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_as_requested(TypedRequest::deserialized(flag_key, context, default))
            .await
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names: remotely in
    /// one request, in process without a fallback to the relay proxy. Disabled and failed flags
    /// have the value null. Results are not cached, and usage data is not recorded, as on the relay
    /// proxy.
    ///
    /// # Errors
    /// The whole request failed, or the client is not ready.
    pub async fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        let session = self.session()?;
        let mut in_flight = session.enter();
        let enriched = EnrichedContext::new(context, self.exporter_metadata());
        let evaluator = &session.evaluator;
        let all = pin!(evaluator.evaluate_all(&enriched, session.runtime.io()));
        let all = contained(BULK, all);
        in_flight
            .until_cut_off(all)
            .await
            .ok_or(CLOSED)?
            .map_err(|_| call_panicked(BULK))??
            .ok_or_else(|| self.lifecycle.not_ready())
    }

    /// The untyped evaluation beneath [`evaluate`](Self::evaluate) and the OpenFeature provider.
    /// It neither enriches the context nor records usage data; the caller does both.
    pub async fn resolve(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        match self.look_up(flag_key, context) {
            Ok(outcome) => outcome,
            Err(pending) => pending.outcome().await,
        }
    }

    /// The part of [`resolve`](Self::resolve) that needs no waiting: a cache hit, and in-process
    /// evaluation without a fallback. It keeps the large future of a request off this path.
    ///
    /// # Errors
    /// Never fails. `Err(pending)` means that the relay proxy is needed; await
    /// `pending.outcome()`.
    #[doc(hidden)]
    pub fn look_up<'a>(
        &self,
        flag_key: &'a str,
        context: &'a dyn ContextView,
    ) -> Result<Outcome, Box<PendingEvaluation<'a>>> {
        self.find(flag_key, context, context)
    }

    /// Looks up with the caller's context, and `sent`, the same with exporter metadata or without.
    fn find<'a>(
        &self,
        flag_key: &'a str,
        given: &dyn ContextView,
        sent: &'a dyn ContextView,
    ) -> Result<Outcome, Box<PendingEvaluation<'a>>> {
        let session = self.lifecycle.session();
        let Some(session) = session.as_ref() else {
            return Ok(not_evaluated(flag_key, self.lifecycle.not_ready()));
        };
        match session.evaluator.look_up(flag_key, given, sent) {
            Lookup::Answered(outcome) => Ok(outcome),
            #[cfg(feature = "in-process")]
            Lookup::NotLoaded => Ok(not_evaluated(flag_key, self.lifecycle.not_ready())),
            Lookup::NeedsRelay(call) => {
                let session = Arc::clone(session);
                Err(PendingEvaluation::new(session, call, flag_key, sent))
            }
        }
    }

    /// Records a tracking event for experiments. It is delivered with the usage data of
    /// evaluations. Nothing is recorded with `disable_data_collection`, nor where there is neither
    /// a relay proxy nor an `event_sink`, which is logged once and counted in
    /// [`stats`](Self::stats).
    ///
    /// *Specification*: GOFF-TRACK-001 to -005.
    ///
    /// # Errors
    /// An attribute of the context cannot be read, or the client is not ready.
    pub fn track(
        &self,
        name: &str,
        context: &dyn ContextView,
        details: Map<String, Value>,
    ) -> Result<(), ResolutionError> {
        let _session = self.session()?;
        let Some(sink) = self.lifecycle.sink() else {
            self.lifecycle.not_collected();
            return Ok(());
        };
        let enriched = EnrichedContext::new(context, self.exporter_metadata());
        let event = caught_call("tracking", || {
            tracking_event(name, &enriched, details, unix_seconds())
        })?;
        let event = event.map_err(RelayError::InvalidContext)?;
        sink.record(Event::from(event));
        Ok(())
    }

    /// Makes the flags current now, and says what changed.
    ///
    /// With in-process evaluation it asks the relay proxy whether the flags have changed since they
    /// were loaded (a conditional request), or reads the flag files again, and returns when changed
    /// flags are in use, after at most the option `timeout` (10 s for files). A refresh that takes
    /// longer goes on. Concurrent calls share a refresh that begins after them. As with any refresh,
    /// subscribers get the change as an event, and three failures in a row make the client stale. A
    /// relay proxy that reads its own flags at intervals hands out what it has.
    ///
    /// With remote evaluation it drops all cached answers, so that the next evaluation of each flag
    /// is a request; requests in flight are not joined. It sends nothing.
    ///
    /// Idle connections are closed first. So a process that was suspended, such as a function that
    /// is frozen between its invocations, waits for no connection that has died unnoticed.
    ///
    /// # Errors
    /// [`RefreshError::Failed`]: the flags could not be loaded; those in use stay.
    /// [`RefreshError::NotReady`]: the client is not initialized, was shut down, or its key was
    /// refused.
    pub async fn refresh(&self) -> Result<Refreshed, RefreshError> {
        let session = self.session().map_err(RefreshError::NotReady)?;
        self.lifecycle.settings().connections.close_idle();
        match session.evaluator.refresh(session.runtime.io()).await {
            Some(refreshed) => refreshed.map_err(RefreshError::Failed),
            None => Err(RefreshError::NotReady(self.lifecycle.not_ready())),
        }
    }

    /// Delivers the buffered usage data to the data collector and the event sink, for at most
    /// `timeout`.
    pub async fn flush(&self, timeout: Duration) -> DeliveryReport {
        self.lifecycle.flush(timeout).await
    }

    /// Refuses new evaluations and tracking at once, stops the change stream, waits for the
    /// evaluations in flight, and delivers the usage data, all within `timeout`. Usage data that is
    /// not delivered by then stays buffered, and is delivered after another
    /// [`initialize`](Self::initialize). A second call does no harm.
    ///
    /// Work on tokio's threads for blocking calls cannot be interrupted and may outlast it: reading
    /// and compiling a large flag file or flag configuration, writing the last-known-good file, and
    /// a DNS lookup. Dropping a runtime waits for such work, and so does the end of
    /// `#[tokio::main]`. Where the process must exit by a certain time, keep the runtime and call
    /// [`Runtime::shutdown_timeout`](tokio::runtime::Runtime::shutdown_timeout).
    ///
    /// *Specification*: GOFF-LIFE-004, GOFF-LIFE-005.
    pub async fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        self.lifecycle.shutdown(timeout).await
    }

    async fn evaluate_as_requested<T>(&self, request: TypedRequest<'_, T>) -> EvaluationDetails<T> {
        let recording = self.lifecycle.recording();
        let telemetry = recording.telemetry;
        let _active = telemetry.map(|telemetry| telemetry.active(request.flag_key, PROVIDER_NAME));
        let enriched = EnrichedContext::new(request.context, recording.exporter_metadata);
        let (outcome, _in_flight) = match self.find(request.flag_key, request.context, &enriched) {
            Ok(outcome) => (outcome, None),
            Err(pending) => {
                let (outcome, in_flight) = pending.outcome_in_flight().await;
                (outcome, Some(in_flight))
            }
        };
        request.conclude(outcome, recording)
    }

    fn session(&self) -> Result<Arc<Session>, ResolutionError> {
        self.lifecycle
            .session()
            .as_ref()
            .map(Arc::clone)
            .ok_or_else(|| self.lifecycle.not_ready())
    }
}
