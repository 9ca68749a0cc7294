//! What failed in the background of a client.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use goff_core::{Cause, NoRuntimeError};
use serde::{Serialize, Serializer};

/// Something that failed in the background, beside evaluations: loading flags, or the change
/// stream. The message is complete; [`source`](Error::source) gives the cause to programs, such
/// as a [`RelayError`](crate::RelayError).
///
/// Two errors are equal if their messages are. Serializes as its message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientError {
    /// The flags could not be loaded from the relay proxy, or from the flag file (in-process
    /// evaluation).
    Configuration(Cause),
    /// The change stream is down.
    Stream(Cause),
    /// The relay proxy does not answer the requests of evaluations (remote evaluation).
    Unanswered(Cause),
    /// The tokio runtime on which the client was started has ended, or the client could not be
    /// started.
    Runtime(Cause),
}

impl ClientError {
    pub(crate) fn runtime(cause: NoRuntimeError) -> Self {
        Self::Runtime(Arc::new(cause))
    }

    pub(crate) fn stream(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Stream(Arc::new(cause))
    }

    #[cfg(feature = "in-process")]
    pub(crate) fn configuration(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Configuration(Arc::new(cause))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(cause) => write!(f, "flags not loaded: {cause}"),
            Self::Stream(cause) => write!(f, "change stream down: {cause}"),
            Self::Unanswered(cause) => write!(f, "requests are not answered: {cause}"),
            Self::Runtime(cause) => write!(f, "no background tasks: {cause}"),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Configuration(cause)
            | Self::Stream(cause)
            | Self::Unanswered(cause)
            | Self::Runtime(cause) => Some(&**cause),
        }
    }
}

impl PartialEq for ClientError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for ClientError {}

impl Serialize for ClientError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
