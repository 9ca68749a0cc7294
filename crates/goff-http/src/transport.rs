//! The seam between requests and the network: bytes out, bytes back.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::error::TransportError;
use crate::progress::SendProgress;

/// Sends HTTP requests: [`HyperTransport`](crate::HyperTransport) or your own implementation.
///
/// Called concurrently, from any task of any tokio runtime, once per request.
/// [`HttpRelayClient`](crate::HttpRelayClient) enforces its timeout by dropping the future, so an
/// implementation needs none. It does not follow redirects and does not retry: any status is a
/// response. It does not log headers, because they hold credentials.
///
/// When the timeout passes inside a custom transport that does not hand the request on to a
/// [`HyperTransport`](crate::HyperTransport), the request counts as sent.
///
/// *Specification*: GOFF-REM-006, GOFF-REM-005.
#[async_trait]
pub trait HttpTransport: fmt::Debug + Send + Sync {
    /// Sends one request and reads the whole response.
    ///
    /// # Errors
    /// [`TransportError`], when there is no complete response.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;

    /// Closes idle connections, and ends attempts to connect: the client was shut down, and may be
    /// started again. Default: nothing.
    fn close_idle(&self) {}

    /// The connections and requests at this moment. Default: zeros.
    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }
}

/// The connections and requests of a transport at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Connections that are open, in use or idle, and those being opened.
    pub open_connections: usize,
    /// Requests that wait for a connection, are being sent, or wait for their answer. Those that
    /// wait for [`max_requests_in_flight`](crate::HttpRelayClientOptions::max_requests_in_flight)
    /// are not among them.
    pub requests_in_flight: usize,
    /// Requests that wait for
    /// [`max_requests_in_flight`](crate::HttpRelayClientOptions::max_requests_in_flight).
    pub requests_waiting: usize,
}

/// A request as it goes over the network. `Debug` shows only the length of the body, which holds
/// the evaluation context.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL. For a Unix socket its host is `localhost`.
    pub uri: Uri,
    /// All headers but `Content-Length`, which follows from the body. Shared by all requests of a
    /// client. Secret values are marked sensitive.
    pub headers: Arc<HeaderMap>,
    /// The body.
    pub body: Bytes,
    /// The largest response body to read, in bytes.
    pub max_response_size: usize,
    /// Whether the request may be sent once more when its connection had been used before and
    /// closed before the first byte of the response.
    pub may_resend: bool,
    /// About how long the response body will be, where it is long.
    pub(crate) expected_size: usize,
    pub(crate) progress: Arc<SendProgress>,
}

/// A complete response. `Debug` shows only its status and its length.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("headers", &self.headers)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("max_response_size", &self.max_response_size)
            .field("may_resend", &self.may_resend)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

impl HttpResponse {
    /// A response without headers.
    #[must_use]
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// The same response with these headers.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }
}
