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
use goff_core::{Cause, Connect};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower_service::Service;

use crate::error::TransportError;
use crate::resend::{Clock, RequestBody, TrackedStream, closed_unanswered};
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

    fn message(&self, request: &HttpRequest) -> Request<RequestBody> {
        request.progress.waiting();
        let progress = Arc::clone(&request.progress);
        let body = RequestBody::new(request.body.clone(), progress, Arc::clone(&self.clock));
        let mut message = Request::new(body);
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = request.uri.clone();
        *message.headers_mut() = HeaderMap::clone(&request.headers);
        message
    }
}

#[async_trait]
impl HttpTransport for HyperTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut may_resend = request.may_resend;
        let progress = &request.progress;
        let response = loop {
            match self.client.request(self.message(&request)).await {
                Ok(response) => break response,
                Err(error) if may_resend && closed_unanswered(error.connect_info(), progress) => {
                    may_resend = false;
                }
                Err(error) if progress.may_be_sent() => {
                    return Err(TransportError::Interrupted(HyperError::cause(error)));
                }
                Err(error) => return Err(TransportError::NotConnected(HyperError::cause(error))),
            }
        };
        let (head, body) = response.into_parts();
        let body = read_body(body, head.status, request.max_response_size).await?;
        Ok(HttpResponse::new(head.status, body).with_headers(head.headers))
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
        Err(error) => Err(TransportError::Interrupted(HyperError::cause(error))),
    }
}

/// An error of hyper, with the causes that its text leaves out.
#[derive(Debug)]
struct HyperError(Box<dyn Error + Send + Sync>);

impl HyperError {
    fn cause(error: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
        Arc::new(Self(error.into()))
    }
}

impl fmt::Display for HyperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            // The text of hyper-util names only the step.
            Some(cause) if self.0.is::<ClientError>() => write_chain(cause, f),
            _ => write_chain(&*self.0, f),
        }
    }
}

impl Error for HyperError {
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
