//! Starting, stopping, and what outlasts a session.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use goff_core::__internal::{IoRuntime, OwnRuntime, end_after, timeout as wait};
use goff_core::{
    EvaluationType, EventSink, ExporterMetadata, Invalidation, InvalidationSink, NoRuntimeError,
    ResolutionError, StreamState,
};
use goff_hooks::__internal::EvaluationTelemetry;
use goff_hooks::DeliveryReport;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::changes::ChangeSink;
use crate::client::collection::UsageCollection;
use crate::client::pending::CLOSED;
use crate::client::session::Session;
use crate::details::{Recorder, Recording};
use crate::options::error::InitializeError;
#[cfg(feature = "http")]
use crate::options::error::OptionsError;
#[cfg(feature = "http")]
use crate::options::key_holders::KeyHolders;
#[cfg(all(feature = "http", feature = "in-process"))]
use crate::options::settings::Mode;
use crate::options::settings::Settings;
use crate::status::counters::Counters;
use crate::status::events::Subscription;
#[cfg(feature = "opentelemetry")]
use crate::status::metrics;
use crate::status::stats::Stats;
use crate::status::{State, Status, StatusCell};

/// A client across its sessions: settings, status, counters and buffered usage data stay.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    settings: Settings,
    session: ArcSwapOption<Session>,
    /// Held while a session starts or stops.
    changing: Mutex<()>,
    status: Arc<StatusCell>,
    counters: Arc<Counters>,
    telemetry: Option<EvaluationTelemetry>,
    /// With the option `own_runtime`, from the first start to the drop of the client.
    own_runtime: std::sync::Mutex<Option<OwnRuntime>>,
    collection: UsageCollection,
}

impl Lifecycle {
    pub(crate) fn new(settings: Settings) -> Self {
        let collection = UsageCollection::new(&settings);
        Self {
            telemetry: settings.telemetry.as_ref().map(EvaluationTelemetry::new),
            settings,
            session: ArcSwapOption::empty(),
            changing: Mutex::new(()),
            status: Arc::new(StatusCell::new()),
            counters: Arc::default(),
            collection,
            own_runtime: std::sync::Mutex::default(),
        }
    }

    pub(crate) async fn initialize(&self) -> Result<(), InitializeError> {
        let session = self.started().await.map_err(|error| {
            self.status.not_started(error);
            InitializeError::NoRuntime(error)
        })?;
        let Err(refusal) = session.first_attempt().await else {
            return Ok(());
        };
        let _changing = self.changing.lock().await;
        let current = self.session.load_full();
        if current.is_some_and(|current| Arc::ptr_eq(&current, &session)) {
            self.session.store(None);
            session.stop(Instant::now()).await;
        }
        Err(InitializeError::Refused(refusal))
    }

    /// The session, started if there is none, if the relay proxy had refused the key, or if the
    /// runtime of the session has ended.
    async fn started(&self) -> Result<Arc<Session>, NoRuntimeError> {
        let _changing = self.changing.lock().await;
        let mut ended = None;
        if let Some(session) = self.session.load_full() {
            if session.runtime.io().is_forked() {
                return Err(NoRuntimeError::Forked);
            }
            if session.runtime.has_ended() {
                ended = Some(session);
            } else if self.status.state() != State::Fatal {
                return Ok(session);
            } else {
                self.session.store(None);
                session.stop(Instant::now()).await;
            }
        }
        // Synchronous, because a guard of an entered runtime is not `Send`.
        self.start_session(ended.as_deref())
    }

    fn start_session(&self, ended: Option<&Session>) -> Result<Arc<Session>, NoRuntimeError> {
        // Without a usable runtime nothing changes.
        let io = self.io()?;
        let _entered = io.enter();
        #[cfg(feature = "http")]
        if self.settings.needs_io {
            goff_http::__internal::check_io()?;
        }
        let status = self.status.begin();
        self.collection.start()?;
        let log = &self.settings.start_log;
        let mode = match self.evaluation_type() {
            EvaluationType::Remote => "remote",
            EvaluationType::InProcess => "in_process",
        };
        tracing::info!(
            mode,
            endpoint = log.endpoint,
            options = log.options,
            "client started"
        );
        let session = Arc::new(Session::new(
            io.clone(),
            &self.settings,
            status,
            &self.counters,
        )?);
        // Before it starts, so that evaluations find the session once it says that it is ready.
        self.session.store(Some(Arc::clone(&session)));
        if let Err(error) = session.start(ended) {
            self.session.store(None);
            return Err(error);
        }
        Ok(session)
    }

    /// Where the I/O of a request runs: that of the session, or without one that of the next. `None`
    /// means the runtime of the caller.
    pub(crate) fn request_io(&self) -> Result<Option<IoRuntime>, NoRuntimeError> {
        match self.session.load().as_ref() {
            Some(session) => Ok(Some(session.runtime.io().clone())),
            None if self.settings.own_runtime => self.io().map(Some),
            None => Ok(None),
        }
    }

    /// Where the I/O of a session that starts now is to run.
    fn io(&self) -> Result<IoRuntime, NoRuntimeError> {
        if !self.settings.own_runtime {
            return IoRuntime::current();
        }
        let mut own = self
            .own_runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A forked process has no such thread, but cannot know whether it has ended.
        if own.as_ref().is_some_and(|own| own.io().is_forked()) {
            return Err(NoRuntimeError::Forked);
        }
        if let Some(own) = own.as_ref().filter(|own| !own.has_ended()) {
            return Ok(own.io().clone());
        }
        Ok(own.insert(OwnRuntime::start()?).io().clone())
    }

    /// Starts the own runtime, if there is none.
    #[cfg(feature = "blocking")]
    pub(crate) fn prepare(&self) -> Result<(), NoRuntimeError> {
        self.io().map(drop)
    }

    /// The own runtime, unless there is none yet, or it stayed behind in another process.
    #[cfg(feature = "blocking")]
    pub(crate) fn own_io(&self) -> Option<IoRuntime> {
        let own = self
            .own_runtime
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let io = own.as_ref()?.io();
        (!io.is_forked()).then(|| io.clone())
    }

    pub(crate) async fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        if self.is_forked() {
            return self.report();
        }
        let end = end_after(timeout);
        // New evaluations are refused from now on, even while another call starts or stops.
        let session = self.close();
        let was_started = session.is_some();
        let _changing = wait(left_until(end), self.changing.lock()).await;
        for session in session.into_iter().chain(self.close()) {
            // Without the application's sink, which gets its events anyway: while it is blocked, no
            // time would be left for the last delivery.
            let delivery = self.collection.deliver(left_until(end));
            tokio::join!(session.stop(end), delivery);
        }
        let report = self.collection.shutdown(left_until(end)).await;
        self.settings.connections.close_idle();
        if was_started {
            tracing::info!(
                delivered = report.delivered,
                dropped = report.dropped,
                rejected = report.rejected,
                pending = report.pending,
                "client shut down"
            );
        }
        report
    }

    fn close(&self) -> Option<Arc<Session>> {
        let session = self.session.swap(None)?;
        self.status.close();
        Some(session)
    }

    pub(crate) async fn flush(&self, timeout: Duration) -> DeliveryReport {
        if self.is_forked() {
            return self.report();
        }
        self.collection.flush(timeout).await
    }

    /// Where evaluations are recorded.
    #[cfg(feature = "in-process")]
    pub(crate) fn collection(&self) -> &UsageCollection {
        &self.collection
    }

    fn report(&self) -> DeliveryReport {
        self.collection.report()
    }

    /// Whether this is a forked process, without the thread of the client. Nothing is delivered
    /// there, because the usage data belongs to the process that recorded it, and nothing is waited
    /// for, because the threads of timers are missing too.
    fn is_forked(&self) -> bool {
        let session = self.session.load();
        let session = session.as_ref();
        session.is_some_and(|session| session.runtime.io().is_forked())
    }

    #[cfg(feature = "http")]
    pub(crate) async fn set_api_key(&self, key: &str) -> Result<(), OptionsError> {
        let Some(holders) = &self.settings.key_holders else {
            let reason = "has no effect on a client without the endpoint of a relay proxy";
            return Err(OptionsError::new("api_key", reason));
        };
        let key = KeyHolders::check(key)?;
        if holders.api_key() == key {
            return Ok(());
        }
        // What was recorded so far belongs to the flag set of the key before.
        if !self.is_forked() {
            self.collection.deliver(holders.timeout()).await;
        }
        let _changing = self.changing.lock().await;
        // First the key, then the epoch: what is requested in the new epoch has the new key.
        holders.set(key.clone())?;
        self.collection.rekeyed();
        #[cfg(feature = "in-process")]
        if let Mode::InProcess(mode) = &self.settings.mode
            && let Some(relay) = mode.relay()
        {
            let identity = holders.identity();
            relay.key.send_modify(|source| source.replace(&identity));
        }
        if let Some(session) = self.session.load_full() {
            session.rekeyed(key);
        }
        tracing::info!("API key replaced");
        Ok(())
    }

    pub(crate) async fn wait_until_ready(&self, timeout: Duration) -> bool {
        if self.is_forked() {
            return self.status.state().answers();
        }
        let answers = wait(timeout, self.status.answers()).await;
        answers.unwrap_or(false)
    }

    /// The session, without a reference to it: on many cores the counter would be contended.
    #[inline]
    pub(crate) fn session(&self) -> Guard<Option<Arc<Session>>> {
        self.session.load()
    }

    /// Why evaluations are refused (GOFF-LIFE-006).
    pub(crate) fn not_ready(&self) -> ResolutionError {
        let reason = match self.status.state() {
            State::Closed => return CLOSED,
            State::Fatal => REFUSED,
            _ if self.session.load().is_none() => NOT_INITIALIZED,
            _ => NOT_LOADED,
        };
        ResolutionError::NotReady { reason }
    }

    pub(crate) fn status(&self) -> Status {
        let session = self.session.load();
        let session = session.as_ref();
        self.status
            .get(session.and_then(|session| session.stream.last_error()))
    }

    pub(crate) fn stats(&self) -> Stats {
        let session = self.session.load();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            hits: count(&self.counters.hits),
            misses: count(&self.counters.misses),
            shared: count(&self.counters.shared),
            stale: count(&self.counters.stale),
            circuit_open: count(&self.counters.circuit_open),
            evictions: count(&self.counters.evictions),
            cache_bytes: session
                .as_ref()
                .map_or(0, |session| session.evaluator.cache_bytes()),
            usage: self.collection.stats(),
            event_sink: self.collection.sink_stats(),
            stream: session
                .as_ref()
                .map_or(StreamState::Down, |session| session.stream.state()),
            refreshes: count(&self.counters.refreshes),
            failed_refreshes: count(&self.counters.failed_refreshes),
            fallbacks: count(&self.counters.fallbacks),
            failed_fallbacks: count(&self.counters.failed_fallbacks),
            not_collected: count(&self.counters.not_collected),
            reconnects: count(&self.counters.reconnects),
            open_connections: self.settings.connections.open(),
            requests_in_flight: self.settings.connections.in_flight(),
            requests_waiting: self.settings.connections.waiting(),
            requests: self.settings.requests.stats(),
            flags: session
                .as_ref()
                .map_or(0, |session| session.evaluator.flags()),
            last_confirmed_at: self.counters.last_confirmed_at(),
        }
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        self.status.subscribe()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn exporter_metadata(&self) -> &ExporterMetadata {
        &self.settings.exporter_metadata
    }

    pub(crate) fn evaluation_type(&self) -> EvaluationType {
        self.settings.mode.evaluation_type()
    }

    /// Counts a tracking event that cannot be delivered because there is neither a relay proxy nor a
    /// sink of the application.
    pub(crate) fn not_collected(&self) {
        if self.settings.mode.has_relay_proxy() {
            return;
        }
        if self.counters.not_collected.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "tracking events are not recorded because neither a relay proxy nor `event_sink` is configured"
            );
        }
    }

    pub(crate) fn sink(&self) -> Option<&dyn EventSink> {
        self.collection.sink().map(|sink| &**sink)
    }

    /// Makes the counters of this client metrics, if that is asked for.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn register_metrics(this: &Arc<Self>) {
        if let Some(options) = &this.settings.telemetry {
            let lifecycle = Arc::downgrade(this);
            metrics::register(options, move || {
                let lifecycle = lifecycle.upgrade()?;
                Some((lifecycle.status.state(), lifecycle.stats()))
            });
        }
    }

    pub(crate) fn event_sink(&self) -> Option<Arc<dyn EventSink>> {
        self.collection.sink().cloned()
    }

    pub(crate) fn invalidation_sink(this: &Arc<Self>) -> Arc<dyn InvalidationSink> {
        Arc::new(CustomChanges(Arc::downgrade(this)))
    }
}

impl Recorder for Lifecycle {
    #[inline]
    fn recording(&self) -> Recording<'_> {
        Recording {
            sink: self.sink(),
            telemetry: self.telemetry.as_ref(),
            exporter_metadata: self.exporter_metadata(),
            evaluation_type: self.evaluation_type(),
        }
    }
}

/// Passes changes that the application reports to the session of that moment.
#[derive(Debug)]
struct CustomChanges(Weak<Lifecycle>);

impl CustomChanges {
    fn sink(&self) -> Option<Arc<ChangeSink>> {
        let lifecycle = self.0.upgrade()?;
        let session = lifecycle.session.load();
        session.as_ref().map(|session| Arc::clone(&session.changes))
    }
}

impl InvalidationSink for CustomChanges {
    fn invalidate(&self, invalidation: Invalidation) {
        if let Some(sink) = self.sink() {
            sink.invalidate(invalidation);
        }
    }

    fn stream_state(&self, state: StreamState) {
        if let Some(sink) = self.sink() {
            sink.stream_state(state);
        }
    }
}

fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

const REFUSED: &str = "the relay proxy refuses to hand out its flags (401 or 403); check the option `api_key`, then `initialize` again";
const NOT_INITIALIZED: &str =
    "the client is not initialized; call `initialize`, or make it with `connect`";
const NOT_LOADED: &str =
    "no flag configuration could be loaded yet; `status` says why, and `wait_until_ready` waits";
