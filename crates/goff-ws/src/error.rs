//! Why there is no stream. Nothing here quotes the URL, the request or the server's words.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;
use tokio_tungstenite::tungstenite;

/// Why an attempt failed or a connection ended.
#[derive(Debug)]
pub(crate) enum StreamError {
    /// Connecting and the handshake took too long.
    TimedOut(Duration),
    /// No connection came about.
    Connect(io::Error),
    /// The connection broke during the handshake.
    Handshake(hyper::Error),
    /// The handshake was answered, and not with 101.
    Answered(StatusCode),
    /// The answer was 101, yet not to this handshake.
    NotWebSocket(&'static str),
    /// The server closed the connection, with a close frame or without.
    Closed,
    /// Reading or writing failed.
    Broken(io::Error),
    /// Something arrived that is no message, or one too large: a change may be lost with it.
    Unreadable(tungstenite::Error),
    /// Nothing arrived for this long, not even the server's pings.
    Silent(Duration),
}

impl StreamError {
    /// Whether credentials were refused, which no waiting mends.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Answered(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        )
    }
}

impl From<tungstenite::Error> for StreamError {
    fn from(error: tungstenite::Error) -> Self {
        use tungstenite::error::ProtocolError;
        match error {
            tungstenite::Error::Io(error) => Self::Broken(error),
            tungstenite::Error::ConnectionClosed
            | tungstenite::Error::AlreadyClosed
            | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::Closed
            }
            error => Self::Unreadable(error),
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "no connection within {limit:?}"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Handshake(error) => {
                write!(f, "handshake failed: {error}")?;
                // hyper's own text leaves the cause out.
                error
                    .source()
                    .map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            Self::Answered(status) => {
                write!(f, "the handshake was answered {}", status.as_u16())?;
                match *status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        f.write_str(" (is the API key right?)")
                    }
                    StatusCode::NOT_FOUND => f.write_str(
                        " at both addresses of the stream (is the path prefix of the endpoint right?)",
                    ),
                    _ => Ok(()),
                }
            }
            Self::NotWebSocket(why) => write!(f, "the handshake's answer {why}"),
            Self::Closed => f.write_str("the server closed the connection"),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Unreadable(error) => write!(f, "unreadable message: {error}"),
            Self::Silent(limit) => write!(f, "nothing arrived for {limit:?}"),
        }
    }
}
