//! The seam below HTTP and WebSocket: a stream to the relay proxy.

use std::fmt;
use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Opens streams to one endpoint: over TCP, TLS, a Unix socket, or an in-memory pipe in a test.
///
/// Called concurrently, in tasks of the tokio runtime on which the stream is used, for requests
/// without an idle connection and for the change stream. The future is dropped when the timeout of
/// the client has passed, and with the client. The stream carries plain HTTP/1.1; encryption is the connector's part.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync {
    /// Opens one stream.
    ///
    /// # Errors
    /// Why the stream was not opened. No part of the request was sent.
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>>;
}

/// A bidirectional stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}
