//! Whether a request may have been sent, and whether a failed one may be sent again.
//!
//! The order of events decides, not the kind of error. The connections of a transport share a
//! clock, which ticks when a request begins to be written and when a connection reads. A
//! connection that has read something, but nothing since this request began, had been used before
//! and closed before the first byte of the response.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use goff_core::ByteStream;
use http::Extensions;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How far a request got. It distinguishes a timeout before the request was written, when it
/// certainly was not evaluated, from one after that.
#[derive(Debug, Default)]
pub(crate) struct SendProgress(Mutex<Progress>);

#[derive(Debug, Default, Clone, Copy)]
enum Progress {
    /// The transport does not report progress.
    #[default]
    Unreported,
    /// The transport has the request and has not begun to write it.
    Waiting,
    /// The request began to be written at this tick.
    Sending { since: u64 },
}

impl SendProgress {
    /// The transport has the request. What was sent before stays sent.
    pub(crate) fn waiting(&self) {
        let mut progress = self.lock();
        if matches!(*progress, Progress::Unreported) {
            *progress = Progress::Waiting;
        }
    }

    /// Whether the request may have been written.
    pub(crate) fn may_be_sent(&self) -> bool {
        !matches!(*self.lock(), Progress::Waiting)
    }

    fn sending(&self, since: u64) {
        *self.lock() = Progress::Sending { since };
    }

    fn sending_since(&self) -> Option<u64> {
        match *self.lock() {
            Progress::Sending { since } => Some(since),
            Progress::Unreported | Progress::Waiting => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the connection that carried a failed request had been used before and closed before the
/// first byte of the response. `connected` is absent where no connection was opened.
pub(crate) fn closed_unanswered(connected: Option<&Connected>, progress: &SendProgress) -> bool {
    let mut extensions = Extensions::new();
    if let Some(connected) = connected {
        connected.get_extras(&mut extensions);
    }
    let Some(LastRead(tick)) = extensions.get() else {
        return false;
    };
    let last_read = tick.load(Ordering::Relaxed);
    let since = progress.sending_since();
    last_read != 0 && since.is_none_or(|since| last_read < since)
}

/// Orders the events of all connections: each tick is one more than the tick before, from 1.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The tick at which a connection last read a response; 0 before the first one.
#[derive(Debug, Clone, Default)]
struct LastRead(Arc<AtomicU64>);

/// A body that reports when hyper begins to write its request.
pub(crate) struct RequestBody {
    bytes: Option<Bytes>,
    progress: Arc<SendProgress>,
    clock: Arc<Clock>,
}

impl RequestBody {
    pub(crate) fn new(bytes: Bytes, progress: Arc<SendProgress>, clock: Arc<Clock>) -> Self {
        if bytes.is_empty() {
            // hyper does not poll an empty body, so that the request may be written from now on.
            progress.sending(clock.tick());
        }
        Self {
            bytes: (!bytes.is_empty()).then_some(bytes),
            progress,
            clock,
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
            // flushes that buffer. The task that does so also reads the connection.
            self.progress.sending(self.clock.tick());
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

/// A stream that notes when it last read a response.
pub(crate) struct TrackedStream {
    stream: Box<dyn ByteStream>,
    /// What arrives before the first request is no response.
    has_written: bool,
    last_read: LastRead,
    clock: Arc<Clock>,
}

impl TrackedStream {
    pub(crate) fn new(stream: Box<dyn ByteStream>, clock: Arc<Clock>) -> Self {
        Self {
            stream,
            has_written: false,
            last_read: LastRead::default(),
            clock,
        }
    }
}

impl Connection for TrackedStream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.last_read.clone())
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.has_written && buf.filled().len() > before {
            self.last_read.0.store(self.clock.tick(), Ordering::Relaxed);
        }
        outcome
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
        assert_eq!(progress.sending_since(), None);
        progress.sending(7);
        assert!(progress.may_be_sent());
        assert_eq!(progress.sending_since(), Some(7));
        progress.waiting();
        assert!(progress.may_be_sent());
        assert_eq!(progress.sending_since(), Some(7));
    }
}
