//! Options: setters that never fail, and one check before any network use.

#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "in-process")]
pub(crate) mod in_process;
#[cfg(feature = "ws")]
pub(crate) mod stream;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{EvaluationType, ExporterMetadata, RelayClient};
use serde_json::Value;

#[cfg(feature = "in-process")]
use crate::in_process::Fallback;
#[cfg(feature = "http")]
use crate::options::http::HttpOptions;
#[cfg(feature = "in-process")]
use crate::options::in_process::{InProcessMode, InProcessOptions};
#[cfg(feature = "ws")]
use crate::options::stream::StreamSource;
use crate::remote::CacheLimits;

/// How to reach a relay proxy and what to tell it. Setters take and return the options, never
/// fail and send nothing; [`GoFeatureFlag::new`](crate::GoFeatureFlag::new) and
/// [`connect`](crate::GoFeatureFlag::connect) check them. No environment variable is read
/// (GOFF-CFG-005).
///
/// `Debug` shows neither keys nor header values nor the endpoint.
#[derive(Clone)]
#[must_use]
pub struct GoFeatureFlagOptions {
    source: Source,
    exporter_metadata: Vec<(String, Value)>,
    cache_size: u64,
    cache_ttl: Option<Duration>,
    disable_cache: bool,
    disable_data_collection: bool,
    data_flush_interval: Option<Duration>,
    max_pending_events: Option<usize>,
    debug: bool,
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
    File(std::path::PathBuf),
}

/// Options once they are checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) exporter_metadata: ExporterMetadata,
    /// `None` where no usage data are collected.
    pub(crate) collection: Option<Collection>,
    /// `None` where no changes are followed.
    #[cfg(feature = "ws")]
    pub(crate) stream: Option<StreamSource>,
    pub(crate) debug: bool,
}

/// Who evaluates, and what that takes.
#[derive(Debug)]
pub(crate) enum Mode {
    Remote {
        relay: Arc<dyn RelayClient>,
        /// `None` where every evaluation is a request of its own.
        cache: Option<CacheLimits>,
        timeout: Duration,
    },
    #[cfg(feature = "in-process")]
    InProcess(InProcessMode),
}

impl Mode {
    /// Whether there is one, to take usage data among others.
    pub(crate) fn has_relay_proxy(&self) -> bool {
        match self {
            Self::Remote { .. } => true,
            #[cfg(feature = "in-process")]
            Self::InProcess(mode) => matches!(mode, InProcessMode::RelayProxy(_)),
        }
    }

    /// Who is asked where the engine of this process gives up.
    #[cfg(feature = "in-process")]
    pub(crate) fn fallback(&self) -> Option<&Fallback> {
        match self {
            Self::InProcess(InProcessMode::RelayProxy(relay)) => Some(&relay.fallback),
            _ => None,
        }
    }

    pub(crate) fn evaluation_type(&self) -> EvaluationType {
        match self {
            Self::Remote { .. } => EvaluationType::Remote,
            #[cfg(feature = "in-process")]
            Self::InProcess(_) => EvaluationType::InProcess,
        }
    }
}

/// How usage data are collected.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) collector: Arc<dyn RelayClient>,
    pub(crate) flush_interval: Duration,
    pub(crate) max_pending_events: usize,
}

/// The ways to a relay proxy.
pub(crate) struct Reached {
    pub(crate) relay: Arc<dyn RelayClient>,
    /// Who is asked over OFREP where the engine of this process gives up.
    #[cfg(feature = "in-process")]
    pub(crate) fallback: Arc<dyn RelayClient>,
    /// Which relay proxy and key these are, to tell what was kept for them from what was not.
    #[cfg(feature = "in-process")]
    pub(crate) identity: Vec<u8>,
    /// Where usage data go; the same client unless they have a base URL of their own.
    pub(crate) collector: Arc<dyn RelayClient>,
    /// How long a request may take.
    pub(crate) timeout: Duration,
    #[cfg(feature = "ws")]
    pub(crate) stream: Option<StreamSource>,
}

impl From<Arc<dyn RelayClient>> for Reached {
    fn from(client: Arc<dyn RelayClient>) -> Self {
        Self {
            relay: Arc::clone(&client),
            #[cfg(feature = "in-process")]
            fallback: Arc::clone(&client),
            #[cfg(feature = "in-process")]
            identity: b"relay client".to_vec(),
            collector: client,
            timeout: DEFAULT_TIMEOUT,
            #[cfg(feature = "ws")]
            stream: None,
        }
    }
}

impl GoFeatureFlagOptions {
    /// Options for the relay proxy at `endpoint`: an absolute `http://` or `https://` URL, whose
    /// path prefix is kept, or `unix:///path/to/socket`. Required (GOFF-CFG-001).
    #[cfg(feature = "http")]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self::with_source(Source::RelayProxy(endpoint.into()))
    }

    /// Options for a relay proxy behind a transport of your own. Endpoint, key, header, protocol
    /// and transport options do not go with it.
    pub fn with_relay_client(client: Arc<dyn RelayClient>) -> Self {
        Self::with_source(Source::RelayClient(client))
    }

    /// Options for flags without a relay proxy, from a JSON object of flags by key, such as one
    /// that is built into the binary. They are evaluated in process and never change; usage data
    /// are not collected. Options of a relay proxy or of the delivery of usage data do not go with
    /// it.
    ///
    /// ```
    /// # use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let options = GoFeatureFlagOptions::from_flags(r#"{
    ///     "new-checkout": {"variations": {"on": true}, "defaultRule": {"variation": "on"}}
    /// }"#);
    /// let goff = GoFeatureFlag::connect(options).await?;
    /// let context = EvaluationContext::builder().build();
    /// assert!(goff.evaluate("new-checkout", &context, false).await.value);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "in-process")]
    pub fn from_flags(text: impl Into<String>) -> Self {
        Self::with_source(Source::Flags(text.into()))
    }

    /// Options for flags without a relay proxy, from a file in YAML, JSON or TOML, as its extension
    /// says, of at most 256 MiB. They are evaluated in process; usage data are not collected.
    /// Options of a relay proxy or of the delivery of usage data do not go with it.
    ///
    /// The file is watched: writing to it, replacing it, Kubernetes' swap of a mounted ConfigMap,
    /// deleting it and creating it again are noticed within a fraction of a second, or within
    /// 5 s on file systems without events. While it is absent or cannot be loaded, the flags
    /// loaded before stay and the status is [`Stale`](crate::State::Stale); if there are none,
    /// it is [`Error`](crate::State::Error) until there are. Replace it atomically, by renaming,
    /// so that no half of it is taken for the whole. As on the relay proxy, flags that fail
    /// validation are left out, with a warning.
    #[cfg(feature = "file")]
    pub fn from_file(path: impl Into<std::path::PathBuf>) -> Self {
        Self::with_source(Source::File(path.into()))
    }

    fn with_source(source: Source) -> Self {
        Self {
            source,
            exporter_metadata: Vec::new(),
            cache_size: DEFAULT_CACHE_SIZE,
            cache_ttl: Some(DEFAULT_CACHE_TTL),
            disable_cache: false,
            disable_data_collection: false,
            data_flush_interval: None,
            max_pending_events: None,
            debug: false,
            #[cfg(feature = "in-process")]
            in_process: InProcessOptions::default(),
            #[cfg(feature = "http")]
            http: HttpOptions::default(),
        }
    }

    /// Adds an entry to the metadata that label this application's usage data: a string, boolean
    /// or finite number. `provider: "rust"` and `openfeature: true` are always there and cannot
    /// be changed. Default: no other entries.
    pub fn exporter_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.exporter_metadata.push((key.into(), value.into()));
        self
    }

    /// How many evaluations the cache holds; the least recently used goes first
    /// (GOFF-CACHE-001). Remote evaluation. Default: 10,000.
    pub fn cache_size(mut self, evaluations: u64) -> Self {
        self.cache_size = evaluations;
        self
    }

    /// How long the cache may serve an answer; `None` for as long as no change of its flag is
    /// announced (GOFF-CACHE-002). With several relay proxies behind a balancer this, not the
    /// announcement, bounds staleness. Remote evaluation. Default: 60 s.
    pub fn cache_ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.cache_ttl = ttl.into();
        self
    }

    /// Makes every evaluation a request of its own (GOFF-CACHE-003). Remote evaluation.
    /// Default: `false`.
    pub fn disable_cache(mut self, disable: bool) -> Self {
        self.disable_cache = disable;
        self
    }

    /// Records no usage data and tracks nothing. Default: `false`.
    pub fn disable_data_collection(mut self, disable: bool) -> Self {
        self.disable_data_collection = disable;
        self
    }

    /// How often buffered usage data are delivered (GOFF-COLL-014). Default: 60 s.
    pub fn data_flush_interval(mut self, interval: Duration) -> Self {
        self.data_flush_interval = Some(interval);
        self
    }

    /// How many buffered events are delivered without waiting for the interval. The buffer holds
    /// twice as many; beyond, the oldest are dropped and counted (GOFF-COLL-014, GOFF-COLL-019).
    /// Default: 10,000.
    pub fn max_pending_events(mut self, events: usize) -> Self {
        self.max_pending_events = Some(events);
        self
    }

    /// Whether this client's own diagnostics (requests with status and duration, stream events,
    /// deliveries) come at INFO instead of DEBUG. Default: `false`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    pub(crate) fn check(mut self) -> Result<Settings, OptionsError> {
        let exporter_metadata = ExporterMetadata::new(std::mem::take(&mut self.exporter_metadata))
            .map_err(|error| OptionsError::new("exporter_metadata", error))?;
        if self.cache_size == 0 {
            return Err(OptionsError::new(
                "cache_size",
                "must be at least 1; to have no cache set `disable_cache`",
            ));
        }
        if self.cache_ttl.is_some_and(|ttl| ttl.is_zero()) {
            return Err(OptionsError::new(
                "cache_ttl",
                "must be longer than zero; to have no cache set `disable_cache`",
            ));
        }
        let cache = (!self.disable_cache).then_some(CacheLimits {
            size: self.cache_size,
            ttl: self.cache_ttl,
        });
        let flush_interval = self.flush_interval();
        if flush_interval.is_zero() {
            return Err(OptionsError::new(
                "data_flush_interval",
                "must be longer than zero; to collect nothing set `disable_data_collection`",
            ));
        }
        let max_pending_events = self.most_pending_events();
        if max_pending_events == 0 {
            return Err(OptionsError::new(
                "max_pending_events",
                "must be at least 1; to collect nothing set `disable_data_collection`",
            ));
        }
        #[cfg(all(feature = "http", feature = "in-process"))]
        let evaluation_type = self.in_process.evaluation_type();
        #[cfg(all(feature = "http", not(feature = "in-process")))]
        let evaluation_type = EvaluationType::Remote;
        let reached = match self.source {
            #[cfg(feature = "http")]
            Source::RelayProxy(endpoint) => {
                self.http.reach(&endpoint, evaluation_type, self.debug)?
            }
            Source::RelayClient(client) => {
                #[cfg(feature = "http")]
                self.http.refuse_beside("with_relay_client")?;
                Reached::from(client)
            }
            #[cfg(feature = "in-process")]
            Source::Flags(ref text) => {
                let mode = self.in_process.mode_of_flags(text.clone())?;
                return self.without_relay_proxy("from_flags", mode, exporter_metadata);
            }
            #[cfg(feature = "file")]
            Source::File(ref path) => {
                let mode = self.in_process.mode_of_file(path)?;
                return self.without_relay_proxy("from_file", mode, exporter_metadata);
            }
        };
        let collection = (!self.disable_data_collection).then_some(Collection {
            collector: Arc::clone(&reached.collector),
            flush_interval,
            max_pending_events,
        });
        #[cfg(feature = "in-process")]
        let mode = self.in_process.mode(&reached, cache)?;
        #[cfg(not(feature = "in-process"))]
        let mode = Mode::Remote {
            relay: reached.relay,
            cache,
            timeout: reached.timeout,
        };
        Ok(Settings {
            mode,
            exporter_metadata,
            collection,
            #[cfg(feature = "ws")]
            stream: reached.stream,
            debug: self.debug,
        })
    }

    fn flush_interval(&self) -> Duration {
        self.data_flush_interval.unwrap_or(DEFAULT_FLUSH_INTERVAL)
    }

    fn most_pending_events(&self) -> usize {
        self.max_pending_events
            .unwrap_or(DEFAULT_MAX_PENDING_EVENTS)
    }

    #[cfg(feature = "in-process")]
    fn without_relay_proxy(
        self,
        constructor: &str,
        mode: InProcessMode,
        exporter_metadata: ExporterMetadata,
    ) -> Result<Settings, OptionsError> {
        #[cfg(feature = "http")]
        self.http.refuse_beside(constructor)?;
        let set = [
            ("data_flush_interval", self.data_flush_interval.is_some()),
            ("max_pending_events", self.max_pending_events.is_some()),
        ];
        if let Some((option, _)) = set.into_iter().find(|(_, set)| *set) {
            return Err(OptionsError::conflict(option, constructor));
        }
        Ok(Settings {
            mode: Mode::InProcess(mode),
            exporter_metadata,
            collection: None,
            #[cfg(feature = "ws")]
            stream: None,
            debug: self.debug,
        })
    }
}

/// What concerns in-process evaluation.
#[cfg(feature = "in-process")]
impl GoFeatureFlagOptions {
    /// Who evaluates. Options of the other mode stay unused. Default:
    /// [`Remote`](EvaluationType::Remote), which differs from GOFF-CFG-002 on purpose.
    pub fn evaluation_type(mut self, evaluation_type: EvaluationType) -> Self {
        self.in_process.evaluation_type = Some(evaluation_type);
        self
    }

    /// How often the flag configuration is asked for, announced changes aside; give or take a
    /// tenth (GOFF-IP-006, GOFF-IP-011). In-process evaluation. Default: 120 s.
    pub fn flag_change_polling_interval(mut self, interval: Duration) -> Self {
        self.in_process.polling_interval = Some(interval);
        self
    }

    /// The flags to load; others are not found then (GOFF-CFG-008). In-process evaluation.
    /// Default: all.
    pub fn evaluation_flag_list(
        mut self,
        flags: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.in_process.flags = flags.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the flag configuration in a file, so that the next start can do without the relay
    /// proxy: where its first attempt to load fails, the flags of the file are served, with status
    /// [`Stale`](crate::State::Stale), until the relay proxy answers; not where the relay proxy
    /// refuses the key. In-process evaluation. Default: none.
    ///
    /// The file is written after each load, replaced as a whole, readable by its owner alone; a
    /// symbolic link at the path is replaced too, and its target untouched. A file that was
    /// changed, that others may write to, or that was written for another endpoint, API key or
    /// list of flags is refused. It protects against forgery as far as the API key is secret;
    /// without a key, the file's owner and mode alone do. With a relay client of your own neither
    /// endpoint nor key are known: give each its own file.
    pub fn last_known_good_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.in_process.last_known_good_file = Some(path.into());
        self
    }

    /// How long ago the flags of the file may have been known to be current. The file's date is
    /// renewed while they are, if they change or not. In-process evaluation with
    /// [`last_known_good_file`](Self::last_known_good_file). Default: 24 h.
    pub fn last_known_good_max_age(mut self, max_age: Duration) -> Self {
        self.in_process.last_known_good_max_age = Some(max_age);
        self
    }
}

/// What concerns the connection to a relay proxy.
#[cfg(feature = "http")]
impl GoFeatureFlagOptions {
    /// The key that the relay proxy asks for; it selects the flag set there. Sent as
    /// `Authorization: Bearer`. Default: none; an empty key is none (GOFF-AUTH-001 to -003).
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.http.api_key = Some(key.into());
        self
    }

    /// How flags are asked for. Default:
    /// [`FeatureEval`](goff_http::RemoteProtocol::FeatureEval).
    pub fn remote_protocol(mut self, protocol: goff_http::RemoteProtocol) -> Self {
        self.http.remote_protocol = Some(protocol);
        self
    }

    /// The time that any request may take as a whole: connecting, sending, reading the answer
    /// (GOFF-REM-006). Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = Some(timeout);
        self
    }

    /// Where usage data go instead of the endpoint: another base URL, with the same key, headers
    /// and timeout (GOFF-CFG-006, GOFF-CFG-007). Default: the endpoint.
    pub fn data_collector_base_url(mut self, url: impl Into<String>) -> Self {
        self.http.data_collector_base_url = Some(url.into());
        self
    }

    /// Adds a header to every request, for gateways. The API key wins over an `Authorization`
    /// header of yours (GOFF-AUTH-004). Default: none.
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.custom_headers.push((name.into(), value.into()));
        self
    }

    /// Whom to trust over TLS, and which certificate to show. Default: the platform's roots, no
    /// client certificate.
    pub fn tls(mut self, tls: goff_http::TlsOptions) -> Self {
        self.http.tls = Some(tls);
        self
    }

    /// Opens streams to the endpoint in your own way. Default: TCP, TLS or Unix socket, as the
    /// endpoint says.
    pub fn connector(mut self, connector: impl goff_core::Connect + 'static) -> Self {
        self.http.connector = Some(Arc::new(connector));
        self
    }

    /// Sends requests in your own way: bytes out, bytes back. The change stream is not followed
    /// then; hand changes to
    /// [`invalidation_sink`](crate::GoFeatureFlag::invalidation_sink). Default: hyper over the
    /// connector.
    pub fn http_transport(mut self, transport: impl goff_http::HttpTransport + 'static) -> Self {
        self.http.transport = Some(Arc::new(transport));
        self
    }
}

/// What concerns announcements of changed flags.
#[cfg(feature = "ws")]
impl GoFeatureFlagOptions {
    /// The longest pause between two attempts to open the change stream; the first ones come
    /// sooner. Default: 60 s.
    pub fn reconnect_interval(mut self, longest: Duration) -> Self {
        self.http.reconnect_interval = Some(longest);
        self
    }

    /// Opens no change stream: the time limit of the cache alone bounds staleness. Remote
    /// evaluation. Default: `false`.
    pub fn disable_cache_invalidation(mut self, disable: bool) -> Self {
        self.http.disable_cache_invalidation = Some(disable);
        self
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
            Source::File(path) => debug.field("source", path),
        };
        #[cfg(feature = "in-process")]
        debug.field("in_process", &self.in_process);
        debug
            .field("exporter_metadata", &self.exporter_metadata)
            .field("cache_size", &self.cache_size)
            .field("cache_ttl", &self.cache_ttl)
            .field("disable_cache", &self.disable_cache)
            .field("disable_data_collection", &self.disable_data_collection)
            .field("data_flush_interval", &self.flush_interval())
            .field("max_pending_events", &self.most_pending_events())
            .field("debug", &self.debug);
        #[cfg(feature = "http")]
        debug.field("http", &self.http);
        debug.finish()
    }
}

/// An option that cannot be used. It names the option and the reason, and quotes no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError {
    option: &'static str,
    reason: String,
}

impl OptionsError {
    pub(crate) fn new(option: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            option,
            reason: reason.to_string(),
        }
    }

    #[cfg(any(feature = "http", feature = "in-process"))]
    pub(crate) fn conflict(option: &'static str, other: &str) -> Self {
        Self::new(
            option,
            format_args!("has no effect beside `{other}`; set one of the two"),
        )
    }

    /// The option's name, as in [`GoFeatureFlagOptions`].
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}` {}", self.option, self.reason)
    }
}

impl Error for OptionsError {}

/// Why a client could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitializeError {
    /// An option cannot be used; nothing was sent.
    Options(OptionsError),
    /// There is no tokio runtime to follow changes and deliver usage data on.
    NoRuntime,
    /// The relay proxy refuses to hand out its flags: 401 or 403 (in-process evaluation,
    /// GOFF-EVT-007). Any other failure to load them heals by itself and is no error here.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What was asked and answered.
        reason: String,
    },
}

impl From<OptionsError> for InitializeError {
    fn from(error: OptionsError) -> Self {
        Self::Options(error)
    }
}

impl fmt::Display for InitializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => write!(f, "{error}"),
            Self::NoRuntime => f.write_str("there is no tokio runtime here to run on"),
            Self::Refused { reason, .. } => {
                write!(f, "the flag configuration cannot be loaded: {reason}")
            }
        }
    }
}

impl Error for InitializeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Options(error) => Some(error),
            Self::NoRuntime | Self::Refused { .. } => None,
        }
    }
}

const DEFAULT_CACHE_SIZE: u64 = 10_000;
const DEFAULT_CACHE_TTL: Duration = Duration::from_secs(60);
const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_MAX_PENDING_EVENTS: usize = 10_000;
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
