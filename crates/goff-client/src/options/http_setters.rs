//! The setters for the connection to a relay proxy, and for its change stream.

use std::sync::Arc;
use std::time::Duration;

use goff_core::Connect;
use goff_http::{HttpTransport, RemoteProtocol, TlsOptions};

use crate::options::GoFeatureFlagOptions;

impl GoFeatureFlagOptions {
    /// The key that the relay proxy asks for; it selects the flag set there. Sent as
    /// `Authorization: Bearer`. Default: none; an empty key is none (GOFF-AUTH-001 to -003).
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.http.api_key = Some(key.into());
        self
    }

    /// How flags are asked for. Default:
    /// [`FeatureEval`](RemoteProtocol::FeatureEval).
    pub fn remote_protocol(mut self, protocol: RemoteProtocol) -> Self {
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
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.http.tls = Some(tls);
        self
    }

    /// Opens streams to the endpoint in your own way. Default: TCP, TLS or Unix socket, as the
    /// endpoint says.
    pub fn connector(mut self, connector: impl Connect + 'static) -> Self {
        self.http.connector = Some(Arc::new(connector));
        self
    }

    /// Sends requests in your own way: bytes out, bytes back. The change stream is not followed
    /// then; hand changes to
    /// [`invalidation_sink`](crate::GoFeatureFlag::invalidation_sink). Default: hyper over the
    /// connector.
    pub fn http_transport(mut self, transport: impl HttpTransport + 'static) -> Self {
        self.http.transport = Some(Arc::new(transport));
        self
    }
}

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
