//! [`Evaluated`]: what is emitted of one evaluation.

use std::borrow::Cow;

use goff_core::__internal::flag_not_found;
use goff_core::{ErrorCode, Reason, RelayError, ResolutionError};

/// An evaluation that has ended.
#[derive(Debug)]
pub struct Evaluated<'a> {
    /// The flag's key.
    pub flag_key: &'a str,
    /// The name of the provider.
    pub provider: &'a str,
    /// The variant that was served.
    pub variant: Option<&'a str>,
    /// Why the value was served.
    pub reason: Cow<'a, Reason>,
    /// Why it failed.
    pub failure: Option<Failure<'a>>,
    /// The version of the flag.
    pub version: Option<Cow<'a, str>>,
    /// The flag set.
    pub set_id: Option<Cow<'a, str>>,
    /// The targeting key: personal data.
    pub context_id: Option<&'a str>,
}

/// Why an evaluation failed.
#[derive(Debug)]
pub enum Failure<'a> {
    /// It is known which parts of the message are a server's.
    Known(Cow<'a, ResolutionError>),
    /// The code and message of any provider.
    Unknown(ErrorCode, Option<&'a str>),
}

impl Failure<'_> {
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::Known(error) => error.code(),
            Self::Unknown(code, _) => code.clone(),
        }
    }

    /// The message. Unless `with_quotes`, without what may quote the value or the evaluation context:
    /// the texts of a server, of another provider, and of the decoder of a value.
    pub(super) fn message(&self, flag_key: &str, with_quotes: bool) -> Option<String> {
        match self {
            Self::Unknown(_, message) => message.filter(|_| with_quotes).map(str::to_owned),
            Self::Known(error) if with_quotes => Some(error.to_string()),
            Self::Known(error) => match &**error {
                ResolutionError::TypeMismatch { .. } => None,
                // In process the details may quote a rule that fails validation.
                ResolutionError::Relay(RelayError::Evaluation(failure))
                | ResolutionError::InProcess(failure)
                    if failure.code == ErrorCode::FlagNotFound =>
                {
                    Some(flag_not_found(flag_key))
                }
                error => Some(error.without_server_texts().to_string()),
            },
        }
    }
}

/// A member of the flag metadata that OpenFeature gives a meaning (appendix D of its specification).
pub const FLAG_SET_ID: &str = "flagSetId";
/// As [`FLAG_SET_ID`].
pub const VERSION: &str = "version";
