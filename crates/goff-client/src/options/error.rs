//! Errors of options and of initialization.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use goff_core::{NoRuntimeError, RelayError};

use crate::status::check_error::CheckError;

/// An option that cannot be used. It names the option and the reason, and quotes no secret.
/// [`source`](Error::source) gives the cause, if there is one. `Debug` is the message too, as of a
/// `main` that returns the error.
#[derive(Clone, thiserror::Error)]
#[error("option `{option}` {reason}")]
pub struct OptionsError {
    option: &'static str,
    reason: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl OptionsError {
    pub(crate) fn new(option: &'static str, reason: impl Display) -> Self {
        Self {
            option,
            reason: reason.to_string(),
            source: None,
        }
    }

    pub(crate) fn caused(option: &'static str, cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(option, &cause).caused_by(cause)
    }

    pub(crate) fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(cause));
        self
    }

    pub(crate) fn conflict(option: &'static str, other: &str) -> Self {
        Self::new(
            option,
            format_args!("has no effect beside `{other}`; set one of the two"),
        )
    }

    /// Refuses the first of `options` that is set.
    pub(crate) fn refuse_set(options: &[(&'static str, bool)], beside: &str) -> Result<(), Self> {
        match options.iter().find(|(_, is_set)| *is_set) {
            Some((option, _)) => Err(Self::conflict(option, beside)),
            None => Ok(()),
        }
    }

    /// Refuses a duration of zero, which `reason` explains.
    pub(crate) fn refuse_zero(
        option: &'static str,
        duration: Option<Duration>,
        reason: &str,
    ) -> Result<(), Self> {
        match duration {
            Some(Duration::ZERO) => Err(Self::new(option, reason)),
            _ => Ok(()),
        }
    }

    /// The option's name, as in [`GoFeatureFlagOptions`](crate::GoFeatureFlagOptions).
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Debug for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Why a client could not be initialized. `Debug` is the message too.
///
/// *Specification*: GOFF-EVT-007.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InitializeError {
    /// An option cannot be used; nothing was sent.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// There is no tokio runtime for the background tasks, or it lacks timers or I/O.
    #[error(transparent)]
    NoRuntime(NoRuntimeError),
    /// The relay proxy refused to hand out its flags three times in a row: 401 or 403 (in-process
    /// evaluation). Any other failure to load them is retried, and no error here.
    #[error("flag configuration not loaded: {0}")]
    Refused(#[source] RelayError),
    /// [`connect_checked`](crate::GoFeatureFlag::connect_checked) found that nothing could be
    /// evaluated.
    #[error("flags cannot be evaluated: {0}")]
    Unusable(#[source] CheckError),
}

impl Debug for InitializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a `main` prints that returns the error.
    #[test]
    fn debug_is_the_message() {
        let error = OptionsError::new("timeout", "is zero");
        assert_eq!(format!("{error:?}"), "option `timeout` is zero");
        let error = InitializeError::from(error);
        assert_eq!(format!("{error:?}"), "option `timeout` is zero");
    }
}
