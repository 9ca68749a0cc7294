//! A connection that can end with a fault instead of an answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A connection of the server.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    end: SocketEnd,
}

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The fault with which a connection ends, set by the code that answers its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketEnd(Arc<Mutex<Option<EndFault>>>);

#[derive(Clone, Debug)]
pub(super) enum EndFault {
    /// The next write resets the connection.
    Reset,
    /// The next write sends these bytes instead; later writes send nothing.
    Garbage(Vec<u8>),
}

impl SocketEnd {
    pub(super) fn set(&self, end: EndFault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            end: SocketEnd::default(),
        }
    }

    pub(super) fn end(&self) -> SocketEnd {
        self.end.clone()
    }
}

/// Calls the method of the stream, whichever it is.
macro_rules! delegate {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(&mut self.stream, poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, end } = &mut *self;
        match &mut *end.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => delegate!(stream, poll_write(context, bytes)),
            Some(EndFault::Reset) => {
                match stream {
                    // A linger time of zero sends RST instead of FIN.
                    Stream::Tcp(stream) => {
                        SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                    }
                    #[cfg(unix)]
                    Stream::Unix(_) => {}
                }
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Some(EndFault::Garbage(garbage)) => {
                while !garbage.is_empty() {
                    match delegate!(&mut *stream, poll_write(context, garbage)) {
                        Poll::Ready(Ok(written)) => drop(garbage.drain(..written)),
                        other => return other,
                    }
                }
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(&mut self.stream, poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(&mut self.stream, poll_shutdown(context))
    }
}
