//! [`ListenerOptions`]: where the stream is and how patiently it is followed.

use std::fmt;
use std::time::Duration;

use goff_core::{ApiKey, Endpoint};
use http::header::{HeaderName, HeaderValue};

/// Options of a [`ChangeListener`](crate::ChangeListener).
#[derive(Clone)]
pub struct ListenerOptions {
    pub(crate) endpoint: Endpoint,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) reconnect_interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) liveness: Duration,
    pub(crate) debug: bool,
}

impl ListenerOptions {
    /// The stream of the relay proxy at `endpoint`, which gives the host and the path prefix of
    /// the request. The stream itself is opened by the `Connect` that the listener is started
    /// with; that one decides about TLS.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            api_key: None,
            headers: Vec::new(),
            reconnect_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            liveness: Duration::from_secs(10),
            debug: false,
        }
    }

    /// The API key, sent as the query parameter `apiKey`, the only place where the relay proxy
    /// looks for it (relay-protocol 3), and as a bearer token, for gateways. Default: none.
    #[must_use]
    pub fn api_key(mut self, api_key: impl Into<Option<ApiKey>>) -> Self {
        self.api_key = api_key.into();
        self
    }

    /// Headers of the handshake, for gateways; the relay proxy reads none. Those that the handshake
    /// itself needs are never replaced, and with an API key `Authorization` and `X-API-Key` are
    /// left out, as in every other request. Default: none.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.headers = headers.into_iter().collect();
        self
    }

    /// The longest pause between two attempts to connect. Default: 60 s; at least 10 ms, at most a
    /// day.
    #[must_use]
    pub fn reconnect_interval(mut self, longest: Duration) -> Self {
        self.reconnect_interval = longest;
        self
    }

    /// How long an attempt to connect may take, handshake included. Default: 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// After how long without a byte from the server the connection counts as dead. The relay proxy
    /// sends a ping every second. Default: 10 s.
    #[must_use]
    pub fn liveness(mut self, liveness: Duration) -> Self {
        self.liveness = liveness;
        self
    }

    /// Whether the stream's events are logged at INFO instead of DEBUG. Default: false.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }
}

impl fmt::Debug for ListenerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ListenerOptions")
            .field("endpoint", &self.endpoint)
            .field("api_key", &self.api_key)
            .field("headers", &headers)
            .field("reconnect_interval", &self.reconnect_interval)
            .field("timeout", &self.timeout)
            .field("liveness", &self.liveness)
            .field("debug", &self.debug)
            .finish()
    }
}
