//! [`HttpRelayClientOptions`]: the options of the client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::RequestObserver;
use goff_core::{ApiKey, Connect, Endpoint, HeaderProvider};

use crate::pool::PoolSettings;
use crate::proxy::ProxyOptions;
use crate::request::{DEFAULT_MAX_RESPONSE_SIZE, RemoteProtocol};
use crate::tls::TlsOptions;
use crate::transport::HttpTransport;

/// Options of an [`HttpRelayClient`](crate::HttpRelayClient). Setters never fail;
/// [`HttpRelayClient::new`](crate::HttpRelayClient::new) checks them.
///
/// `Debug` shows neither the key nor header names or values.
pub struct HttpRelayClientOptions {
    pub(crate) endpoint: Endpoint,
    pub(crate) protocol: RemoteProtocol,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) timeout: Duration,
    pub(crate) max_response_size: usize,
    pub(crate) custom_headers: Vec<(String, String)>,
    pub(crate) header_provider: Option<Arc<dyn HeaderProvider>>,
    pub(crate) debug: bool,
    pub(crate) observer: Option<Arc<dyn RequestObserver>>,
    pub(crate) tls: TlsOptions,
    pub(crate) proxy: Option<ProxyOptions>,
    pub(crate) pool: PoolSettings,
    pub(crate) wire: Wire,
}

/// What carries the requests.
pub(crate) enum Wire {
    /// A [`Connector`](crate::Connector) made from the endpoint and the TLS options.
    Default,
    Connector(Arc<dyn Connect>),
    Transport(Arc<dyn HttpTransport>),
}

impl HttpRelayClientOptions {
    /// Options for the relay proxy at `endpoint`, all others at their defaults.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            protocol: RemoteProtocol::default(),
            api_key: None,
            timeout: DEFAULT_TIMEOUT,
            max_response_size: DEFAULT_MAX_RESPONSE_SIZE,
            custom_headers: Vec::new(),
            header_provider: None,
            debug: false,
            observer: None,
            tls: TlsOptions::default(),
            proxy: None,
            pool: PoolSettings::default(),
            wire: Wire::Default,
        }
    }

    /// The evaluation protocol. Default: [`RemoteProtocol::FeatureEval`].
    #[must_use]
    pub fn protocol(mut self, protocol: RemoteProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The API key, sent as `Authorization: Bearer …` with every request; as `X-API-Key` if a
    /// custom header is `authorization`. Default: none.
    ///
    /// Over `http` anyone on the way can read it: a client with a key for such an endpoint on
    /// another machine, or behind an `http` proxy on another machine, logs a warning when it is made.
    /// A Unix socket carries the key to the process
    /// that listens there, so only trusted users may be able to create the socket.
    ///
    /// *Specification*: GOFF-AUTH-001, GOFF-AUTH-002.
    #[must_use]
    pub fn api_key(mut self, api_key: impl Into<Option<ApiKey>>) -> Self {
        self.api_key = api_key.into();
        self
    }

    /// The time limit of every request as a whole: connecting, writing, and reading the response.
    /// Must be longer than zero. Default: 10 s.
    ///
    /// *Specification*: GOFF-REM-006.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest response, in bytes: of the evaluation of one flag, and of a delivery of usage
    /// data. Bulk evaluations have [`MAX_BULK_SIZE`](crate::MAX_BULK_SIZE) and configurations
    /// [`MAX_CONFIGURATION_SIZE`](crate::MAX_CONFIGURATION_SIZE), or this limit where it is larger.
    /// Also bounds the memory that a response takes while it is read, at about ten times as much:
    /// one of many small JSON values can be refused below the limit. At least 1,024. Default: 1 MiB.
    #[must_use]
    pub fn max_response_size(mut self, bytes: usize) -> Self {
        self.max_response_size = bytes;
        self
    }

    /// Adds a header to every request. Its value is treated as a secret. Adding a name twice sends
    /// it twice.
    ///
    /// With an API key, a header `authorization` is for a gateway: it is sent, and the key goes as
    /// `x-api-key`, which relay proxies before v1.49.0 do not read. The key replaces a header
    /// `x-api-key`. Headers that belong to the message or to the connection are refused:
    /// `accept-encoding`, `connection`, `content-encoding`, `content-length`, `content-type`,
    /// `expect`, `host`, `if-none-match`, `te`, `trailer`, `transfer-encoding` and `upgrade`.
    ///
    /// *Specification*: GOFF-AUTH-004.
    #[must_use]
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.custom_headers.push((name.into(), value.into()));
        self
    }

    /// Gives further headers for each request; [`HeaderProvider`] says what it must keep to. Default:
    /// none.
    #[must_use]
    pub fn header_provider(mut self, provider: Arc<dyn HeaderProvider>) -> Self {
        self.header_provider = Some(provider);
        self
    }

    /// Logs each request at INFO instead of DEBUG. Default: false.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Reports to `observer` which requests are answered. For the goff crates only.
    #[doc(hidden)]
    #[must_use]
    pub fn observer(mut self, observer: Option<Arc<dyn RequestObserver>>) -> Self {
        self.observer = observer;
        self
    }

    /// How to secure the connection to an `https` endpoint. Has no effect together with
    /// [`connector`](Self::connector) or [`transport`](Self::transport).
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Opens connections through an HTTP proxy. Together with [`connector`](Self::connector) it only
    /// says that the connector does so; it has no effect together with
    /// [`transport`](Self::transport). Default: none.
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<Option<ProxyOptions>>) -> Self {
        self.proxy = proxy.into();
        self
    }

    /// How many requests may be in flight at the same time, for each tokio runtime that sends some.
    /// Further ones wait, and the wait counts into the [`timeout`](Self::timeout). At most as many
    /// connections are in use, and as many being opened. At least 1. No effect with
    /// [`transport`](Self::transport). Default: 256.
    #[must_use]
    pub fn max_requests_in_flight(mut self, requests: usize) -> Self {
        self.pool.max_requests_in_flight = requests;
        self
    }

    /// How many idle connections are kept for later requests, for each tokio runtime; 0 opens one
    /// for each request. No effect with [`transport`](Self::transport). Default: as many as
    /// [`max_requests_in_flight`](Self::max_requests_in_flight).
    #[must_use]
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.pool.max_idle_connections = Some(connections);
        self
    }

    /// How long a connection is kept without a request. Load balancers commonly drop idle
    /// connections after 60 s. Must be longer than zero. No effect with
    /// [`transport`](Self::transport). Default: 50 s.
    #[must_use]
    pub fn idle_connection_timeout(mut self, timeout: Duration) -> Self {
        self.pool.idle_timeout = timeout;
        self
    }

    /// How old a connection may become before it takes no further request, so that requests follow
    /// the host to other addresses. Each connection draws up to a tenth less. `None` means no
    /// limit; must be longer than zero. No effect with [`transport`](Self::transport). Default:
    /// 5 min.
    #[must_use]
    pub fn max_connection_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.pool.max_connection_age = age.into();
        self
    }

    /// Opens connections with `connector` instead of a [`Connector`](crate::Connector). Replaces a
    /// [`transport`](Self::transport) that was set before.
    #[must_use]
    pub fn connector(mut self, connector: Arc<dyn Connect>) -> Self {
        self.wire = Wire::Connector(connector);
        self
    }

    /// Sends requests with `transport` instead of a [`HyperTransport`](crate::HyperTransport).
    /// Replaces a [`connector`](Self::connector) that was set before.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn HttpTransport>) -> Self {
        self.wire = Wire::Transport(transport);
        self
    }
}

impl fmt::Debug for HttpRelayClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRelayClientOptions")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("api_key", &self.api_key)
            .field("timeout", &self.timeout)
            .field("max_response_size", &self.max_response_size)
            // An unchecked name may contain a value.
            .field("custom_headers", &self.custom_headers.len())
            .field("header_provider", &self.header_provider.is_some())
            .field("debug", &self.debug)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
