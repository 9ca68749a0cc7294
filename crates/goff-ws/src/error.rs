//! The errors: [`ListenerError`], and why there is no stream. No text contains the URL, the request
//! or text of the server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::Panicked;
use goff_core::{NoRuntimeError, RelayError};
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
    /// There is no connection, or it broke during the handshake, or both took too long, or the header
    /// provider failed; in the words that requests use.
    #[error(transparent)]
    NotOpened(#[from] RelayError),
    /// The response to the handshake has another status than 101.
    #[error("{error}{}", hint(*.status, *.after_the_other))]
    Refused {
        /// In the words that requests use.
        error: RelayError,
        status: StatusCode,
        /// How long the server wants no further attempt.
        retry_after: Option<Duration>,
        /// Whether the other address of the stream was not found before.
        after_the_other: bool,
    },
    /// The response has status 101, but does not match the handshake.
    #[error("the response to the handshake {0}")]
    NotWebSocket(&'static str),
    /// By a close frame, or by the end of the bytes alone.
    #[error("the server closed the connection")]
    Closed { by_frame: bool },
    /// Reading or writing failed.
    #[error("connection broken: {0}")]
    Broken(#[source] io::Error),
    /// The server sent an invalid or too large message; it may have announced a change.
    #[error("unreadable message: {0}")]
    Unreadable(#[source] tungstenite::Error),
    /// A stream that was open failed; which one.
    #[error("change stream from {server} lost: {error}")]
    Lost {
        server: Arc<str>,
        #[source]
        error: Box<StreamError>,
    },
    /// Nothing arrived for this long, not even a ping.
    #[error("nothing received for {} ms, not even a ping", .0.as_millis())]
    Silent(Duration),
    /// The sink, the connector or this crate panicked.
    #[error(transparent)]
    Panicked(Panicked),
}

impl StreamError {
    /// The same error, which names the server.
    pub(crate) fn at(self, server: &Arc<str>) -> Self {
        match self {
            Self::NotOpened(_) | Self::Refused { .. } | Self::Lost { .. } | Self::Panicked(_) => {
                self
            }
            error => Self::Lost {
                server: Arc::clone(server),
                error: Box::new(error),
            },
        }
    }

    /// The error of the second address that was tried.
    pub(crate) fn after_the_other(mut self) -> Self {
        if let Self::Refused {
            after_the_other, ..
        } = &mut self
        {
            *after_the_other = true;
        }
        self
    }

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
                Self::Closed { by_frame: false }
            }
            error => Self::Unreadable(error),
        }
    }
}

fn hint(status: StatusCode, after_the_other: bool) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => "",
        StatusCode::NOT_FOUND if after_the_other => {
            "; the other address of the stream is not there either"
        }
        StatusCode::NOT_FOUND => {
            "; relay proxies before 1.53.0 have only the address that `disable_deprecated_stream` rules out"
        }
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => "",
        _ => "; does a gateway on the way support WebSocket?",
    }
}
