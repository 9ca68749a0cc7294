//! [`HyperTransport`]: HTTP/1.1 over pooled keep-alive connections.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::Connect;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower_service::Service;

use crate::error::TransportError;
use crate::resend::{Clock, RequestBody, SendProgress, TrackedStream, closed_unanswered};
use crate::transport::{HttpRequest, HttpResponse, HttpTransport};

/// Sends requests with hyper, over the connections that a [`Connect`] opens.
///
/// Keeps up to 128 idle connections for 90 s each. Uses no proxy and no environment variable
/// (GOFF-CFG-005), follows no redirect, keeps no cookie. Dropping the transport closes its
/// connections.
pub struct HyperTransport {
    client: Client<PooledConnect, RequestBody>,
    clock: Arc<Clock>,
}

impl HyperTransport {
    /// A transport over `connect`. Nothing is opened yet.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>) -> Self {
        let clock = Arc::default();
        let connect = PooledConnect {
            connect,
            clock: Arc::clone(&clock),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_timer(TokioTimer::new())
            // hyper-util would retry without limit; `send` retries once.
            .retry_canceled_requests(false)
            .build(connect);
        Self { client, clock }
    }

    async fn attempt(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        let progress = &request.progress;
        progress.waiting();
        let mut message = Request::new(RequestBody::new(
            request.body.clone(),
            Arc::clone(progress),
            Arc::clone(&self.clock),
        ));
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.uri.clone();
        *message.headers_mut() = HeaderMap::clone(&request.headers);
        let response = self
            .client
            .request(message)
            .await
            .map_err(|error| Failure::of_request(error, progress))?;
        let (head, body) = response.into_parts();
        let body = read_body(body, head.status, request.max_response_size).await?;
        Ok(HttpResponse {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

#[async_trait]
impl HttpTransport for HyperTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut may_resend = request.may_resend;
        loop {
            match self.attempt(&request).await {
                Err(failure) if failure.closed_unanswered && may_resend => may_resend = false,
                outcome => return Ok(outcome?),
            }
        }
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport").finish_non_exhaustive()
    }
}

async fn read_body(
    body: Incoming,
    status: StatusCode,
    max_size: usize,
) -> Result<Bytes, TransportError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_size {
        return Err(TransportError::TooLarge { status });
    }
    match Limited::new(body, max_size).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(TransportError::TooLarge { status }),
        Err(error) => Err(TransportError::Interrupted(Arc::new(BodyError(error)))),
    }
}

/// A failed attempt.
struct Failure {
    error: TransportError,
    /// Whether a kept-alive connection closed before the first byte of the response.
    closed_unanswered: bool,
}

impl Failure {
    fn of_request(error: ClientError, progress: &SendProgress) -> Self {
        let closed_unanswered = closed_unanswered(error.connect_info(), progress);
        let cause = Arc::new(RequestError(error));
        Self {
            error: if progress.may_be_sent() {
                TransportError::Interrupted(cause)
            } else {
                TransportError::NotConnected(cause)
            },
            closed_unanswered,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self {
            error,
            closed_unanswered: false,
        }
    }
}

impl From<Failure> for TransportError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// A failed request, with the causes that hyper-util leaves out of its text.
#[derive(Debug)]
struct RequestError(ClientError);

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => write_chain(cause, f),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Error for RequestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// An incomplete body.
#[derive(Debug)]
struct BodyError(Box<dyn Error + Send + Sync>);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&*self.0, f)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Writes an error and its causes.
fn write_chain(error: &(dyn Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}

/// Adapts a [`Connect`] to hyper-util.
#[derive(Clone)]
struct PooledConnect {
    connect: Arc<dyn Connect>,
    clock: Arc<Clock>,
}

impl Service<Uri> for PooledConnect {
    type Response = TokioIo<TrackedStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ignores the URL: a [`Connect`] opens streams to one endpoint.
    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { connect, clock } = self.clone();
        Box::pin(async move {
            let stream = connect.connect().await?;
            Ok(TokioIo::new(TrackedStream::new(stream, clock)))
        })
    }
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const MAX_IDLE: usize = 128;
