//! [`HttpRelayClient`]: the relay proxy over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::{
    BodyProblem, BulkEvaluation, ConfigurationUpdate, ContextView, Endpoint, ErrorCode, Etag,
    EventBatch, RelayClient, RelayError, Resolution,
};
use http::header::IF_NONE_MATCH;
use http::uri::{Authority, Parts, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;
use tracing::Level;

use crate::error::TransportError;
use crate::options::HttpRelayClientBuilder;
use crate::request::{self, EndpointRequest, RemoteProtocol};
use crate::response;
use crate::retry_after::{HoldBack, retry_after};
use crate::secrets::Secrets;
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, SendProgress};

/// How many bytes of a response body are read: 16 MB.
pub const MAX_RESPONSE_SIZE: usize = 16 * 1024 * 1024;

/// How many bytes of a flag configuration are read: 256 MB.
pub const MAX_CONFIGURATION_SIZE: usize = 256 * 1024 * 1024;

/// A relay proxy over HTTP.
///
/// Every request is bounded by the timeout (GOFF-REM-006). Nothing is retried (GOFF-REM-005),
/// except that an evaluation is sent once more when the kept-alive connection it went out on died
/// before any byte of answer. After a 429 with `Retry-After`, requests of this client are refused
/// until the time is over (GOFF-REM-004).
pub struct HttpRelayClient {
    pub(crate) endpoint: Endpoint,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// The endpoint's path prefix, without a trailing slash.
    pub(crate) prefix: Box<str>,
    pub(crate) protocol: RemoteProtocol,
    pub(crate) timeout: Duration,
    pub(crate) debug: bool,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) secrets: Secrets,
    pub(crate) transport: Arc<dyn HttpTransport>,
    pub(crate) hold_back: Arc<HoldBack>,
}

impl HttpRelayClient {
    /// A client of the relay proxy at `endpoint`, with every option at its default.
    #[must_use]
    pub fn builder(endpoint: Endpoint) -> HttpRelayClientBuilder {
        HttpRelayClientBuilder::new(endpoint)
    }

    /// The same relay proxy, asked for evaluations by another protocol: over the same connections,
    /// and held back together with this client.
    #[must_use]
    pub fn with_protocol(&self, protocol: RemoteProtocol) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            prefix: self.prefix.clone(),
            protocol,
            timeout: self.timeout,
            debug: self.debug,
            headers: Arc::clone(&self.headers),
            secrets: self.secrets.clone(),
            transport: Arc::clone(&self.transport),
            hold_back: Arc::clone(&self.hold_back),
        }
    }

    async fn send<T>(
        &self,
        request: EndpointRequest,
        max_response_size: usize,
        read: impl FnOnce(&HttpResponse, &str, &Secrets) -> Result<T, RelayError>,
    ) -> Result<T, RelayError> {
        self.hold_back.check()?;
        let path = request.path;
        let uri = self.uri(&path)?;
        let progress = Arc::new(SendProgress::default());
        let sending = self.transport.send(HttpRequest {
            method: request.method,
            uri: uri.clone(),
            headers: self.headers(request.if_none_match),
            body: request.body,
            max_response_size,
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
            Ok(Err(error)) => self.read_failure(error, uri.path(), max_response_size),
            Ok(Ok(response)) => {
                self.note_retry_after(&response);
                let result = if response.body.len() > max_response_size {
                    Err(too_large(response.status, uri.path(), max_response_size))
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

    fn headers(&self, if_none_match: Option<HeaderValue>) -> Arc<HeaderMap> {
        let mut headers = Arc::clone(&self.headers);
        if let Some(etag) = if_none_match {
            Arc::make_mut(&mut headers).insert(IF_NONE_MATCH, etag);
        }
        headers
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
        let path = PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(|_| too_long())?;
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| too_long())
    }

    fn read_failure<T>(
        &self,
        error: TransportError,
        path: &str,
        limit: usize,
    ) -> (Option<StatusCode>, Result<T, RelayError>) {
        match error {
            TransportError::NotConnected(cause) => (None, Err(RelayError::NotConnected(cause))),
            TransportError::Interrupted(cause) => (None, Err(RelayError::Interrupted(cause))),
            TransportError::TooLarge { status } => {
                (Some(status), Err(too_large(status, path, limit)))
            }
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
        self.send(request, MAX_RESPONSE_SIZE, response::read_evaluation)
            .await
    }

    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        let request = request::evaluate_all(self.protocol, context)?;
        self.send(request, MAX_RESPONSE_SIZE, response::read_bulk_evaluation)
            .await
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let request = request::flag_configuration(flags, held);
        let is_conditional = held.is_some();
        self.send(
            request,
            MAX_CONFIGURATION_SIZE,
            |response, path, secrets| {
                response::read_configuration(response, path, secrets, is_conditional)
            },
        )
        .await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        let request = request::collect(batch);
        self.send(request, MAX_RESPONSE_SIZE, response::read_collection)
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

/// What a status means is worth more than that its page is too long.
fn too_large(status: StatusCode, path: &str, limit: usize) -> RelayError {
    if status.is_success() {
        return RelayError::Body {
            problem: BodyProblem::TooLarge { limit },
            status: status.as_u16(),
        };
    }
    RelayError::Status {
        status: status.as_u16(),
        path: path.to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

struct HeaderNames<'a>(&'a HeaderMap);

impl fmt::Debug for HeaderNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.keys().map(http::HeaderName::as_str))
            .finish()
    }
}

/// What `http::Uri` and common gateways still take; the former's own limit is 65,534.
const LONGEST_PATH: usize = 60_000;
