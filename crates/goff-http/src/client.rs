//! [`HttpRelayClient`]: the relay proxy over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use goff_core::{
    ApiKey, BodyProblem, BulkEvaluation, Connect, ContextView, Endpoint, EventBatch, RelayClient,
    RelayError, Resolution,
};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tracing::Level;

use crate::connector::Connector;
use crate::headers::request_headers;
use crate::hyper_transport::HyperTransport;
use crate::request::{self, EndpointRequest, RemoteProtocol};
use crate::response;
use crate::retry_after::{HoldBack, retry_after};
use crate::secrets::Secrets;
use crate::tls::TlsOptions;
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, SendProgress, TransportError};

/// How many bytes of a response body are read: 16 MB.
pub const MAX_RESPONSE_SIZE: usize = 16 * 1024 * 1024;

/// A relay proxy over HTTP.
///
/// Every request is bounded by the timeout (GOFF-REM-006). Nothing is retried (GOFF-REM-005),
/// except that an evaluation is sent once more when the kept-alive connection it went out on died
/// before any byte of answer. After a 429 with `Retry-After`, requests of this client are refused
/// until the time is over (GOFF-REM-004).
pub struct HttpRelayClient {
    endpoint: Endpoint,
    scheme: Scheme,
    authority: Authority,
    /// The endpoint's path prefix, without a trailing slash.
    prefix: Box<str>,
    protocol: RemoteProtocol,
    timeout: Duration,
    debug: bool,
    headers: HeaderMap,
    secrets: Secrets,
    transport: Arc<dyn HttpTransport>,
    hold_back: HoldBack,
}

impl HttpRelayClient {
    /// A client of the relay proxy at `endpoint`, with every option at its default.
    #[must_use]
    pub fn builder(endpoint: Endpoint) -> HttpRelayClientBuilder {
        HttpRelayClientBuilder {
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

    async fn send<T>(
        &self,
        request: EndpointRequest,
        read: fn(&HttpResponse, &str, &Secrets) -> Result<T, RelayError>,
    ) -> Result<T, RelayError> {
        self.hold_back.check()?;
        let path = request.path;
        let uri = self.uri(&path)?;
        let progress = Arc::new(SendProgress::default());
        let sending = self.transport.send(HttpRequest {
            method: request.method,
            uri: uri.clone(),
            headers: self.headers.clone(),
            body: request.body,
            max_response_size: MAX_RESPONSE_SIZE,
            may_resend: request.may_resend,
            progress: Arc::clone(&progress),
        });
        let begun = self.is_logged().then(Instant::now);
        let outcome = tokio::time::timeout(self.timeout, sending).await;
        let (status, result) = match outcome {
            Err(_) => {
                let (timeout, sent) = (self.timeout, progress.may_be_sent());
                (None, Err(RelayError::Timeout { timeout, sent }))
            }
            Ok(Err(error)) => self.read_failure(error, uri.path()),
            Ok(Ok(response)) => {
                self.note_retry_after(&response);
                let result = if response.body.len() > MAX_RESPONSE_SIZE {
                    Err(self.too_large(response.status, uri.path()))
                } else {
                    read(&response, uri.path(), &self.secrets)
                };
                (Some(response.status), result)
            }
        };
        if let Some(begun) = begun {
            self.log(uri.path(), status, begun.elapsed(), result.as_ref().err());
        }
        result
    }

    /// The URL of a path below the endpoint; the prefix is kept.
    fn uri(&self, path: &str) -> Result<Uri, RelayError> {
        let mut whole = String::with_capacity(self.prefix.len() + path.len());
        whole.push_str(&self.prefix);
        whole.push_str(path);
        let too_long = || RelayError::UnreachableFlagKey {
            reason: "is too long for a URL",
        };
        if whole.len() > LONGEST_PATH {
            return Err(too_long());
        }
        // The prefix was parsed once, and an escaped key holds nothing that a path must not.
        let path = PathAndQuery::from_maybe_shared(bytes::Bytes::from(whole));
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path.map_err(|_| too_long())?)
            .build()
            .map_err(|_| too_long())
    }

    fn read_failure<T>(
        &self,
        error: TransportError,
        path: &str,
    ) -> (Option<StatusCode>, Result<T, RelayError>) {
        match error {
            TransportError::NotConnected(cause) => (None, Err(RelayError::NotConnected(cause))),
            TransportError::Interrupted(cause) => (None, Err(RelayError::Interrupted(cause))),
            TransportError::TooLarge { status } => {
                (Some(status), Err(self.too_large(status, path)))
            }
        }
    }

    /// What a status means is worth more than that its page is too long.
    fn too_large(&self, status: StatusCode, path: &str) -> RelayError {
        if status.is_success() {
            return RelayError::Body {
                problem: BodyProblem::TooLarge {
                    limit: MAX_RESPONSE_SIZE,
                },
                status: status.as_u16(),
            };
        }
        RelayError::Status {
            status: status.as_u16(),
            path: path.to_owned(),
            message: None,
            code: goff_core::ErrorCode::General,
        }
    }

    fn note_retry_after(&self, response: &HttpResponse) {
        if response.status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        if let Some(wait) = retry_after(&response.headers, SystemTime::now()) {
            self.hold_back.hold(wait);
        }
    }

    fn is_logged(&self) -> bool {
        if self.debug {
            tracing::enabled!(Level::INFO)
        } else {
            tracing::enabled!(Level::DEBUG)
        }
    }

    fn log(
        &self,
        path: &str,
        status: Option<StatusCode>,
        duration: Duration,
        error: Option<&RelayError>,
    ) {
        let status = status.map(|status| status.as_u16());
        let duration_ms = duration.as_secs_f64() * 1e3;
        let error = error.map(tracing::field::display);
        if self.debug {
            tracing::info!(path, status, duration_ms, error, "asked the relay proxy");
        } else {
            tracing::debug!(path, status, duration_ms, error, "asked the relay proxy");
        }
    }
}

#[async_trait]
impl RelayClient for HttpRelayClient {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let request = request::evaluate(self.protocol, flag_key, context)?;
        self.send(request, response::read_evaluation).await
    }

    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        let request = request::evaluate_all(self.protocol, context)?;
        self.send(request, response::read_bulk_evaluation).await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        self.send(request::collect(batch), response::read_collection)
            .await
    }
}

impl fmt::Debug for HttpRelayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRelayClient")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("timeout", &self.timeout)
            .field("debug", &self.debug)
            .field("headers", &HeaderNames(&self.headers))
            .finish_non_exhaustive()
    }
}

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
        let headers = request_headers(&self.custom_headers, self.api_key.as_ref(), &mut secrets)?;
        let base = self.endpoint.join("/").parse::<Uri>().map(Uri::into_parts);
        let Ok(http::uri::Parts {
            scheme: Some(scheme),
            authority: Some(authority),
            path_and_query: Some(prefix),
            ..
        }) = base
        else {
            return Err(InvalidOption::new("endpoint", "is no valid URL"));
        };
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
            headers,
            secrets,
            transport,
            hold_back: HoldBack::new(),
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

/// An option that cannot be used: which one, by its name in the client's options, and why. It
/// never shows a header value or key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// The option: `endpoint`, `timeout`, `custom_headers`, `api_key` or `tls`.
    pub option: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl InvalidOption {
    pub(crate) fn new(option: &'static str, reason: impl Into<String>) -> Self {
        Self {
            option,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}`: {}", self.option, self.reason)
    }
}

impl std::error::Error for InvalidOption {}

struct HeaderNames<'a>(&'a HeaderMap);

impl fmt::Debug for HeaderNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.keys().map(http::HeaderName::as_str))
            .finish()
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What `http::Uri` and common gateways still take; the former's own limit is 65,534.
const LONGEST_PATH: usize = 60_000;
