//! An open connection: its messages, pings and liveness.

use std::io;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use goff_core::__internal::{Watch, WatchedStream};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::error::StreamError;
use crate::handshake::Upgraded;

/// A WebSocket to the relay proxy, after the handshake.
pub(crate) struct Connection {
    socket: WebSocketStream<WatchedStream<LastRead>>,
    liveness: Duration,
    /// When the handshake was complete.
    established: Instant,
}

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A sign of life.
    Ping,
    /// A message: flags changed.
    Text(Utf8Bytes),
    /// A message of a kind that the relay proxy does not send.
    Binary,
}

impl Connection {
    pub(crate) async fn new(upgraded: Upgraded, liveness: Duration) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(0)
            // Only pongs are written. They are dropped for a server that never reads.
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(MAX_MESSAGE_SIZE))
            // The relay proxy sends most of a large message in one frame.
            .max_frame_size(Some(MAX_MESSAGE_SIZE));
        let established = Instant::now();
        let stream = WatchedStream::new(upgraded.stream, LastRead(established));
        let (read_ahead, role) = (upgraded.read_ahead, Role::Client);
        let socket =
            WebSocketStream::from_partially_read(stream, read_ahead, role, Some(config)).await;
        Self {
            socket,
            liveness,
            established,
        }
    }

    /// Waits for the next frame. The pong for a ping is written by the next call, before it reads.
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Frame, StreamError> {
        loop {
            let left = self.liveness.saturating_sub(self.silence());
            let message = match tokio::time::timeout(left, self.socket.next()).await {
                Ok(Some(message)) => message?,
                Ok(None) => return Err(StreamError::Closed { by_frame: false }),
                // Part of a large message arrived; pings are queued behind it.
                Err(_) if self.silence() < self.liveness => continue,
                Err(_) => return Err(StreamError::Silent(self.liveness)),
            };
            match message {
                Message::Text(text) => return Ok(Frame::Text(text)),
                Message::Binary(_) => return Ok(Frame::Binary),
                Message::Ping(_) | Message::Pong(_) => return Ok(Frame::Ping),
                Message::Close(_) => {
                    // Sends the closing frame, without waiting for it.
                    let _ = self.socket.flush().now_or_never();
                    return Err(StreamError::Closed { by_frame: true });
                }
                // tungstenite does not return raw frames.
                Message::Frame(_) => {}
            }
        }
    }

    /// Sends a close frame, without waiting. What the server sent before it read the frame can still
    /// be read.
    pub(crate) fn close(&mut self) {
        let _ = self.socket.close(None).now_or_never();
    }

    /// When the handshake was complete.
    pub(crate) fn established(&self) -> Instant {
        self.established
    }

    /// The age at which the connection was cut, if `error` says that it was.
    pub(crate) fn age_at_cut(&self, error: &StreamError) -> Option<Duration> {
        match error {
            StreamError::Closed { .. } | StreamError::Broken(_) => Some(self.established.elapsed()),
            // A middlebox stopped to forward it when the last byte arrived.
            StreamError::Silent(_) => Some(self.last_read() - self.established),
            _ => None,
        }
    }

    fn silence(&self) -> Duration {
        self.last_read().elapsed()
    }

    fn last_read(&self) -> Instant {
        self.socket.get_ref().watch().0
    }
}

/// When bytes last arrived, even if they are no complete frame.
struct LastRead(Instant);

impl Watch for LastRead {
    fn received(&mut self, _: &[u8]) -> io::Result<()> {
        self.0 = Instant::now();
        Ok(())
    }
}

/// 64 MiB. A message can contain the whole configuration twice, so a smaller limit would invalidate
/// everything on changes that name their flags; a larger one does invalidate everything.
const MAX_MESSAGE_SIZE: usize = 64 * 1024 * 1024;
