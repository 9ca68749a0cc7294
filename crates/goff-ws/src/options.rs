//! [`ListenerOptions`]: the options of the listener.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{ApiKey, Endpoint, HeaderProvider};

/// Options of a [`ChangeListener`](crate::ChangeListener). Setters never fail;
/// [`ChangeListener::start`](crate::ChangeListener::start) checks them.
///
/// `Debug` shows neither the key nor header names or values.
#[derive(Clone)]
pub struct ListenerOptions {
    pub(crate) endpoint: Endpoint,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) custom_headers: Vec<(String, String)>,
    pub(crate) header_provider: Option<Arc<dyn HeaderProvider>>,
    pub(crate) reconnect_interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) liveness: Duration,
    pub(crate) disable_deprecated_stream: bool,
    pub(crate) debug: bool,
}

impl ListenerOptions {
    /// The stream of the relay proxy at `endpoint`, which determines the host and the path prefix of
    /// the request. The `Connect` passed to [`ChangeListener::start`](crate::ChangeListener::start)
    /// opens the connection and decides about TLS.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            api_key: None,
            custom_headers: Vec::new(),
            header_provider: None,
            reconnect_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            liveness: Duration::from_secs(10),
            disable_deprecated_stream: false,
            debug: false,
        }
    }

    /// The API key. It is sent as the query parameter `apiKey`, the only place where the relay proxy
    /// reads it (docs/relay-protocol.md 3), and for gateways as a bearer token, or as `X-API-Key`
    /// beside a custom `Authorization` header. Default: none.
    #[must_use]
    pub fn api_key(mut self, api_key: impl Into<Option<ApiKey>>) -> Self {
        self.api_key = api_key.into();
        self
    }

    /// Adds a header to the handshake, for gateways; the relay proxy reads none. The headers of the
    /// handshake itself cannot be replaced. Without an API key, the value of `X-API-Key` is also the
    /// query parameter `apiKey`; with one, `X-API-Key` is left out, as in every other request. Adding
    /// a name twice sends it twice.
    #[must_use]
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.custom_headers.push((name.into(), value.into()));
        self
    }

    /// Gives further headers for each handshake, which replace custom ones of the same name. The
    /// attempt fails if they cannot be sent. Default: none.
    #[must_use]
    pub fn header_provider(mut self, provider: Arc<dyn HeaderProvider>) -> Self {
        self.header_provider = Some(provider);
        self
    }

    /// The longest pause between two attempts to connect, from 10 ms to a day, also when a server
    /// asks for a longer one with `Retry-After`. Default: 60 s.
    #[must_use]
    pub fn reconnect_interval(mut self, longest: Duration) -> Self {
        self.reconnect_interval = longest;
        self
    }

    /// The time limit of an attempt to connect, including the handshake. Default: 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A connection on which nothing arrives for this long counts as dead. The relay proxy sends a
    /// ping every second. Default: 10 s.
    #[must_use]
    pub fn liveness(mut self, liveness: Duration) -> Self {
        self.liveness = liveness;
        self
    }

    /// Never asks for the deprecated address of the stream, `/ws/v1/flag/change`, which relay proxies
    /// before 1.53.0 have alone: there is no stream from them then. Otherwise it is asked for where the
    /// current address, `/stream/v1/ws/flag/change`, is not found. Default: false.
    #[must_use]
    pub fn disable_deprecated_stream(mut self, disable: bool) -> Self {
        self.disable_deprecated_stream = disable;
        self
    }

    /// Logs the events of the stream at INFO instead of DEBUG. Default: false.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }
}

impl fmt::Debug for ListenerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerOptions")
            .field("endpoint", &self.endpoint)
            .field("api_key", &self.api_key)
            // An unchecked name may contain a value.
            .field("custom_headers", &self.custom_headers.len())
            .field("header_provider", &self.header_provider.is_some())
            .field("reconnect_interval", &self.reconnect_interval)
            .field("timeout", &self.timeout)
            .field("liveness", &self.liveness)
            .field("disable_deprecated_stream", &self.disable_deprecated_stream)
            .field("debug", &self.debug)
            .finish()
    }
}
