//! [`PlainStream`]: a stream that notices a server that speaks TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use goff_core::{ByteStream, ConnectionError, ConnectionProblem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream without TLS. A server that expects TLS answers plain HTTP with a TLS alert, which reads
/// as an error that says so.
pub(crate) struct PlainStream {
    stream: Box<dyn ByteStream>,
    /// The server, until it has sent something.
    unread: Option<Arc<str>>,
}

impl PlainStream {
    pub(crate) fn new(stream: Box<dyn ByteStream>, address: &Arc<str>) -> Self {
        Self {
            stream,
            unread: Some(Arc::clone(address)),
        }
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = buffer.filled().get(before..).unwrap_or_default();
        if let Some(first) = received.first()
            && let Some(address) = self.unread.take()
            && *first == TLS_ALERT
        {
            let error = ConnectionError::found(&address, ConnectionProblem::NeedsTls);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        outcome
    }
}

impl AsyncWrite for PlainStream {
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

/// The content type of a TLS record that holds an alert (RFC 8446, section 5.1). No HTTP answer
/// begins with it.
const TLS_ALERT: u8 = 21;
