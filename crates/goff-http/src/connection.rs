//! [`Connection`]: one HTTP/1.1 connection of a pool.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use goff_core::__internal::{Watch, WatchedStream, random_u64, spread};
use goff_core::Connect;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::progress::RequestBody;

/// A connection that serves one request after the other. A task of the runtime on which it was
/// opened drives it. Dropping it closes it.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: AbortHandle,
    opened: Instant,
    max_age: Duration,
    idle_since: Instant,
    /// A request was answered on it, or it was kept for one.
    was_kept: bool,
    /// A request was sent and its response is not complete.
    is_busy: bool,
    /// A byte of the response to the last request has arrived.
    has_response: Arc<AtomicBool>,
}

impl Connection {
    /// Opens a connection, and spawns the task that drives it.
    pub(crate) async fn open(
        connect: &dyn Connect,
        max_age: Duration,
        open: OpenGuard,
    ) -> io::Result<Self> {
        let has_response = Arc::new(AtomicBool::new(false));
        let mark = ResponseMark {
            has_response: Arc::clone(&has_response),
            _open: open,
        };
        let stream = WatchedStream::new(connect.connect().await?, mark);
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_BUFFER);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, driver) = handshake.map_err(io::Error::other)?;
        let driver = tokio::spawn(async move {
            // The request on the connection gets the error too.
            let _ = driver.await;
        });
        sender.ready().await.map_err(io::Error::other)?;
        let now = Instant::now();
        Ok(Self {
            sender,
            driver: driver.abort_handle(),
            opened: now,
            max_age: jittered(max_age),
            idle_since: now,
            was_kept: false,
            is_busy: false,
            has_response,
        })
    }

    /// Sends a request at once, and waits for the head of the response. [`finished`](Self::finished)
    /// marks the end of the response.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        self.is_busy = true;
        self.has_response.store(false, Ordering::Release);
        self.sender.try_send_request(request)
    }

    /// The whole response was read.
    pub(crate) fn finished(&mut self, now: Instant) {
        self.is_busy = false;
        self.was_kept = true;
        self.idle_since = now;
    }

    /// The connection is kept until a request needs it.
    pub(crate) fn keep(&mut self) {
        self.was_kept = true;
    }

    /// Whether this connection was kept, so that its peer may have closed it or be gone.
    pub(crate) fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Whether a byte of the response to the last request has arrived.
    pub(crate) fn has_response(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_response)
    }

    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// How long the connection may stay idle; zero when it is to be closed.
    pub(crate) fn remaining(&self, now: Instant, idle_timeout: Duration) -> Duration {
        let age = now.saturating_duration_since(self.opened);
        let idle = now.saturating_duration_since(self.idle_since);
        let (until_old, until_idle) = (
            self.max_age.checked_sub(age),
            idle_timeout.checked_sub(idle),
        );
        until_old
            .unwrap_or_default()
            .min(until_idle.unwrap_or_default())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the connection takes a request.
    ///
    /// # Errors
    /// The connection is closed.
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.sender.poll_ready(context)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // hyper closes an idle connection. One that was given up in the middle of an exchange must
        // not wait for a peer that reads nothing.
        if self.is_busy {
            self.driver.abort();
        }
    }
}

/// Up to a tenth less, so that connections opened together are not all replaced together.
fn jittered(age: Duration) -> Duration {
    age - spread(age / 10, random_u64())
}

/// Counts an open connection while it lives.
pub(crate) struct OpenGuard(Arc<AtomicUsize>);

impl OpenGuard {
    pub(crate) fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Notes when something is read.
struct ResponseMark {
    has_response: Arc<AtomicBool>,
    _open: OpenGuard,
}

impl Watch for ResponseMark {
    fn received(&mut self, _: &[u8]) -> io::Result<()> {
        self.has_response.store(true, Ordering::Release);
        Ok(())
    }
}

/// hyper parses all that its buffer holds without a pause, which delays other tasks of the thread
/// where a server floods it with interim (1xx) responses. It also bounds the head of a response.
const MAX_BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_varies_by_a_tenth() {
        for age in [Duration::ZERO, Duration::from_secs(300), Duration::MAX] {
            for _ in 0..100 {
                let jittered = jittered(age);
                assert!(
                    jittered <= age && jittered >= age - age / 10,
                    "{jittered:?}"
                );
            }
        }
    }
}
