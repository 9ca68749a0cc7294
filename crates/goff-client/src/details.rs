//! The result of a native evaluation.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use goff_core::__internal::{Projection, project, project_with};
use goff_core::{
    ContextView, EvaluationType, EventSink, FlagType, Outcome, Reason, Resolution, ResolutionError,
};
use goff_hooks::__internal::{
    Evaluated, EvaluationTelemetry, FLAG_SET_ID, UsageDecision, VERSION, unix_seconds,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The result of one evaluation: a value, and the reason for it.
///
/// The value is the flag's, or the caller's default if the flag is disabled, has the value null,
/// or could not be evaluated. Only in the last case there is an [`error`](Self::error).
#[derive(Debug, Clone)]
#[non_exhaustive]
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

    /// The reason for the value, as the evaluation gave it, or [`Reason::Error`].
    #[must_use]
    pub fn reason(&self) -> &Reason {
        match (&self.error, &self.resolution) {
            (None, Some(resolution)) => &resolution.reason,
            _ => &Reason::Error,
        }
    }

    /// The variant that was served; `SdkDefault` for a disabled flag, `None` on an error.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        match (&self.error, &self.resolution) {
            (None, Some(resolution)) => resolution.variant.as_deref(),
            _ => None,
        }
    }

    /// The metadata of the flag, unchanged; empty if the answer has none.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.resolution
            .as_ref()
            .map_or(&EMPTY, |resolution| &resolution.metadata)
    }

    /// The version of the flag, if the answer has one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.resolution.as_ref()?.version.as_deref()
    }

    /// The error; `None` for a disabled flag or the value null.
    #[must_use]
    pub fn error(&self) -> Option<&ResolutionError> {
        self.error.as_ref()
    }

    /// `to_json` gives null for a type that need not serialize.
    #[cold]
    fn emit(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        telemetry: &EvaluationTelemetry,
        to_json: fn(&T) -> Value,
    ) {
        let text = |name| self.metadata().get(name).and_then(text_of);
        let error = self.error.as_ref();
        let evaluated = Evaluated {
            flag_key,
            provider: PROVIDER_NAME,
            variant: self.variant(),
            reason: Cow::Borrowed(self.reason()),
            error: error.map(|error| (error.code(), Some(Cow::Owned(error.to_string())))),
            version: self.version().map(Cow::Borrowed).or_else(|| text(VERSION)),
            set_id: text(FLAG_SET_ID),
            context_id: context.targeting_key(),
        };
        telemetry.evaluated(&evaluated, || {
            let served = Some(to_json(&self.value)).filter(|value| !value.is_null());
            let resolved = || Some(self.resolution.as_ref()?.value.clone());
            served.or_else(|| resolved().filter(|value| error.is_none() && !value.is_null()))
        });
    }

    /// Whether the flag is disabled, so that the value is the caller's default.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        *self.reason() == Reason::Disabled
    }
}

impl EvaluationDetails<Value> {
    /// One result of many: disabled and failed flags have the value null.
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

fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A request to evaluate a flag for a context as type `T`.
pub(crate) struct TypedRequest<'a, T> {
    pub(crate) flag_key: &'a str,
    /// The context before enrichment.
    pub(crate) context: &'a dyn ContextView,
    default: T,
    project: Project<T>,
    default_to_json: fn(&T) -> Value,
}

/// Converts a resolution into the requested type.
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
                project_with(flag_key, resolution, "the requested type", |value| {
                    T::deserialize(value)
                        .map_err(|error| Cow::Owned(format!("a value of another shape ({error})")))
                })
            },
            default_to_json: |_| Value::Null,
        }
    }
}

impl<T> TypedRequest<'_, T> {
    /// Converts the outcome into the requested type, and records it.
    pub(crate) fn conclude(
        self,
        mut outcome: Outcome,
        sink: Option<&dyn EventSink>,
        telemetry: Option<&EvaluationTelemetry>,
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
        let details = match (outcome.result, projection) {
            (Ok(resolution), Some(projection)) => {
                EvaluationDetails::resolved(projection, resolution, self.default)
            }
            (Ok(resolution), None) => {
                EvaluationDetails::resolved(Projection::Null, resolution, self.default)
            }
            (Err(error), _) => EvaluationDetails::failed(*error, self.default),
        };
        if let Some(telemetry) = telemetry {
            details.emit(self.flag_key, self.context, telemetry, self.default_to_json);
        }
        details
    }
}

/// The name of the provider in OpenFeature and in telemetry (GOFF-META-001).
pub const PROVIDER_NAME: &str = "GO Feature Flag Provider";
