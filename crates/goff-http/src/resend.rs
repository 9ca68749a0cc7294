//! When to send a request a second time.
//!
//! When to send a request a second time is decided by order, not by the kind of error: a shared
//! counter ticks when a request begins to be written and when a connection reads a byte. A
//! connection that has read something, but nothing since this request began, was in use before and
//! died before any response byte.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use goff_core::ByteStream;
use http::Extensions;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::SendProgress;

/// A counter that only goes up, from 1.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The tick at which a connection last read a byte of an answer; 0 before its first. What comes
/// before the first request answers nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastRead(Arc<AtomicU64>);

pub(crate) fn last_read(connected: &Connected) -> Option<u64> {
    let mut extensions = Extensions::new();
    connected.get_extras(&mut extensions);
    let LastRead(tick) = extensions.get()?;
    Some(tick.load(Ordering::Relaxed))
}

/// A body of known length, that reports when hyper begins to write the request.
pub(crate) struct RequestBody {
    pub(crate) bytes: Option<Bytes>,
    pub(crate) progress: Arc<SendProgress>,
    pub(crate) ticks: Arc<Ticks>,
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
            // hyper asks for the body before it flushes the head that it has written into its
            // buffer, in the task that reads the connection as well.
            self.progress.sending_at(self.ticks.next());
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

pub(crate) struct PooledStream {
    pub(crate) stream: Box<dyn ByteStream>,
    /// Whether a request was begun.
    pub(crate) written: bool,
    pub(crate) last_read: LastRead,
    pub(crate) ticks: Arc<Ticks>,
}

impl Connection for PooledStream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.last_read.clone())
    }
}

impl AsyncRead for PooledStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.written && buf.filled().len() > before {
            self.last_read.0.store(self.ticks.next(), Ordering::Relaxed);
        }
        outcome
    }
}

impl AsyncWrite for PooledStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written = true;
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
