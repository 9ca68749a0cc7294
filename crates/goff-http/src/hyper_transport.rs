//! [`HyperTransport`]: HTTP/1.1 over pooled keep-alive connections.

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::{Cause, Connect, ConnectionError, ConnectionProblem};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::TransportError::{self, Interrupted, NotConnected};
use crate::pool::{Pool, PoolSettings};
use crate::progress::{RequestBody, SendProgress};
use crate::runtime_pools::RuntimePools;
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, TransportStats};

/// Sends requests with hyper, over the connections that a [`Connect`] opens.
///
/// A request uses the connections of the tokio runtime on which it is sent, and so never waits for
/// another runtime. On each runtime at most 256 requests are in flight, later ones wait in order,
/// and up to 128 idle connections are kept for 50 s each, until they are 5 minutes old;
/// [`HttpRelayClientOptions`](crate::HttpRelayClientOptions) has options for these limits. A
/// transport keeps the connections of up to 16 runtimes. Outside a runtime a request fails.
///
/// Opening a connection takes at most 10 s (with those options, their timeout). An attempt may go
/// on after its request was given up, for a later one.
///
/// When a connection that had been used before times out or closes without an answer, the
/// connections that have been idle since before that request are closed: what lies between has
/// probably forgotten them too. Uses no environment variable, follows no redirect, keeps no cookie.
/// Dropping the transport closes its connections and ends its attempts to connect.
///
/// *Specification*: GOFF-CFG-005.
pub struct HyperTransport {
    connect: Arc<dyn Connect>,
    settings: PoolSettings,
    pools: Arc<RuntimePools>,
}

impl HyperTransport {
    /// A transport over `connect`. Nothing is opened yet.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>) -> Self {
        Self {
            connect,
            settings: PoolSettings::default(),
            pools: Arc::default(),
        }
    }

    /// The same transport with other limits.
    pub(crate) fn with_settings(mut self, settings: PoolSettings) -> Self {
        self.settings = settings;
        self
    }
}

#[async_trait]
impl HttpTransport for HyperTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        request.progress.waiting();
        let pool = self.pools.current(&self.connect, &self.settings);
        let pool = pool.map_err(|error| NotConnected(Arc::new(error)))?;
        let _in_flight = pool.enter().await;
        send_over(&pool, &request).await
    }

    fn close_idle(&self) {
        self.pools.clear();
    }

    fn stats(&self) -> TransportStats {
        let counters = self.pools.counters();
        TransportStats {
            open_connections: counters.open_connections.load(Ordering::Relaxed),
            requests_in_flight: counters.requests_in_flight.load(Ordering::Relaxed),
            requests_waiting: counters.requests_waiting.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport")
            .field("settings", &self.settings)
            .field("stats", &HttpTransport::stats(self))
            .finish_non_exhaustive()
    }
}

/// Sends a request, and reads the whole response.
async fn send_over(
    pool: &Arc<Pool>,
    request: &HttpRequest,
) -> Result<HttpResponse, TransportError> {
    request.progress.in_flight();
    let (response, connection, _exchange) = respond(pool, request).await?;
    request.progress.answered();
    let (head, body) = response.into_parts();
    let body = read_body(body, head.status, request).await?;
    pool.put_back(connection);
    Ok(HttpResponse::new(head.status, body).with_headers(head.headers))
}

/// Sends a request over one connection after the other, until there is a response or an error.
async fn respond<'a>(
    pool: &'a Arc<Pool>,
    request: &'a HttpRequest,
) -> Result<(Response<Incoming>, Connection, Exchange<'a>), TransportError> {
    let mut may_resend = request.may_resend;
    loop {
        let connection = pool.checkout().await;
        let mut connection = connection.map_err(|error| NotConnected(HyperError::cause(error)))?;
        let exchange = Exchange::new(pool, &connection, &request.progress);
        let mut error = match connection.send(message(request)).await {
            Ok(response) => return Ok((response, connection, exchange)),
            Err(error) => error,
        };
        if error.take_message().is_some() && exchange.is_on_kept_connection {
            // The connection closed while it was idle; nothing was written.
            continue;
        }
        if exchange.is_unanswered() {
            exchange.distrust_idle_connections();
            if mem::take(&mut may_resend) {
                continue;
            }
        }
        let cause = HyperError::cause(error.into_error());
        return Err(if request.progress.may_be_sent() {
            Interrupted(cause)
        } else {
            NotConnected(cause)
        });
    }
}

fn message(request: &HttpRequest) -> Request<RequestBody> {
    let body = RequestBody::new(request.body.clone(), Arc::clone(&request.progress));
    let mut message = Request::new(body);
    *message.method_mut() = request.method.clone();
    // Only a proxy is sent the whole URL.
    let path = request.uri.path_and_query().cloned();
    *message.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    *message.headers_mut() = HeaderMap::clone(&request.headers);
    message
}

/// A request on a connection.
///
/// The order of events decides what a failure means, not the kind of error: a connection that had
/// served requests, and is silent since this one, was probably dead before it.
struct Exchange<'a> {
    pool: &'a Pool,
    progress: &'a SendProgress,
    is_on_kept_connection: bool,
    has_response: Arc<AtomicBool>,
    began: Instant,
}

impl<'a> Exchange<'a> {
    fn new(pool: &'a Pool, connection: &Connection, progress: &'a SendProgress) -> Self {
        let is_on_kept_connection = connection.was_kept();
        progress.on_connection(is_on_kept_connection);
        Self {
            pool,
            progress,
            is_on_kept_connection,
            has_response: connection.has_response(),
            began: Instant::now(),
        }
    }

    /// Whether the connection was kept before and nothing was read from it since.
    fn is_unanswered(&self) -> bool {
        self.is_on_kept_connection && !self.has_response.load(Ordering::Acquire)
    }

    /// Closes the connections that have been idle since before this request: they are as old as
    /// the dead one.
    fn distrust_idle_connections(&self) {
        self.pool.close_idle_since(self.began);
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.progress.is_timed_out() && self.is_unanswered() {
            self.distrust_idle_connections();
        }
    }
}

async fn read_body(
    body: Incoming,
    status: StatusCode,
    request: &HttpRequest,
) -> Result<Bytes, TransportError> {
    let max_size = request.max_response_size;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_size {
        return Err(TransportError::TooLarge { status });
    }
    let mut body = body;
    let (mut first, mut whole) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Interrupted(HyperError::cause(error)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > max_size - whole.len().max(first.len()) {
            return Err(TransportError::TooLarge { status });
        }
        if first.is_empty() {
            first = data;
        } else {
            if whole.is_empty() {
                // Memory that grows may be moved, and is then taken twice.
                let expected = request.expected_size;
                whole.reserve_exact(expected.saturating_add(expected / 64).min(max_size));
                append(&mut whole, &first);
            }
            append(&mut whole, &data);
        }
    }
    if whole.is_empty() {
        return Ok(first);
    }
    whole.shrink_to_fit();
    Ok(whole.into())
}

/// Grows by a quarter: a configuration may be large, and doubling would take as much again.
fn append(whole: &mut Vec<u8>, data: &[u8]) {
    if whole.capacity() - whole.len() < data.len() {
        whole.reserve_exact(data.len().max(whole.len() / 4));
    }
    whole.extend_from_slice(data);
}

/// An error of hyper, with the causes that its text leaves out.
#[derive(Debug)]
pub(crate) struct HyperError(Box<dyn Error + Send + Sync>);

impl HyperError {
    /// What a cause from here means, as far as hyper says it.
    pub(crate) fn problem(cause: &Cause) -> Option<ConnectionProblem> {
        let error: &hyper::Error = cause.downcast_ref::<Self>()?.0.downcast_ref()?;
        if error.is_parse() {
            return Some(ConnectionProblem::NotHttp);
        }
        let is_over = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
        is_over.then_some(ConnectionProblem::Closed)
    }

    pub(crate) fn cause(error: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
        let error = error.into();
        let io = error.downcast_ref::<io::Error>();
        // The connector has said it all.
        match io.and_then(|io| io.get_ref()?.downcast_ref::<ConnectionError>()) {
            Some(error) => Arc::new(error.clone()),
            None => Arc::new(Self(error)),
        }
    }
}

impl fmt::Display for HyperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&*self.0, f)
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
