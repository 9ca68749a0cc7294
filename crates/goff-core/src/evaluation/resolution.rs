//! What an evaluation gave, before it has a Rust type.

use std::fmt;

use serde_json::{Map, Value};

/// A flag's resolution as the relay proxy or the engine gave it. It is immutable and travels
/// behind an `Arc`, so that a cached answer is shared, not copied.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Resolution {
    /// The value; null for a disabled flag, or where a rule names a variation that does not exist.
    pub value: Value,
    /// Why this value.
    pub reason: Reason,
    /// The variant's name; `SdkDefault` for a disabled flag. `None` when the answer had none.
    pub variant: Option<String>,
    /// Flag metadata, verbatim, with whatever the relay proxy added (GOFF-EVAL-010).
    pub metadata: Map<String, Value>,
    /// The flag's version, where the answer carries one (OFREP does not).
    pub version: Option<String>,
    /// Whether usage of this flag may be recorded; true where the answer does not say.
    pub track_events: bool,
    /// Whether the answer may be kept for an equal evaluation.
    pub cacheable: bool,
}

impl Resolution {
    /// A value and its reason; trackable, not cacheable, without variant, metadata and version.
    pub fn new(value: impl Into<Value>, reason: Reason) -> Self {
        Self {
            value: value.into(),
            reason,
            variant: None,
            metadata: Map::new(),
            version: None,
            track_events: true,
            cacheable: false,
        }
    }

    /// Sets the value.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<Value>) -> Self {
        self.value = value.into();
        self
    }

    /// Sets the reason.
    #[must_use]
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }

    /// Sets the variant's name.
    #[must_use]
    pub fn with_variant(mut self, variant: impl Into<String>) -> Self {
        self.variant = Some(variant.into());
        self
    }

    /// Sets the flag metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the flag's version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Says whether usage of this flag may be recorded.
    #[must_use]
    pub fn with_track_events(mut self, track_events: bool) -> Self {
        self.track_events = track_events;
        self
    }

    /// Says whether the answer may be kept for an equal evaluation.
    #[must_use]
    pub fn with_cacheable(mut self, cacheable: bool) -> Self {
        self.cacheable = cacheable;
        self
    }

    /// Whether the flag is switched off: then [`value`](Self::value) is not the flag's, and every
    /// caller gets its own default (GOFF-EVAL-008, Python C4).
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.reason == Reason::Disabled
    }
}

impl Default for Resolution {
    /// A null value with unknown reason, trackable and not cacheable.
    fn default() -> Self {
        Self::new(Value::Null, Reason::Unknown)
    }
}

/// Why a value was chosen. An open set: what is not listed travels as [`Reason::Other`]
/// unchanged (GOFF-EVAL-007; upstream `modules/core/flag/resolution_reason.go`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The flag has no targeting rules and no split.
    Static,
    /// No targeting rule matched.
    Default,
    /// A targeting rule matched.
    TargetingMatch,
    /// A targeting rule matched and split its users.
    TargetingMatchSplit,
    /// The default rule split its users.
    Split,
    /// The answer came from this client's cache or from another caller's request.
    Cached,
    /// The flag is switched off.
    Disabled,
    /// The evaluation failed.
    Error,
    /// Nobody knows.
    Unknown,
    /// Any other reason, as it was sent.
    Other(Box<str>),
}

impl Reason {
    /// The reason as it is spelled on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::TargetingMatchSplit => "TARGETING_MATCH_SPLIT",
            Self::Split => "SPLIT",
            Self::Cached => "CACHED",
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
            Self::Unknown => "UNKNOWN",
            Self::Other(reason) => reason,
        }
    }
}

impl From<&str> for Reason {
    fn from(reason: &str) -> Self {
        match reason {
            "STATIC" => Self::Static,
            "DEFAULT" => Self::Default,
            "TARGETING_MATCH" => Self::TargetingMatch,
            "TARGETING_MATCH_SPLIT" => Self::TargetingMatchSplit,
            "SPLIT" => Self::Split,
            "CACHED" => Self::Cached,
            "DISABLED" => Self::Disabled,
            "ERROR" => Self::Error,
            "UNKNOWN" => Self::Unknown,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The variant of a result that was not chosen by the flag (upstream
/// `modules/core/flag/context.go`; events and disabled flags carry it).
pub const SDK_DEFAULT_VARIANT: &str = "SdkDefault";

#[cfg(test)]
mod tests {
    use super::*;

    /// GOFF-EVAL-007: known reasons have a name of their own, others pass through.
    #[test]
    fn reason_survives_reading_and_writing() {
        for wire in [
            "STATIC",
            "DEFAULT",
            "TARGETING_MATCH",
            "TARGETING_MATCH_SPLIT",
            "SPLIT",
            "CACHED",
            "DISABLED",
            "ERROR",
            "UNKNOWN",
        ] {
            let reason = Reason::from(wire);
            assert_eq!(reason.as_str(), wire);
            assert!(!matches!(reason, Reason::Other(_)), "{wire}");
        }
        for wire in ["OFFLINE", "CUSTOM_REASON", "static", ""] {
            assert_eq!(Reason::from(wire), Reason::Other(wire.into()));
            assert_eq!(Reason::from(wire).to_string(), wire);
        }
    }
}
