//! [`WatchedStream`]: a stream that shows what it receives.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::relay::ByteStream;

/// Sees what a [`WatchedStream`] receives.
pub trait Watch: Send + Unpin {
    /// Bytes have arrived, at least one. The reader gets them, or the error instead.
    ///
    /// # Errors
    /// Why the stream cannot be used.
    fn received(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A stream with something that sees what it receives.
pub struct WatchedStream<W> {
    stream: Box<dyn ByteStream>,
    watch: W,
}

impl<W> WatchedStream<W> {
    /// Wraps a stream.
    pub fn new(stream: Box<dyn ByteStream>, watch: W) -> Self {
        Self { stream, watch }
    }

    /// What sees the bytes.
    pub fn watch(&self) -> &W {
        &self.watch
    }
}

impl<W> fmt::Debug for WatchedStream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedStream").finish_non_exhaustive()
    }
}

impl<W: Watch> AsyncRead for WatchedStream<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        match buffer.filled().get(before..) {
            None | Some([]) => outcome,
            Some(received) => match self.watch.received(received) {
                Ok(()) => outcome,
                Err(error) => Poll::Ready(Err(error)),
            },
        }
    }
}

impl<W: Watch> AsyncWrite for WatchedStream<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
