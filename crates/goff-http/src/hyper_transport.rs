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
use bytes::{Bytes, BytesMut};
use goff_core::Connect;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tower_service::Service;

use crate::error::TransportError;
use crate::resend::{LastRead, PooledStream, RequestBody, Ticks, last_read};
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, SendProgress};

/// Sends requests with hyper, over the connections that a [`Connect`] opens.
///
/// Idle connections are kept for 90 s, at most 128 of them. No proxy and no environment variable
/// is looked at (GOFF-CFG-005), no redirect followed, no cookie kept. What belongs to a
/// connection ends with the transport.
pub struct HyperTransport {
    client: Client<PooledConnect, RequestBody>,
    ticks: Arc<Ticks>,
}

impl HyperTransport {
    /// A transport over `connect`. Nothing is opened yet.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>) -> Self {
        let ticks = Arc::new(Ticks::default());
        let connect = PooledConnect {
            connect,
            ticks: Arc::clone(&ticks),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_timer(TokioTimer::new())
            // What hyper-util resends here, it resends until it succeeds; see `send`.
            .retry_canceled_requests(false)
            .build(connect);
        Self { client, ticks }
    }

    async fn attempt(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        let progress = &request.progress;
        progress.waiting();
        let body = &request.body;
        if body.is_empty() {
            // hyper never asks an empty body for its bytes.
            progress.sending_at(self.ticks.next());
        }
        let mut message = Request::new(RequestBody {
            bytes: (!body.is_empty()).then(|| body.clone()),
            progress: Arc::clone(progress),
            ticks: Arc::clone(&self.ticks),
        });
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
                Err(failure) if failure.died_unused && may_resend => may_resend = false,
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
    mut body: Incoming,
    status: StatusCode,
    max_size: usize,
) -> Result<Bytes, TransportError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_size {
        return Err(TransportError::TooLarge { status });
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| TransportError::Interrupted(Arc::new(BodyError(error))))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let received = first.len().max(whole.len());
        if data.len() > max_size - received {
            return Err(TransportError::TooLarge { status });
        }
        // Nearly every body comes in one piece, which is then never copied.
        if received == 0 {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced.max(received + data.len()));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

/// A failed attempt.
struct Failure {
    error: TransportError,
    /// Whether the connection had served another request and gave no byte for this one.
    died_unused: bool,
}

impl Failure {
    fn of_request(error: ClientError, progress: &SendProgress) -> Self {
        let last_read = error.connect_info().and_then(last_read).unwrap_or(0);
        let died_unused =
            last_read != 0 && progress.sent_tick().is_none_or(|sent| last_read < sent);
        let cause = Arc::new(RequestError(error));
        Self {
            error: if progress.may_be_sent() {
                TransportError::Interrupted(cause)
            } else {
                TransportError::NotConnected(cause)
            },
            died_unused,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self {
            error,
            died_unused: false,
        }
    }
}

impl From<Failure> for TransportError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// A failed request. hyper-util's own text says no more than that it failed.
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

/// A body that broke off.
#[derive(Debug)]
struct BodyError(hyper::Error);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&self.0, f)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Writes an error with what caused it, which hyper leaves out of its texts.
fn write_chain(error: &(dyn Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}

/// A [`Connect`] as hyper-util wants it.
#[derive(Clone)]
struct PooledConnect {
    connect: Arc<dyn Connect>,
    ticks: Arc<Ticks>,
}

impl Service<Uri> for PooledConnect {
    type Response = TokioIo<PooledStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The endpoint is the connector's own; the URL cannot name another.
    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { connect, ticks } = self.clone();
        Box::pin(async move {
            Ok(TokioIo::new(PooledStream {
                stream: connect.connect().await?,
                written: false,
                last_read: LastRead::default(),
                ticks,
            }))
        })
    }
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
const MAX_IDLE: usize = 128;
