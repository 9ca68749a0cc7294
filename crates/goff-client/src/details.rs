//! What a native evaluation hands to its caller.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use goff_core::__internal::{Projection, project, project_with};
use goff_core::{
    ContextView, EvaluationType, EventSink, FlagType, Outcome, Reason, Resolution, ResolutionError,
};
use goff_hooks::__internal::{UsageDecision, unix_seconds};
use serde::de::DeserializeOwned;
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

impl EvaluationDetails<Value> {
    /// One of many: disabled flags and failed ones have the value null.
    pub(crate) fn of_bulk(result: Result<Arc<Resolution>, ResolutionError>) -> Self {
        match result {
            Ok(resolution) => {
                let projection = if resolution.is_disabled() {
                    Projection::Disabled
                } else {
                    Projection::Value(resolution.value.clone())
                };
                Self::resolved(projection, resolution, Value::Null)
            }
            Err(error) => Self::failed(error, Value::Null),
        }
    }
}

/// What a caller asks: a flag for a context, as a type of its own, or else its default.
pub(crate) struct TypedRequest<'a, T> {
    pub(crate) flag_key: &'a str,
    /// As the caller gave it, before it is enriched.
    pub(crate) context: &'a dyn ContextView,
    default: T,
    project: Project<T>,
    default_to_json: fn(&T) -> Value,
}

/// Projects a resolution.
type Project<T> = fn(&str, &Arc<Resolution>) -> Result<Projection<T>, ResolutionError>;

impl<'a, T: FlagType> TypedRequest<'a, T> {
    pub(crate) fn typed(flag_key: &'a str, context: &'a dyn ContextView, default: T) -> Self {
        Self {
            flag_key,
            context,
            default,
            project: project::<T>,
            default_to_json: T::to_json,
        }
    }
}

impl<'a, T: DeserializeOwned> TypedRequest<'a, T> {
    pub(crate) fn deserialized(
        flag_key: &'a str,
        context: &'a dyn ContextView,
        default: T,
    ) -> Self {
        Self {
            flag_key,
            context,
            default,
            project: |flag_key, resolution| {
                project_with(flag_key, resolution, "the asked type", |value| {
                    T::deserialize(value)
                        .map_err(|error| Cow::Owned(format!("a value of another shape ({error})")))
                })
            },
            default_to_json: |_| Value::Null,
        }
    }
}

impl<T> TypedRequest<'_, T> {
    /// Gives the outcome its type, and records it.
    pub(crate) fn conclude(
        self,
        mut outcome: Outcome,
        sink: Option<&dyn EventSink>,
        evaluation_type: EvaluationType,
    ) -> EvaluationDetails<T> {
        let projection = match &outcome.result {
            Ok(resolution) => (self.project)(self.flag_key, resolution)
                .map(Some)
                .unwrap_or_else(|error| {
                    outcome.result = Err(Box::new(error));
                    None
                }),
            Err(_) => None,
        };
        if let Some(sink) = sink {
            UsageDecision::of(
                &outcome,
                self.context,
                || (self.default_to_json)(&self.default),
                evaluation_type,
                unix_seconds(),
            )
            .record_in(sink);
        }
        match (outcome.result, projection) {
            (Ok(resolution), Some(projection)) => {
                EvaluationDetails::resolved(projection, resolution, self.default)
            }
            (Ok(resolution), None) => {
                EvaluationDetails::resolved(Projection::Null, resolution, self.default)
            }
            (Err(error), _) => EvaluationDetails::failed(*error, self.default),
        }
    }
}
