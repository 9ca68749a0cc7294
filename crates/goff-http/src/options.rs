//! [`HttpRelayClientBuilder`]: the client's options, checked before any network use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{ApiKey, Connect, Endpoint};
use http::header::{self, HeaderValue};
use http::uri::{Authority, Parts, Scheme, Uri};

use crate::client::HttpRelayClient;
use crate::connector::Connector;
use crate::error::InvalidOption;
use crate::headers::request_headers;
use crate::hyper_transport::HyperTransport;
use crate::request::RemoteProtocol;
use crate::retry_after::HoldBack;
use crate::secrets::Secrets;
use crate::tls::TlsOptions;
use crate::transport::HttpTransport;

/// Collects the options of a [`HttpRelayClient`]. Setters never fail; [`build`](Self::build) checks.
pub struct HttpRelayClientBuilder {
    endpoint: Endpoint,
    protocol: RemoteProtocol,
    api_key: Option<ApiKey>,
    timeout: Duration,
    custom_headers: Vec<(String, String)>,
    debug: bool,
    tls: TlsOptions,
    wire: Wire,
}

enum Wire {
    Default,
    Connector(Arc<dyn Connect>),
    Transport(Arc<dyn HttpTransport>),
}

impl HttpRelayClientBuilder {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            protocol: RemoteProtocol::default(),
            api_key: None,
            timeout: DEFAULT_TIMEOUT,
            custom_headers: Vec::new(),
            debug: false,
            tls: TlsOptions::default(),
            wire: Wire::Default,
        }
    }

    /// Which evaluation protocol to speak; [`RemoteProtocol::FeatureEval`] by default.
    #[must_use]
    pub fn protocol(mut self, protocol: RemoteProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The API key, sent as `Authorization: Bearer …` with every request (GOFF-AUTH-001,
    /// GOFF-AUTH-002); none by default.
    #[must_use]
    pub fn api_key(mut self, api_key: impl Into<Option<ApiKey>>) -> Self {
        self.api_key = api_key.into();
        self
    }

    /// The total time of every request: connecting, writing, and reading the whole answer
    /// (GOFF-REM-006). 10 s by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds a header to every request. Its value is treated as a secret.
    ///
    /// The API key wins over `authorization` and `x-api-key` (GOFF-AUTH-004): with a key these two
    /// are left out. Refused are the headers that belong to the message or the connection:
    /// `accept-encoding`, `connection`, `content-encoding`, `content-length`, `content-type`,
    /// `expect`, `host`, `if-none-match`, `te`, `trailer`, `transfer-encoding` and `upgrade`. A name
    /// that is there twice is sent twice.
    #[must_use]
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.custom_headers.push((name.into(), value.into()));
        self
    }

    /// Whether this client's own diagnostics, one line a request, come at INFO instead of DEBUG.
    /// False by default.
    #[must_use]
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// How to secure the connection to an `https` endpoint. It has no effect beside
    /// [`connector`](Self::connector) or [`transport`](Self::transport).
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Opens connections with `connect` instead of a [`Connector`]. It replaces a transport given
    /// before.
    #[must_use]
    pub fn connector(mut self, connect: Arc<dyn Connect>) -> Self {
        self.wire = Wire::Connector(connect);
        self
    }

    /// Sends requests with `transport` instead of a [`HyperTransport`]. It replaces a connector
    /// given before.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn HttpTransport>) -> Self {
        self.wire = Wire::Transport(transport);
        self
    }

    /// The client. Nothing is sent and no connection opened.
    ///
    /// # Errors
    /// [`InvalidOption`]: a timeout of zero, a header that cannot be sent, or an endpoint or TLS
    /// option that this build or machine cannot serve.
    pub fn build(self) -> Result<HttpRelayClient, InvalidOption> {
        if self.timeout.is_zero() {
            return Err(InvalidOption::new("timeout", "must be longer than zero"));
        }
        let mut secrets = Secrets::default();
        let mut headers =
            request_headers(&self.custom_headers, self.api_key.as_ref(), &mut secrets)?;
        let base = self.endpoint.join("/").parse::<Uri>().map(Uri::into_parts);
        let Ok(Parts {
            scheme: Some(scheme),
            authority: Some(authority),
            path_and_query: Some(prefix),
            ..
        }) = base
        else {
            return Err(InvalidOption::new("endpoint", "is no valid URL"));
        };
        headers.insert(header::HOST, host(&scheme, &authority)?);
        let transport = match self.wire {
            Wire::Transport(transport) => transport,
            Wire::Connector(connect) => Arc::new(HyperTransport::new(connect)),
            Wire::Default => {
                let connector = Connector::new(&self.endpoint, &self.tls)?;
                Arc::new(HyperTransport::new(Arc::new(connector)))
            }
        };
        Ok(HttpRelayClient {
            endpoint: self.endpoint,
            scheme,
            authority,
            prefix: prefix.path().trim_end_matches('/').into(),
            protocol: self.protocol,
            timeout: self.timeout,
            debug: self.debug,
            headers: Arc::new(headers),
            secrets,
            transport,
            hold_back: Arc::new(HoldBack::new()),
        })
    }
}

impl fmt::Debug for HttpRelayClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRelayClientBuilder")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("api_key", &self.api_key)
            .field("timeout", &self.timeout)
            // Not even their names, which nobody has checked yet.
            .field("custom_headers", &self.custom_headers.len())
            .field("debug", &self.debug)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// What a request to the endpoint has as `Host`: without the port, where it is the scheme's own.
fn host(scheme: &Scheme, authority: &Authority) -> Result<HeaderValue, InvalidOption> {
    let own_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = if authority.port_u16() == Some(own_port) {
        authority.host()
    } else {
        authority.as_str()
    };
    HeaderValue::from_str(host).map_err(|_| InvalidOption::new("endpoint", "is no valid URL"))
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_the_port_where_it_is_not_the_schemes_own() {
        for (endpoint, expected) in [
            ("http://h", "h"),
            ("http://h:80/prefix", "h"),
            ("http://h:443", "h:443"),
            ("http://h:1031", "h:1031"),
            ("https://h:443", "h"),
            ("https://h:80", "h:80"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]:1031", "[::1]:1031"),
            ("unix:///run/relay.sock", "localhost"),
        ] {
            let endpoint: Endpoint = endpoint.parse().unwrap();
            let uri: Uri = endpoint.join("/").parse().unwrap();
            let (scheme, authority) = (uri.scheme().unwrap(), uri.authority().unwrap());
            assert_eq!(host(scheme, authority).unwrap(), expected, "{endpoint}");
        }
    }
}
