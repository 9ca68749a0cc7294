//! One open connection: its messages, the answers to its pings, and whether it is still alive.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use goff_core::{ByteStream, Invalidation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::error::StreamError;
use crate::flag_change;
use crate::handshake::Upgraded;

/// A WebSocket to the relay proxy, after the handshake.
pub(crate) struct Connection {
    socket: WebSocketStream<Listened>,
    liveness: Duration,
}

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The server's heartbeat.
    Ping,
    /// A message: flags changed.
    Change(Invalidation),
}

impl Connection {
    pub(crate) async fn new(upgraded: Upgraded, liveness: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(0)
            // Only pongs are written; a server that sends pings and never reads is not waited for.
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(LARGEST_MESSAGE))
            // The relay proxy puts most of a large message into one frame.
            .max_frame_size(Some(LARGEST_MESSAGE));
        let stream = Listened {
            stream: upgraded.stream,
            heard: Instant::now(),
        };
        let socket = WebSocketStream::from_partially_read(
            stream,
            upgraded.read_ahead,
            Role::Client,
            Some(config),
        );
        Self {
            socket: socket.await,
            liveness,
        }
    }

    /// Waits for the next frame. A ping is answered when this is called again, before anything is
    /// read. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Frame, StreamError> {
        loop {
            let left = self
                .liveness
                .saturating_sub(self.socket.get_ref().heard.elapsed());
            let message = match tokio::time::timeout(left, self.socket.next()).await {
                Ok(Some(message)) => message?,
                Ok(None) => return Err(StreamError::Closed),
                // A large message arrives for a while before it is whole, and pings behind it.
                Err(_) if self.socket.get_ref().heard.elapsed() < self.liveness => continue,
                Err(_) => return Err(StreamError::Silent(self.liveness)),
            };
            match message {
                Message::Text(text) => return Ok(Frame::Change(flag_change::invalidation(&text))),
                Message::Binary(_) => return Ok(Frame::Change(Invalidation::All)),
                Message::Ping(_) | Message::Pong(_) => return Ok(Frame::Ping),
                Message::Close(_) => {
                    // Whether the answer to it goes out does not matter enough to wait for.
                    let _ = self.socket.flush().now_or_never();
                    return Err(StreamError::Closed);
                }
                // Only ever written, never read.
                Message::Frame(_) => {}
            }
        }
    }

    /// Says goodbye to the server, as far as that goes without waiting.
    pub(crate) fn close(mut self) {
        let _ = self.socket.close(None).now_or_never();
    }
}

/// Notes when something was last read, whole frame or not.
struct Listened {
    stream: Box<dyn ByteStream>,
    heard: Instant,
}

impl AsyncRead for Listened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard = Instant::now();
        }
        read
    }
}

impl AsyncWrite for Listened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A message can hold the whole configuration twice; one beyond this means "everything changed".
const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;
