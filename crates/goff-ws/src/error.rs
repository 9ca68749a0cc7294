//! The errors: [`ListenerError`], and why there is no stream. No text contains the URL, the request
//! or text of the server.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use goff_core::NoRuntimeError;
use http::StatusCode;
use tokio_tungstenite::tungstenite;

/// Why a listener did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenerError {
    /// There is no Tokio runtime.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntimeError),
    /// The URL with the API key is longer than a URL can be.
    #[error("option `api_key`: the key is too long for a URL")]
    KeyTooLong,
    /// A header that cannot be sent. The text names the header, never its value.
    #[error("option `custom_header`: {0}")]
    CustomHeader(String),
}

/// Why an attempt failed or a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// Connecting and the handshake took too long.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error("cannot connect: {}", WithCauses(.0))]
    Connect(#[source] io::Error),
    /// The connection broke during the handshake.
    #[error("handshake failed: {}", WithCauses(.0))]
    Handshake(#[source] hyper::Error),
    /// The response to the handshake has another status than 101.
    #[error("handshake refused with status {}{}", .status.as_u16(), hint(*.status))]
    Refused {
        status: StatusCode,
        /// How long the server wants no further attempt.
        retry_after: Option<Duration>,
    },
    /// The response has status 101, but does not match the handshake.
    #[error("the response to the handshake {0}")]
    NotWebSocket(&'static str),
    /// With or without a close frame.
    #[error("the server closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("connection broken: {0}")]
    Broken(#[source] io::Error),
    /// The server sent an invalid or too large message; it may have announced a change.
    #[error("unreadable message: {0}")]
    Unreadable(#[source] tungstenite::Error),
    /// Nothing arrived for this long, not even a ping.
    #[error("nothing received for {0:?}")]
    Silent(Duration),
}

impl StreamError {
    /// Whether the server refused the credentials.
    pub(crate) fn is_refusal(&self) -> bool {
        let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        matches!(self, Self::Refused { status, .. } if refusals.contains(status))
    }

    /// Whether the server has no stream at the address.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// How long the server wants no further attempt.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
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

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => " (check the API key)",
        StatusCode::NOT_FOUND => {
            " at both addresses of the stream (check the path prefix of the endpoint)"
        }
        _ => "",
    }
}

/// Writes an error and its causes, which hyper leaves out of its texts.
struct WithCauses<'a, E>(&'a E);

impl<E: Error> fmt::Display for WithCauses<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
