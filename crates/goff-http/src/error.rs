//! The errors: [`OptionError`] and [`TransportError`].

use std::error::Error;
use std::fmt;

use goff_core::Cause;
use http::StatusCode;

/// An option that cannot be used: its name and the reason. It never contains a header value or a
/// key.
#[derive(Debug, Clone)]
pub struct OptionError {
    option: &'static str,
    reason: String,
    source: Option<Cause>,
}

/// Why there is no complete response. The texts must not contain header values.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TransportError {
    /// Nothing was written.
    NotConnected(Cause),
    /// The connection broke after the request may have been written.
    Interrupted(Cause),
    /// The body is larger than [`HttpRequest::max_response_size`](crate::HttpRequest).
    TooLarge {
        /// The status of the response.
        status: StatusCode,
    },
}

impl OptionError {
    pub(crate) fn new(option: &'static str, reason: impl Into<String>) -> Self {
        Self {
            option,
            reason: reason.into(),
            source: None,
        }
    }

    /// `source` must not quote a secret.
    #[cfg(feature = "tls")]
    pub(crate) fn with_source(
        option: &'static str,
        what: &str,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            option,
            reason: format!("{what}: {source}"),
            source: Some(std::sync::Arc::new(source)),
        }
    }

    /// The option, by the name of its setter.
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// What is wrong with the option.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}`: {}", self.option, self.reason)
    }
}

impl Error for OptionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(cause) => write!(f, "cannot connect: {cause}"),
            Self::Interrupted(cause) => write!(f, "connection interrupted: {cause}"),
            Self::TooLarge { status } => {
                write!(f, "response body too large (status {})", status.as_u16())
            }
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
