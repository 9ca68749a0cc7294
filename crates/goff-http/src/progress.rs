//! [`SendProgress`]: how far a request got, and the body that reports it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use goff_core::__internal::{RequestObserver, logged};
use goff_core::RelayError;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// How far a request got. It distinguishes a timeout before the request was written, when it
/// certainly was not evaluated, from one after that.
#[derive(Debug, Default)]
pub(crate) struct SendProgress {
    /// 0 where the transport does not report progress.
    stage: AtomicU8,
    timed_out: AtomicBool,
    /// On a connection that served others before.
    is_on_kept_connection: AtomicBool,
    observer: Option<Arc<dyn RequestObserver>>,
}

/// The transport has the request, which waits until fewer are in flight.
const WAITING: u8 = 1;
/// The request is in flight, and is not written yet.
const CONNECTING: u8 = 2;
/// The request began to be written.
const SENDING: u8 = 3;
/// The head of the response has arrived.
const ANSWERED: u8 = 4;

impl SendProgress {
    pub(crate) fn new(observer: Option<Arc<dyn RequestObserver>>) -> Self {
        Self {
            observer,
            ..Self::default()
        }
    }

    /// The transport has the request. What was sent before stays sent.
    pub(crate) fn waiting(&self) {
        self.reach(WAITING);
    }

    /// The request is in flight.
    pub(crate) fn in_flight(&self) {
        self.reach(CONNECTING);
    }

    /// The request is about to be written to a connection.
    pub(crate) fn on_connection(&self, was_kept: bool) {
        self.is_on_kept_connection
            .store(was_kept, Ordering::Release);
    }

    /// The head of the response has arrived.
    pub(crate) fn answered(&self) {
        let is_first = self.stage.swap(ANSWERED, Ordering::AcqRel) != ANSWERED;
        if let Some(observer) = self.observer.as_ref().filter(|_| is_first) {
            logged(|| observer.answered());
        }
    }

    /// The request has failed. It counts as unanswered if it was in flight, and not on a connection
    /// that may have been dead before; a transport that does not report leaves that open.
    pub(crate) fn failed(&self, began: Instant, error: &RelayError) {
        let stage = self.stage.load(Ordering::Acquire);
        let counts = !matches!(stage, WAITING | ANSWERED)
            && !self.is_on_kept_connection.load(Ordering::Acquire);
        if let Some(observer) = self.observer.as_ref().filter(|_| counts) {
            logged(|| observer.unanswered(began, error));
        }
    }

    /// Whether the request may have been written.
    pub(crate) fn may_be_sent(&self) -> bool {
        !matches!(self.stage.load(Ordering::Acquire), WAITING | CONNECTING)
    }

    /// The timeout of the request has passed, and the transport's future is dropped next.
    pub(crate) fn time_out(&self) {
        self.timed_out.store(true, Ordering::Release);
    }

    /// Whether the future is dropped because of the timeout, and not because its caller gave up.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Acquire)
    }

    fn reach(&self, stage: u8) {
        self.stage.fetch_max(stage, Ordering::AcqRel);
    }
}

/// A body that reports when hyper begins to write its request.
pub(crate) struct RequestBody {
    bytes: Option<Bytes>,
    progress: Arc<SendProgress>,
}

impl RequestBody {
    pub(crate) fn new(bytes: Bytes, progress: Arc<SendProgress>) -> Self {
        if bytes.is_empty() {
            // hyper does not poll an empty body, so that the request may be written from now on.
            progress.reach(SENDING);
        }
        Self {
            bytes: (!bytes.is_empty()).then_some(bytes),
            progress,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.bytes.take();
        if bytes.is_some() {
            // hyper polls the body after it has written the head into its buffer and before it
            // flushes that buffer.
            self.progress.reach(SENDING);
        }
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreported_progress_counts_as_sent() {
        let progress = SendProgress::default();
        assert!(progress.may_be_sent());
        progress.waiting();
        assert!(!progress.may_be_sent());
        progress.in_flight();
        assert!(!progress.may_be_sent());
        progress.reach(SENDING);
        assert!(progress.may_be_sent());
        progress.waiting();
        assert!(progress.may_be_sent());
    }
}
