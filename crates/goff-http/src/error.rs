//! The errors: [`InvalidOption`] and [`TransportError`].

use std::error::Error;
use std::fmt;

use goff_core::Cause;
use http::StatusCode;

/// An option that cannot be used: which one, by its name in the client's options, and why. It
/// never shows a header value or key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidOption {
    /// The option: `endpoint`, `timeout`, `custom_headers`, `api_key` or `tls`.
    pub option: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl InvalidOption {
    pub(crate) fn new(option: &'static str, reason: impl Into<String>) -> Self {
        Self {
            option,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}`: {}", self.option, self.reason)
    }
}

impl Error for InvalidOption {}

/// Why there is no whole response. Its texts must not hold header values.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TransportError {
    /// Nothing was written.
    NotConnected(Cause),
    /// The connection broke after the request may have been written.
    Interrupted(Cause),
    /// The body is larger than [`HttpRequest::max_response_size`].
    TooLarge {
        /// The response's status.
        status: StatusCode,
    },
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(cause) => write!(f, "no connection: {cause}"),
            Self::Interrupted(cause) => write!(f, "the connection broke: {cause}"),
            Self::TooLarge { status } => write!(f, "the body of the {status} is too large"),
        }
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotConnected(cause) | Self::Interrupted(cause) => Some(&**cause),
            Self::TooLarge { .. } => None,
        }
    }
}
