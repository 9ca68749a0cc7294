//! The seam between requests and the wire: bytes out, bytes back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::error::TransportError;

/// Sends HTTP requests: [`HyperTransport`](crate::HyperTransport), or one of the caller's own.
///
/// Called concurrently, from any task, once per request. [`HttpRelayClient`](crate::HttpRelayClient)
/// bounds the time (GOFF-REM-006) by dropping the future, so an implementation needs no timeout.
/// It follows no redirects and does not retry (GOFF-REM-005): any status is a response. It does not
/// log headers, which hold credentials.
#[async_trait]
pub trait HttpTransport: fmt::Debug + Send + Sync {
    /// Sends one request and reads the whole response.
    ///
    /// # Errors
    /// [`TransportError`], when there is no whole response.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError>;
}

/// A request as it goes to the wire.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The absolute URL. For a Unix socket its host is `localhost`.
    pub uri: Uri,
    /// Every header except `Content-Length`, which follows from the body; `Host` is that of the URL.
    /// Shared by all requests of a client. The values that are secrets are marked sensitive.
    pub headers: Arc<HeaderMap>,
    /// The body.
    pub body: Bytes,
    /// How many bytes of response body to read at most.
    pub max_response_size: usize,
    /// Whether the request may be sent once more when the connection it went out on had been used
    /// before and died without a single byte of response.
    pub may_resend: bool,
    /// Where a transport reports how far the request got.
    pub progress: Arc<SendProgress>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// How far a request got: what tells a timeout before the request went out, when certainly nothing
/// was evaluated, from one after it. A transport that reports nothing is taken to have sent it.
#[derive(Debug, Default)]
pub struct SendProgress(AtomicU64);

impl SendProgress {
    /// Reports that the transport has the request and has not begun to write it.
    pub fn waiting(&self) {
        let _ = self
            .0
            .compare_exchange(UNKNOWN, WAITING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Reports that from now on the request may be on the wire.
    pub fn sending(&self) {
        self.0.fetch_max(SENDING, Ordering::Relaxed);
    }

    /// Whether the request may have been written.
    #[must_use]
    pub fn may_be_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) != WAITING
    }

    /// [`sending`](Self::sending), with a tick that orders it among the reads of connections.
    pub(crate) fn sending_at(&self, tick: u64) {
        self.0.fetch_max(SENDING + tick, Ordering::Relaxed);
    }

    /// The tick of the last [`sending_at`](Self::sending_at).
    pub(crate) fn sent_tick(&self) -> Option<u64> {
        self.0.load(Ordering::Relaxed).checked_sub(SENDING)
    }
}

const UNKNOWN: u64 = 0;
const WAITING: u64 = 1;
const SENDING: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreported_progress_counts_as_sent() {
        let progress = SendProgress::default();
        assert!(progress.may_be_sent());
        progress.waiting();
        assert!(!progress.may_be_sent());
        assert_eq!(progress.sent_tick(), None);
        progress.sending_at(7);
        assert!(progress.may_be_sent());
        assert_eq!(progress.sent_tick(), Some(7));
        progress.sending();
        progress.waiting();
        assert!(progress.may_be_sent());
        assert_eq!(progress.sent_tick(), Some(7));
    }
}
