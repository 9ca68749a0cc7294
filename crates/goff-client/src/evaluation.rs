//! What a native evaluation hands to its caller.

use std::sync::{Arc, LazyLock};

use goff_core::{Projection, Reason, Resolution, ResolutionError};
use serde_json::{Map, Value};

/// The result of one evaluation: a value in any case, and why it is this one.
///
/// The value is the flag's, or the caller's default where the flag is disabled, gave null, or
/// could not be evaluated; only the last of these has an [`error`](Self::error).
#[derive(Debug, Clone)]
pub struct EvaluationDetails<T> {
    /// The value to use.
    pub value: T,
    resolution: Option<Arc<Resolution>>,
    error: Option<ResolutionError>,
}

impl<T> EvaluationDetails<T> {
    pub(crate) fn resolved(
        projection: Projection<T>,
        resolution: Arc<Resolution>,
        default: T,
    ) -> Self {
        Self {
            value: match projection {
                Projection::Value(value) => value,
                Projection::Disabled | Projection::Null => default,
            },
            resolution: Some(resolution),
            error: None,
        }
    }

    pub(crate) fn failed(error: ResolutionError, default: T) -> Self {
        Self {
            value: default,
            resolution: error.resolution().cloned(),
            error: Some(error),
        }
    }

    /// Why this value: the flag's reason verbatim, or [`Reason::Error`].
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match (&self.error, &self.resolution) {
            (None, Some(resolution)) => &resolution.reason,
            _ => &Reason::Error,
        }
    }

    /// The variant that was served; `SdkDefault` for a disabled flag, none on an error.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        match (&self.error, &self.resolution) {
            (None, Some(resolution)) => resolution.variant.as_deref(),
            _ => None,
        }
    }

    /// Flag metadata, verbatim and whole; empty where the answer had none.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.resolution
            .as_ref()
            .map_or(&EMPTY, |resolution| &resolution.metadata)
    }

    /// The flag's version, where the answer carries one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.resolution.as_ref()?.version.as_deref()
    }

    /// What went wrong; none for a disabled flag or a null value.
    #[must_use]
    pub fn error(&self) -> Option<&ResolutionError> {
        self.error.as_ref()
    }

    /// Whether the flag is switched off, so that the value is the caller's default.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        *self.reason() == Reason::Disabled
    }
}
