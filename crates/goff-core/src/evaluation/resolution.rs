//! The resolution of a flag, before it has a Rust type.

use std::fmt;

use serde_json::{Map, Value};

use crate::context::{map_size, text_size, value_size};

/// A flag's resolution from the relay proxy or the engine. It is shared in an `Arc`, so a cached
/// resolution is not copied.
///
/// *Specification*: GOFF-EVAL-010.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Resolution {
    /// The value; null for a disabled flag, and if a rule names a variation that does not exist.
    pub value: Value,
    /// Why this value was chosen.
    pub reason: Reason,
    /// The variant's name; `SdkDefault` for a disabled flag; `None` if the answer contained none.
    pub variant: Option<String>,
    /// Flag metadata, verbatim, including entries that the relay proxy added.
    pub metadata: Map<String, Value>,
    /// The flag's version, if the answer contains one (OFREP answers do not).
    pub version: Option<String>,
    /// Whether usage of this flag may be recorded; true if the answer does not say.
    pub track_events: bool,
    /// Whether the resolution may be cached.
    pub cacheable: bool,
}

impl Resolution {
    /// Creates a resolution that is trackable and not cacheable, without variant, metadata and
    /// version.
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

    /// Sets whether usage of this flag may be recorded.
    #[must_use]
    pub fn with_track_events(mut self, track_events: bool) -> Self {
        self.track_events = track_events;
        self
    }

    /// Sets whether the resolution may be cached.
    #[must_use]
    pub fn with_cacheable(mut self, cacheable: bool) -> Self {
        self.cacheable = cacheable;
        self
    }

    /// About how many bytes of memory the resolution keeps.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        let text = |text: &Option<String>| text.as_deref().map_or(0, text_size);
        size_of::<Self>()
            + value_size(&self.value)
            + text(&self.variant)
            + text(&self.version)
            + map_size(&self.metadata)
    }

    /// Whether the flag is disabled: callers then get their default instead of
    /// [`value`](Self::value) (docs/python-parity.md C4).
    ///
    /// *Specification*: GOFF-EVAL-008.
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

/// Why a value was chosen. An open set: a reason that is not listed becomes [`Reason::Other`],
/// unchanged (upstream `modules/core/flag/resolution_reason.go`).
///
/// *Specification*: GOFF-EVAL-007.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The flag has no targeting rules and no split.
    Static,
    /// No targeting rule matched.
    Default,
    /// A targeting rule matched.
    TargetingMatch,
    /// A targeting rule with percentages matched.
    TargetingMatchSplit,
    /// The default rule has percentages.
    Split,
    /// The resolution came from this client's cache or from another caller's request.
    Cached,
    /// An expired answer, served because the relay proxy cannot answer (option `stale_if_error`).
    Stale,
    /// The flag is disabled.
    Disabled,
    /// The evaluation failed.
    Error,
    /// The reason is unknown.
    Unknown,
    /// Any other reason, verbatim.
    Other(Box<str>),
}

impl Reason {
    /// The reason on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::TargetingMatchSplit => "TARGETING_MATCH_SPLIT",
            Self::Split => "SPLIT",
            Self::Cached => "CACHED",
            Self::Stale => "STALE",
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
            "STALE" => Self::Stale,
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

    /// GOFF-EVAL-007: known reasons have a variant, others pass unchanged.
    #[test]
    fn reason_is_read_and_written_unchanged() {
        let known = "STATIC DEFAULT TARGETING_MATCH TARGETING_MATCH_SPLIT SPLIT CACHED DISABLED ERROR \
                     UNKNOWN";
        for wire in known.split(' ') {
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
