//! The options of the connection to a relay proxy, and of its change stream.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "in-process")]
use goff_core::EvaluationType;
use goff_core::{Connect, HeaderProvider};
use goff_http::{HttpTransport, ProxyOptions, RemoteProtocol, TlsOptions};

use crate::options::{GoFeatureFlagOptions, Source};

impl GoFeatureFlagOptions {
    /// Options for the relay proxy at `endpoint`: an absolute `http://` or `https://` URL, whose
    /// path prefix is kept, or on Unix systems `unix:///path/to/socket`. Required.
    ///
    /// *Specification*: GOFF-CFG-001.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self::with_source(Source::RelayProxy(endpoint.into()))
    }

    /// Options for the relay proxy at `endpoint` that keep to the provider specification of GO Feature
    /// Flag 1.0 wherever an option decides: in-process evaluation, OFREP for what the relay proxy
    /// evaluates, and no deprecated stream. The same as
    ///
    /// ```
    /// # use goff_client::{EvaluationType, GoFeatureFlagOptions, RemoteProtocol};
    /// let options = GoFeatureFlagOptions::new("http://localhost:1031")
    ///     .evaluation_type(EvaluationType::InProcess)
    ///     .remote_protocol(RemoteProtocol::Ofrep);
    /// # #[cfg(feature = "ws")]
    /// let options = options.disable_deprecated_stream(true);
    /// ```
    ///
    /// Each of these, like every other option, can be set otherwise afterwards; OFREP stays with
    /// `evaluation_type(EvaluationType::Remote)`. CONFORMANCE.md in the repository has the report of the
    /// specification for these options and for those of [`new`](Self::new).
    #[cfg(feature = "in-process")]
    pub fn conformant(endpoint: impl Into<String>) -> Self {
        let options = Self::new(endpoint)
            .evaluation_type(EvaluationType::InProcess)
            .remote_protocol(RemoteProtocol::Ofrep);
        #[cfg(feature = "ws")]
        let options = options.disable_deprecated_stream(true);
        options
    }

    /// The API key of the relay proxy, which also selects the flag set. Sent as
    /// `Authorization: Bearer`, or as `X-API-Key` if a [`custom_header`](Self::custom_header) is
    /// `Authorization`. An empty key means none. Default: none.
    /// [`set_api_key`](crate::GoFeatureFlag::set_api_key) replaces it while the client runs.
    ///
    /// The change stream takes the key in the query of its URL only, so proxies on the way can have
    /// it in their access logs. Over `http` anyone on the way can read it: a key for such an
    /// endpoint on another machine is warned of once. A Unix socket carries the key to the process
    /// that listens there: its directory must be writable by trusted users only.
    ///
    /// *Specification*: GOFF-AUTH-001 to -003.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.http.api_key = Some(key.into());
        self
    }

    /// The protocol of remote evaluation. Default: [`FeatureEval`](RemoteProtocol::FeatureEval).
    pub fn remote_protocol(mut self, protocol: RemoteProtocol) -> Self {
        self.http.remote_protocol = Some(protocol);
        self
    }

    /// The timeout of a whole request: connecting, sending, and reading the answer. Default: 10 s,
    /// as in the other providers. Set 1 s where requests of users wait for the flags: a relay proxy
    /// in the same network answers within milliseconds, and a hanging one delays each evaluation
    /// that is not cached by this time, until the [`circuit_breaker`](Self::circuit_breaker) opens:
    /// after this time and at least five failed evaluations, so after five times this time where a
    /// single caller evaluates.
    ///
    /// *Specification*: GOFF-REM-006.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = Some(timeout);
        self
    }

    /// The largest response, in bytes, of the evaluation of one flag, and of a delivery of usage
    /// data. A bulk evaluation may have 16 MiB, a configuration 256 MiB, or this limit where it is
    /// larger. Reading a response takes at most about ten times as much memory: one of many small
    /// JSON values can be refused below the limit. At least 1,024. Default: 1 MiB.
    pub fn max_response_size(mut self, bytes: usize) -> Self {
        self.http.max_response_size = Some(bytes);
        self
    }

    /// How many requests may be in flight at the same time, on each tokio runtime that sends some
    /// and for each base URL. Further ones wait in order, and the wait counts into the
    /// [`timeout`](Self::timeout), so that a relay proxy that does not answer cannot use up the
    /// sockets of the process: at most as many connections are in use, and as many being opened.
    /// At least 1. Default: 256.
    pub fn max_requests_in_flight(mut self, requests: usize) -> Self {
        self.http.max_requests_in_flight = Some(requests);
        self
    }

    /// How many idle connections are kept for later requests, on each tokio runtime and for each
    /// base URL; 0 opens one for each request. Default: as many as
    /// [`max_requests_in_flight`](Self::max_requests_in_flight).
    pub fn max_idle_connections(mut self, connections: usize) -> Self {
        self.http.max_idle_connections = Some(connections);
        self
    }

    /// How long a connection is kept without a request. Load balancers commonly drop idle
    /// connections after 60 s. Must be longer than zero. Default: 50 s.
    pub fn idle_connection_timeout(mut self, timeout: Duration) -> Self {
        self.http.idle_connection_timeout = Some(timeout);
        self
    }

    /// How old a connection may become before it takes no further request, so that requests follow
    /// the endpoint's name to other addresses. Each connection draws up to a tenth less. `None`
    /// means no limit; must be longer than zero. Does not concern the change stream. Default: 5 min.
    pub fn max_connection_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.http.max_connection_age = Some(age.into());
        self
    }

    /// Another base URL for usage data, with the same timeout. It gets the API key and every custom
    /// header too, so it must be as trusted as the endpoint. Default: the endpoint.
    ///
    /// *Specification*: GOFF-CFG-006, GOFF-CFG-007.
    pub fn data_collector_base_url(mut self, url: impl Into<String>) -> Self {
        self.http.data_collector_base_url = Some(url.into());
        self
    }

    /// Adds a header to every request, for example for a gateway. Beside an API key,
    /// `Authorization` holds the credentials of a gateway, and the key goes as `X-API-Key`, which
    /// relay proxies before v1.49.0 do not read. The key replaces an `X-API-Key` header. Default:
    /// none.
    ///
    /// *Specification*: GOFF-AUTH-004.
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.custom_headers.push((name.into(), value.into()));
        self
    }

    /// Gives further headers for each request, and for each handshake of the change stream, such as a
    /// token for a gateway that expires. They replace a [`custom_header`](Self::custom_header) of the
    /// same name. [`HeaderProvider`] says what it must keep to; above all, it must not wait. Default:
    /// none.
    ///
    /// For the relay proxy's key use [`api_key`](Self::api_key) and
    /// [`set_api_key`](crate::GoFeatureFlag::set_api_key): the change stream takes it from the query of
    /// its URL only, never from a header. Beside an API key, an `Authorization` given here makes the
    /// key go as `X-API-Key`.
    ///
    /// ```
    /// # use goff_client::GoFeatureFlagOptions;
    /// # fn latest_token() -> String { String::new() }
    /// let options = GoFeatureFlagOptions::new("https://flags.example")
    ///     .api_key("the key of the relay proxy")
    ///     .header_provider(|| vec![("X-Gateway-Token".to_owned(), latest_token())]);
    /// ```
    pub fn header_provider(mut self, provider: impl HeaderProvider + 'static) -> Self {
        self.http.header_provider = Some(Arc::new(provider));
        self
    }

    /// The trusted certificate authorities, the client certificate, and the implementation of the
    /// cryptography. Default: the platform's certificate authorities, no client certificate,
    /// [`TlsCryptoProvider::Automatic`](crate::TlsCryptoProvider::Automatic).
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.http.tls = Some(tls);
        self
    }

    /// An HTTP proxy that opens tunnels with `CONNECT`, for requests, usage data and the change
    /// stream, in both modes. Its idle timeout should be longer than a second, the interval of the
    /// stream's pings. Three quarters of the [`timeout`](Self::timeout) are for opening a tunnel, so
    /// that errors can name the proxy. Default: none, and no environment variable sets one.
    pub fn proxy(mut self, proxy: ProxyOptions) -> Self {
        self.http.proxy = Some(proxy);
        self
    }

    /// Your own way to open byte streams to the endpoint. Default: TCP, TLS or Unix socket, by the
    /// endpoint's scheme.
    pub fn connector(mut self, connector: impl Connect + 'static) -> Self {
        self.http.connector = Some(Arc::new(connector));
        self
    }

    /// Your own way to send HTTP requests. There is no change stream then; report changes to
    /// [`invalidation_sink`](crate::GoFeatureFlag::invalidation_sink). Default: hyper over the
    /// connector.
    pub fn http_transport(mut self, transport: impl HttpTransport + 'static) -> Self {
        self.http.transport = Some(Arc::new(transport));
        self
    }
}

#[cfg(feature = "ws")]
impl GoFeatureFlagOptions {
    /// The longest pause between two attempts to open the change stream; the first pauses are
    /// shorter. Default: 60 s.
    pub fn reconnect_interval(mut self, longest: Duration) -> Self {
        self.http.reconnect_interval = Some(longest);
        self
    }

    /// Never asks for the deprecated address of the change stream, `/ws/v1/flag/change`. By default it
    /// is asked for where the current one, `/stream/v1/ws/flag/change`, is not found; relay proxies
    /// before 1.53.0 have the deprecated one alone, so with this option there is no stream from them,
    /// and only [`cache_ttl`](Self::cache_ttl) or polling bounds staleness. Both modes. Default:
    /// `false`.
    pub fn disable_deprecated_stream(mut self, disable: bool) -> Self {
        self.http.disable_deprecated_stream = Some(disable);
        self
    }

    /// Opens no change stream; only [`cache_ttl`](Self::cache_ttl) bounds staleness. Remote
    /// evaluation. Default: `false`.
    pub fn disable_cache_invalidation(mut self, disable: bool) -> Self {
        self.http.disable_cache_invalidation = Some(disable);
        self
    }
}
