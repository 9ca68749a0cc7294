//! [`Evaluated`]: what is told of one evaluation.

use std::borrow::Cow;

use goff_core::{ErrorCode, Reason};

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
    /// The code and the message of the failure.
    pub error: Option<(ErrorCode, Option<Cow<'a, str>>)>,
    /// The version of the flag.
    pub version: Option<Cow<'a, str>>,
    /// The flag set.
    pub set_id: Option<Cow<'a, str>>,
    /// The targeting key: personal data.
    pub context_id: Option<&'a str>,
}

/// A member of the flag metadata that OpenFeature gives a meaning (appendix D of its specification).
pub const FLAG_SET_ID: &str = "flagSetId";
/// As [`FLAG_SET_ID`].
pub const VERSION: &str = "version";
