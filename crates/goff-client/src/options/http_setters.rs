//! The options of the connection to a relay proxy, and of its change stream.

use std::sync::Arc;
use std::time::Duration;

use goff_core::Connect;
use goff_http::{HttpTransport, RemoteProtocol, TlsOptions};

use crate::options::{GoFeatureFlagOptions, Source};

impl GoFeatureFlagOptions {
    /// Options for the relay proxy at `endpoint`: an absolute `http://` or `https://` URL, whose
    /// path prefix is kept, or `unix:///path/to/socket`. Required (GOFF-CFG-001).
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self::with_source(Source::RelayProxy(endpoint.into()))
    }

    /// The API key of the relay proxy, which also selects the flag set. Sent as
    /// `Authorization: Bearer`. An empty key means none. Default: none (GOFF-AUTH-001 to -003).
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.http.api_key = Some(key.into());
        self
    }

    /// The protocol of remote evaluation. Default: [`FeatureEval`](RemoteProtocol::FeatureEval).
    pub fn remote_protocol(mut self, protocol: RemoteProtocol) -> Self {
        self.http.remote_protocol = Some(protocol);
        self
    }

    /// The timeout of a whole request: connecting, sending, and reading the answer
    /// (GOFF-REM-006). Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = Some(timeout);
        self
    }

    /// Another base URL for usage data, with the same key, headers and timeout (GOFF-CFG-006,
    /// GOFF-CFG-007). Default: the endpoint.
    pub fn data_collector_base_url(mut self, url: impl Into<String>) -> Self {
        self.http.data_collector_base_url = Some(url.into());
        self
    }

    /// Adds a header to every request, for example for a gateway. The API key takes precedence over
    /// an `Authorization` header (GOFF-AUTH-004). Default: none.
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.custom_headers.push((name.into(), value.into()));
        self
    }

    /// The trusted certificate authorities, and the client certificate. Default: the platform's
    /// certificate authorities, no client certificate.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.http.tls = Some(tls);
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

    /// Opens no change stream; only [`cache_ttl`](Self::cache_ttl) bounds staleness. Remote
    /// evaluation. Default: `false`.
    pub fn disable_cache_invalidation(mut self, disable: bool) -> Self {
        self.http.disable_cache_invalidation = Some(disable);
        self
    }
}
