//! Flags that fail the server's validation, and are not served.

use std::collections::BTreeMap;
use std::fmt::Display;

use goff_engine::__internal::{self, InOrder};
use goff_engine::{FlagSet, FlagSetError};

/// Why each flag that fails validation is left out, by flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(BTreeMap<String, String>);

impl LeftOut {
    /// The flags that a relay proxy would not serve although the engine can evaluate them. A flag
    /// that the engine cannot read is not among them: its evaluations fail with `PARSE_ERROR`, and
    /// a relay proxy may do better (GOFF-FALLBACK-001).
    pub(crate) fn of(flags: &FlagSet) -> Self {
        Self::default().refreshed(&FlagSet::default(), flags)
    }

    /// The same for later flags, where these are those of `before`. A flag that is the same is not
    /// checked again.
    pub(crate) fn refreshed(&self, before: &FlagSet, flags: &FlagSet) -> Self {
        let mut before = InOrder::new(before);
        flags
            .iter()
            .filter_map(|flag| {
                let is_same = |before| __internal::is_same(flag, before);
                let reason = match before.find(flag.key()) {
                    Some((_, before)) if is_same(before) => self.reason(flag.key())?.to_owned(),
                    _ if flag.error().is_some() => return None,
                    _ => flag.validate().err()?.to_string(),
                };
                Some((flag.key().to_owned(), reason))
            })
            .collect()
    }

    pub(crate) fn reason(&self, flag: &str) -> Option<&str> {
        self.0.get(flag).map(String::as_str)
    }

    /// Logs one warning that names the flags, unless they were left out before for the same reason.
    pub(crate) fn warn(&self, source: &dyn Display, before: Option<&Self>) {
        let known = |flag: &str, reason: &str| {
            before.is_some_and(|before| before.reason(flag) == Some(reason))
        };
        let new = self.0.iter().filter(|(flag, reason)| !known(flag, reason));
        let new: Vec<String> = new
            .map(|(flag, reason)| format!("flag `{flag}`: {reason}"))
            .collect();
        warn_of_left_out(source, &new);
    }
}

impl FromIterator<(String, String)> for LeftOut {
    /// Of several reasons the first one counts.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(reasons: I) -> Self {
        let mut left_out = BTreeMap::new();
        for (flag, reason) in reasons {
            left_out.entry(flag).or_insert(reason);
        }
        Self(left_out)
    }
}

/// Logs one warning about left-out flags, if there are any.
pub(crate) fn warn_of_left_out(source: &dyn Display, left_out: &[impl Display]) {
    if !left_out.is_empty() {
        let listed = listed(left_out);
        tracing::warn!("{source}: flags that fail validation are left out: {listed}");
    }
}

/// The first flags, and the number of the others.
pub(crate) fn listed(left_out: &[impl Display]) -> String {
    let named: Vec<String> = left_out
        .iter()
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect();
    let more = match left_out.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    named.join("; ") + &more
}

/// The most left-out flags that a warning names.
const MAX_NAMED: usize = 10;

/// Why a text of flags cannot be used. The message names every flag that fails validation, and the
/// member that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text {0}")]
pub struct FlagsError(pub(crate) TextProblem);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextProblem {
    #[error("is not a JSON object of flags by key: {0}; for YAML use `from_file`")]
    NoFlags(#[source] FlagSetError),
    /// Each flag with its reason.
    #[error("has flags that fail validation: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl FlagsError {
    /// Refuses flags that a relay proxy would not serve.
    pub(crate) fn check(flags: &FlagSet) -> Result<(), Self> {
        let invalid: Vec<String> = flags
            .iter()
            .filter_map(|flag| Some((flag.key(), flag.validate().err()?)))
            .map(|(flag, invalid)| format!("flag `{flag}`: {invalid}"))
            .collect();
        match invalid.is_empty() {
            true => Ok(()),
            false => Err(Self(TextProblem::Invalid(invalid))),
        }
    }
}
