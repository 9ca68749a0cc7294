//! The seam below HTTP and WebSocket: one stream to the relay proxy.

use std::fmt;
use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Opens streams to one endpoint: over TCP, TLS, a Unix socket, or a test's own pipe.
///
/// Called whenever a request finds no idle connection, concurrently, and dropped unfinished when
/// the request's time is over. The stream speaks HTTP/1.1 in clear; whatever secures it is inside.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync {
    /// Opens one stream.
    ///
    /// # Errors
    /// Whatever kept it from opening; nothing has been sent to the server by then.
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>>;
}

/// A bidirectional stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}
