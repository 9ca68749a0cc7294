//! Options: setters that never fail, and one check before any network use.
//!
//! An option of the HTTP connection is a field and its use in `http.rs`, a setter in
//! `http_setters.rs`, and an option of `HttpRelayClientOptions` in goff-http; one of in-process
//! evaluation is in `in_process.rs` and `in_process_setters.rs`; of an event sink and of what it
//! receives in `events.rs` and `event_setters.rs`; all others are here. `changed.rs` shows each in the
//! log when a client starts. `settings.rs` has the options once they are checked. The table in
//! docs/guide/options.md lists them all.

mod changed;
pub(crate) mod connections;
pub(crate) mod error;
mod event_setters;
mod events;
#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "http")]
mod http_setters;
#[cfg(feature = "in-process")]
pub(crate) mod in_process;
#[cfg(feature = "in-process")]
mod in_process_setters;
#[cfg(feature = "http")]
pub(crate) mod key_holders;
pub(crate) mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::A_YEAR;
#[cfg(feature = "http")]
use goff_core::__internal::RequestObserver;
#[cfg(feature = "http")]
use goff_core::EvaluationType;
use goff_core::{ExporterMetadata, RelayClient};
use goff_hooks::__internal::QueuedSink;
use goff_hooks::TelemetryOptions;
use serde_json::Value;

#[cfg(feature = "in-process")]
use crate::in_process::mode::InProcessMode;
#[cfg(feature = "in-process")]
use crate::options::connections::Connections;
use crate::options::error::OptionsError;
use crate::options::events::EventOptions;
#[cfg(feature = "http")]
use crate::options::http::HttpOptions;
#[cfg(feature = "in-process")]
use crate::options::in_process::InProcessOptions;
use crate::options::settings::{Collection, DEFAULT_TIMEOUT, Mode, RelayClients, Settings};
use crate::remote::cache::CacheLimits;
use crate::remote::circuit_breaker::CircuitBreaker;
use crate::status::request_counters::RequestCounters;

/// The options of a client. Setters never fail and send nothing;
/// [`GoFeatureFlag::new`](crate::GoFeatureFlag::new) and [`connect`](crate::GoFeatureFlag::connect)
/// check the options. Environment variables are not read.
///
/// `Debug` hides keys, headers and the endpoint.
///
/// *Specification*: GOFF-CFG-005.
#[derive(Clone)]
#[must_use]
pub struct GoFeatureFlagOptions {
    source: Source,
    exporter_metadata: Vec<(String, Value)>,
    cache_size: u64,
    cache_ttl: Option<Duration>,
    max_cache_bytes: u64,
    disable_cache: bool,
    stale_if_error: Option<Duration>,
    circuit_breaker: bool,
    disable_data_collection: bool,
    data_flush_interval: Option<Duration>,
    max_pending_events: Option<usize>,
    max_pending_bytes: Option<usize>,
    telemetry: Option<TelemetryOptions>,
    debug: bool,
    own_runtime: bool,
    events: EventOptions,
    #[cfg(feature = "in-process")]
    in_process: InProcessOptions,
    #[cfg(feature = "http")]
    http: HttpOptions,
}

#[derive(Clone)]
enum Source {
    #[cfg(feature = "http")]
    RelayProxy(String),
    RelayClient(Arc<dyn RelayClient>),
    #[cfg(feature = "in-process")]
    Flags(String),
    #[cfg(feature = "file")]
    Files {
        paths: Vec<std::path::PathBuf>,
        constructor: &'static str,
    },
}

impl GoFeatureFlagOptions {
    /// Options for a relay proxy behind your own client. Options of the endpoint, key, headers,
    /// protocol and transport cannot be combined with it. [`RelayClient`] says which of its methods
    /// an application needs.
    pub fn with_relay_client(client: Arc<dyn RelayClient>) -> Self {
        Self::with_source(Source::RelayClient(client))
    }

    fn with_source(source: Source) -> Self {
        Self {
            source,
            exporter_metadata: Vec::new(),
            cache_size: DEFAULT_CACHE_SIZE,
            cache_ttl: Some(DEFAULT_CACHE_TTL),
            max_cache_bytes: DEFAULT_MAX_CACHE_BYTES,
            disable_cache: false,
            stale_if_error: None,
            circuit_breaker: true,
            disable_data_collection: false,
            data_flush_interval: None,
            max_pending_events: None,
            max_pending_bytes: None,
            telemetry: None,
            debug: false,
            own_runtime: false,
            events: EventOptions::default(),
            #[cfg(feature = "in-process")]
            in_process: InProcessOptions::default(),
            #[cfg(feature = "http")]
            http: HttpOptions::default(),
        }
    }

    /// Adds an entry to the labels of this application's usage data: a string, boolean or finite
    /// number. `provider: "rust"` and `openfeature: true` are always present and cannot be changed.
    /// Default: no other entries.
    pub fn exporter_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.exporter_metadata.push((key.into(), value.into()));
        self
    }

    /// The number of evaluations that the cache holds; the least recently used is dropped first.
    /// Remote evaluation. Default: 10,000.
    ///
    /// *Specification*: GOFF-CACHE-001.
    pub fn cache_size(mut self, evaluations: u64) -> Self {
        self.cache_size = evaluations;
        self
    }

    /// How long the cache may serve an answer; `None`, or more than a year, means until a change of
    /// its flag is announced. With several relay proxies behind a load balancer only this limit
    /// bounds staleness, because an evaluation may reach an instance that lags behind the
    /// announcement. Remote evaluation. Default: 60 s. An answer is served for up to a third less,
    /// so that answers that were cached together, here or by other clients, are not all asked for
    /// again together.
    ///
    /// *Specification*: GOFF-CACHE-002.
    pub fn cache_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.cache_ttl = ttl.into();
        self
    }

    /// About how many bytes of memory the cache keeps at most; the least recently used answer is
    /// dropped first. Each answer counts with its context, and as at least the share that
    /// [`cache_size`](Self::cache_size) leaves for each (6.5 KiB by default). An answer of more than
    /// 64 KiB, context included, is not cached. Remote evaluation. Default: 64 MiB.
    pub fn max_cache_bytes(mut self, bytes: u64) -> Self {
        self.max_cache_bytes = bytes;
        self
    }

    /// Sends a request for every evaluation. Remote evaluation. Default: `false`.
    ///
    /// *Specification*: GOFF-CACHE-003.
    pub fn disable_cache(mut self, disable: bool) -> Self {
        self.disable_cache = disable;
        self
    }

    /// For how long after [`cache_ttl`](Self::cache_ttl) an answer may still be served while the
    /// relay proxy cannot answer: no connection, no answer within the timeout, 429 or a status of
    /// 500 or more. Such an answer has the reason `STALE`, and in its metadata
    /// `gofeatureflag_age_seconds`, the seconds since the relay proxy gave it. An answer whose flag
    /// was announced as changed is never served, but while the change stream is down too, changes
    /// are not known. The first opening of the change stream, about a second after the start, drops
    /// the answers cached before it, so they cannot be served stale. Until the
    /// [`circuit_breaker`](Self::circuit_breaker) opens, an answer is stale only after the request
    /// has failed, so up to `timeout` later. Expired answers count for
    /// [`cache_size`](Self::cache_size) and [`max_cache_bytes`](Self::max_cache_bytes). Must be
    /// longer than zero. Remote evaluation; without effect with `disable_cache` or a `cache_ttl` of
    /// `None`. Default: none, so that expired answers are not served.
    ///
    /// *Specification*: GOFF-CACHE-006.
    pub fn stale_if_error(mut self, duration: Duration) -> Self {
        self.stale_if_error = Some(duration);
        self
    }

    /// Whether evaluations fail at once while the relay proxy does not answer, instead of waiting for
    /// the timeout each.
    ///
    /// No request is sent once nothing has been answered for the option `timeout`, at least a second,
    /// and five evaluations have failed since that had a new connection or did not get one; a single
    /// caller that waits for a timeout each makes that five times `timeout`. Failures that are more
    /// than twice that time apart are not added. One request at a time then
    /// tries again, after a random pause of up to a second, which doubles to ten seconds: an
    /// evaluation, or, a second later (ten if such a request was not answered), a request for the
    /// configuration of one unlikely flag, so that a client without evaluations recovers too. Any HTTP answer ends it, whatever its status, also to a
    /// delivery of usage data or to the handshake of the change stream. Failed deliveries, requests
    /// that wait for `max_requests_in_flight`, rate limits and callers that give up do not count.
    /// While it lasts, cached answers are served, and [`status`](crate::GoFeatureFlag::status) is
    /// [`Error`](crate::State::Error). Remote evaluation; the fallback of in-process evaluation has
    /// no circuit breaker.
    /// Default: `true`.
    pub fn circuit_breaker(mut self, enable: bool) -> Self {
        self.circuit_breaker = enable;
        self
    }

    /// Records no usage data and tracks nothing. To send it to your own sink alone, see
    /// [`event_sink_only`](Self::event_sink_only). Default: `false`.
    pub fn disable_data_collection(mut self, disable: bool) -> Self {
        self.disable_data_collection = disable;
        self
    }

    /// The interval between deliveries of usage data, with a jitter of a tenth; the first one is up
    /// to half shorter. Default: 60 s.
    ///
    /// *Specification*: GOFF-COLL-014.
    pub fn data_flush_interval(mut self, interval: Duration) -> Self {
        self.data_flush_interval = Some(interval);
        self
    }

    /// The number of buffered events that starts a delivery before the interval is over. The buffer
    /// holds twice as many; further events replace the oldest, which are counted as dropped.
    /// Default: 10,000.
    ///
    /// *Specification*: GOFF-COLL-014, GOFF-COLL-019.
    pub fn max_pending_events(mut self, events: usize) -> Self {
        self.max_pending_events = Some(events);
        self
    }

    /// About how many bytes of memory the buffered events keep at most. Half of it starts a delivery
    /// before the interval is over; beyond it new events replace the oldest, which are counted as
    /// dropped. Default: 64 MiB.
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.max_pending_bytes = Some(bytes);
        self
    }

    /// Emits an event for each evaluation of the native API, as the `TelemetryHook` of goff-hooks does
    /// for OpenFeature, and with the feature `opentelemetry` the metrics of evaluations and of this client (docs/operating/telemetry.md).
    /// [`evaluate_all`](crate::GoFeatureFlag::evaluate_all) emits no event. Both modes. Default: none.
    pub fn telemetry(mut self, options: TelemetryOptions) -> Self {
        self.telemetry = Some(options);
        self
    }

    /// Logs this client's diagnostics (requests with status and duration, stream events,
    /// deliveries) at INFO instead of DEBUG. A subscriber's filter can do the same; the option
    /// exists for parity with the other providers. Default: `false`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Runs all I/O of the client on a thread that the client starts: requests, the change stream,
    /// the loading of flags and the delivery of usage data. They then depend on no runtime of the
    /// application, which may be busy, end, or not exist: the client starts and works on any executor
    /// and outlasts every tokio runtime. Dropping the client inside a runtime is allowed.
    ///
    /// The thread begins with [`initialize`](crate::GoFeatureFlag::initialize), or with a
    /// [`check`](crate::GoFeatureFlag::check) before it, and ends when the last handle of the client
    /// is dropped. A request costs two changes of thread and a copy of its context more than one on
    /// the caller's runtime; answers from the cache and in-process evaluations cost nothing more. A
    /// custom relay client or transport is called on this thread and must not block it.
    ///
    /// In a process that was forked afterwards (on Unix systems) the thread is missing: requests and
    /// [`initialize`](crate::GoFeatureFlag::initialize) fail with
    /// [`NoRuntimeError::Forked`](crate::NoRuntimeError::Forked), and nothing is delivered, so that
    /// no usage data is delivered twice. Fork before any thread starts, and make a client in each
    /// process: a lock that another thread of any library holds at the fork is never released there.
    ///
    /// All modes. Default: `false`; `blocking::GoFeatureFlag` sets it.
    pub fn own_runtime(mut self, own_runtime: bool) -> Self {
        self.own_runtime = own_runtime;
        self
    }

    pub(crate) fn check(self) -> Result<Settings, OptionsError> {
        let exporter_metadata = ExporterMetadata::new(self.exporter_metadata.clone())
            .map_err(|error| OptionsError::caused("exporter_metadata", error))?;
        if self.cache_size == 0 {
            return Err(OptionsError::new(
                "cache_size",
                "must be at least 1; to have no cache set `disable_cache`",
            ));
        }
        let reason = "must be longer than zero; to have no cache set `disable_cache`";
        OptionsError::refuse_zero("cache_ttl", self.cache_ttl, reason)?;
        if self.max_cache_bytes == 0 {
            return Err(OptionsError::new(
                "max_cache_bytes",
                "must be at least 1; to have no cache set `disable_cache`",
            ));
        }
        let reason = "must be longer than zero; to serve no expired answers leave it out";
        OptionsError::refuse_zero("stale_if_error", self.stale_if_error, reason)?;
        let cache = (!self.disable_cache).then_some(CacheLimits {
            size: self.cache_size,
            bytes: self.max_cache_bytes,
            // The cache cannot count as far as a `Duration` can.
            ttl: self.cache_ttl.filter(|ttl| *ttl <= A_YEAR),
            stale_for: self.stale_if_error.map(|stale| stale.min(A_YEAR)),
        });
        let flush_interval = self.flush_interval_or_default();
        let reason = "must be longer than zero; to collect nothing set `disable_data_collection`";
        OptionsError::refuse_zero("data_flush_interval", Some(flush_interval), reason)?;
        let max_pending_events = self.max_pending_events_or_default();
        if max_pending_events == 0 {
            return Err(OptionsError::new(
                "max_pending_events",
                "must be at least 1; to collect nothing set `disable_data_collection`",
            ));
        }
        let max_pending_bytes = self.max_pending_bytes_or_default();
        if max_pending_bytes == 0 {
            return Err(OptionsError::new(
                "max_pending_bytes",
                "must be at least 1; to collect nothing set `disable_data_collection`",
            ));
        }
        let requests = self.requests();
        let breaker = Arc::new(CircuitBreaker::new(
            self.circuit_breaker,
            !matches!(self.source, Source::RelayClient(_)),
            self.timeout_or_default(),
        ));
        let collection = Collection {
            collector: None,
            sink: self.queue(max_pending_events, max_pending_bytes),
            filter: self.events.check(self.disable_data_collection)?,
            exporter_metadata: exporter_metadata.clone(),
            flush_interval,
            max_pending_events,
            max_pending_bytes,
        };
        let clients = match &self.source {
            #[cfg(feature = "http")]
            Source::RelayProxy(endpoint) => {
                let evaluation_type = self.evaluation_type_or_default();
                let observer = Arc::clone(&breaker) as Arc<dyn RequestObserver>;
                let observer = (evaluation_type == EvaluationType::Remote).then_some(observer);
                self.http
                    .clients(endpoint, evaluation_type, observer, self.debug)?
            }
            Source::RelayClient(client) => {
                #[cfg(feature = "http")]
                self.http.refuse_beside("with_relay_client")?;
                RelayClients::from(Arc::clone(client))
            }
            #[cfg(feature = "in-process")]
            Source::Flags(text) => {
                let mode = self.in_process.mode_of_flags(text)?;
                return self.without_relay_proxy("from_flags", mode, exporter_metadata, collection);
            }
            #[cfg(feature = "file")]
            Source::Files { paths, constructor } => {
                let mode = self.in_process.mode_of_files(paths, constructor)?;
                return self.without_relay_proxy(constructor, mode, exporter_metadata, collection);
            }
        };
        let clients = clients.measured(&requests);
        // The context of evaluations does not say what is left out, since the relay proxy records
        // each evaluation that it makes.
        let labels = self.exporter_metadata.iter().cloned();
        let labels = labels.chain(collection.filter.exporter_metadata());
        let collection = (!self.disable_data_collection).then_some(Collection {
            collector: (!self.events.sink_only).then_some(clients.collector),
            exporter_metadata: ExporterMetadata::new(labels)
                .map_err(|error| OptionsError::caused("exporter_metadata", error))?,
            ..collection
        });
        let remote = Mode::Remote {
            relay: clients.relay.clone(),
            breaker,
            cache,
        };
        #[cfg(feature = "in-process")]
        let in_process =
            self.in_process
                .relay_mode(clients.relay, clients.fallback, &clients.identity)?;
        #[cfg(feature = "in-process")]
        let mode = in_process.map_or(remote, |mode| Mode::InProcess(Arc::new(mode)));
        #[cfg(not(feature = "in-process"))]
        let mode = remote;
        Ok(Settings {
            start_log: self.start_log(),
            mode,
            exporter_metadata,
            collection,
            stream: clients.stream,
            connections: clients.connections,
            requests,
            telemetry: self.telemetry,
            #[cfg(feature = "http")]
            key_holders: clients.key_holders,
            debug: self.debug,
            own_runtime: self.own_runtime,
            needs_io: clients.needs_io,
        })
    }

    #[cfg(feature = "http")]
    fn evaluation_type_or_default(&self) -> EvaluationType {
        #[cfg(feature = "in-process")]
        return self.in_process.evaluation_type();
        #[cfg(not(feature = "in-process"))]
        EvaluationType::Remote
    }

    fn requests(&self) -> Arc<RequestCounters> {
        #[cfg(feature = "opentelemetry")]
        return Arc::new(RequestCounters::with_metrics(self.telemetry.as_ref()));
        #[cfg(not(feature = "opentelemetry"))]
        Arc::default()
    }

    fn timeout_or_default(&self) -> Duration {
        #[cfg(feature = "http")]
        return self.http.timeout.unwrap_or(DEFAULT_TIMEOUT);
        #[cfg(not(feature = "http"))]
        DEFAULT_TIMEOUT
    }

    /// A queue before the sink of the application.
    fn queue(
        &self,
        max_pending_events: usize,
        max_pending_bytes: usize,
    ) -> Option<Arc<QueuedSink>> {
        let sink = Arc::clone(self.events.sink.as_ref()?);
        let queue = QueuedSink::new(sink, max_pending_events, max_pending_bytes);
        Some(Arc::new(queue))
    }

    fn flush_interval_or_default(&self) -> Duration {
        self.data_flush_interval.unwrap_or(DEFAULT_FLUSH_INTERVAL)
    }

    fn max_pending_events_or_default(&self) -> usize {
        self.max_pending_events
            .unwrap_or(DEFAULT_MAX_PENDING_EVENTS)
    }

    fn max_pending_bytes_or_default(&self) -> usize {
        self.max_pending_bytes.unwrap_or(DEFAULT_MAX_PENDING_BYTES)
    }

    #[cfg(feature = "in-process")]
    fn without_relay_proxy(
        &self,
        constructor: &str,
        mode: InProcessMode,
        exporter_metadata: ExporterMetadata,
        collection: Collection,
    ) -> Result<Settings, OptionsError> {
        #[cfg(feature = "http")]
        self.http.refuse_beside(constructor)?;
        let set = [("data_flush_interval", self.data_flush_interval.is_some())];
        OptionsError::refuse_set(&set, constructor)?;
        if collection.sink.is_none() {
            let set = [
                ("max_pending_events", self.max_pending_events.is_some()),
                ("max_pending_bytes", self.max_pending_bytes.is_some()),
            ];
            OptionsError::refuse_set(&set, constructor)?;
            self.events.refuse_without_receiver(constructor)?;
        }
        Ok(Settings {
            start_log: self.start_log(),
            mode: Mode::InProcess(Arc::new(mode)),
            exporter_metadata,
            collection: collection.sink.is_some().then_some(collection),
            stream: None,
            connections: Connections::default(),
            requests: Arc::default(),
            telemetry: self.telemetry.clone(),
            #[cfg(feature = "http")]
            key_holders: None,
            debug: self.debug,
            own_runtime: self.own_runtime,
            needs_io: false,
        })
    }
}

impl fmt::Debug for GoFeatureFlagOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("GoFeatureFlagOptions");
        match &self.source {
            #[cfg(feature = "http")]
            Source::RelayProxy(_) => debug.field("source", &"endpoint"),
            Source::RelayClient(client) => debug.field("source", client),
            #[cfg(feature = "in-process")]
            Source::Flags(_) => debug.field("source", &"flags"),
            #[cfg(feature = "file")]
            Source::Files { paths, .. } => debug.field("source", paths),
        };
        #[cfg(feature = "in-process")]
        debug.field("in_process", &self.in_process);
        debug
            .field("exporter_metadata", &self.exporter_metadata)
            .field("cache_size", &self.cache_size)
            .field("cache_ttl", &self.cache_ttl)
            .field("max_cache_bytes", &self.max_cache_bytes)
            .field("disable_cache", &self.disable_cache)
            .field("stale_if_error", &self.stale_if_error)
            .field("circuit_breaker", &self.circuit_breaker)
            .field("disable_data_collection", &self.disable_data_collection)
            .field("data_flush_interval", &self.flush_interval_or_default())
            .field("max_pending_events", &self.max_pending_events_or_default())
            .field("max_pending_bytes", &self.max_pending_bytes_or_default())
            .field("telemetry", &self.telemetry)
            .field("debug", &self.debug)
            .field("own_runtime", &self.own_runtime);
        self.events.show(&mut debug);
        #[cfg(feature = "http")]
        debug.field("http", &self.http);
        debug.finish()
    }
}

const DEFAULT_CACHE_SIZE: u64 = 10_000;
const DEFAULT_CACHE_TTL: Duration = Duration::from_secs(60);
const DEFAULT_MAX_CACHE_BYTES: u64 = 64 * 1024 * 1024;
const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const DEFAULT_MAX_PENDING_EVENTS: usize = 10_000;
pub(crate) const DEFAULT_MAX_PENDING_BYTES: usize = 64 * 1024 * 1024;
