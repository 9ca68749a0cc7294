//! The result of a native evaluation.

use std::borrow::{Borrow, Cow};
use std::sync::{Arc, LazyLock};

use goff_core::__internal::{FlagKeyRef, OutcomeRef, Projection, project, project_with};
use goff_core::{
    ContextView, EvaluationType, EventSink, ExporterMetadata, FlagType, Origin, Outcome, Reason,
    Resolution, ResolutionError,
};
use goff_hooks::__internal::{
    Evaluated, EvaluationTelemetry, FLAG_SET_ID, Failure, UsageDecision, VERSION, unix_seconds,
};
use serde::de::{Deserialize, DeserializeOwned};
use serde_json::{Map, Value};

use crate::client::panicked::caught;

/// The result of one evaluation: a value, and the reason for it.
///
/// The value is the flag's, or the caller's default if the flag is disabled, has the value null,
/// or could not be evaluated. Only in the last case there is an [`error`](Self::error).
///
/// `R` is how the rest is held: shared, or borrowed from a [`Snapshot`](crate::Snapshot)
/// ([`EvaluationDetailsRef`]).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvaluationDetails<T, R = Arc<Resolution>> {
    /// The value to use.
    pub value: T,
    /// `None` with an error.
    resolution: Option<R>,
    error: Option<ResolutionError>,
}

/// [`EvaluationDetails`] that borrow from a [`Snapshot`](crate::Snapshot).
/// [`into_owned`](EvaluationDetails::into_owned) gives details that outlive it.
pub type EvaluationDetailsRef<'a, T> = EvaluationDetails<T, &'a Arc<Resolution>>;

impl<T, R> EvaluationDetails<T, R> {
    pub(crate) fn resolved(projection: Projection<T>, resolution: R, default: T) -> Self {
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
            resolution: None,
            error: Some(error),
        }
    }

    /// The error; `None` for a disabled flag or the value null.
    #[must_use]
    pub fn error(&self) -> Option<&ResolutionError> {
        self.error.as_ref()
    }
}

impl<T, R: Borrow<Arc<Resolution>>> EvaluationDetails<T, R> {
    /// The reason for the value, as the evaluation gave it, or [`Reason::Error`].
    #[must_use]
    pub fn reason(&self) -> &Reason {
        self.resolved_with()
            .map_or(&Reason::Error, |resolution| &resolution.reason)
    }

    /// The variant that was served; `SdkDefault` for a disabled flag, `None` on an error.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        self.resolved_with()?.variant.as_deref()
    }

    /// The metadata of the flag, unchanged; empty if the answer has none.
    #[must_use]
    pub fn metadata(&self) -> &Map<String, Value> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.answer()
            .map_or(&EMPTY, |resolution| &resolution.metadata)
    }

    /// The version of the flag, if the answer has one.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.answer()?.version.as_deref()
    }

    /// Whether the flag is disabled, so that the value is the caller's default.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        *self.reason() == Reason::Disabled
    }

    /// The resolution, unless there is an error.
    fn resolved_with(&self) -> Option<&Arc<Resolution>> {
        self.resolution.as_ref().map(Borrow::borrow)
    }

    /// The resolution, or the one that came with the error.
    fn answer(&self) -> Option<&Arc<Resolution>> {
        match &self.error {
            None => self.resolved_with(),
            Some(error) => error.resolution(),
        }
    }

    /// `to_json` gives null for a type that need not serialize.
    #[cold]
    fn emit(
        &self,
        flag_key: &str,
        context_id: Option<&str>,
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
            failure: error.map(|error| Failure::Known(Cow::Borrowed(error))),
            version: self.version().map(Cow::Borrowed).or_else(|| text(VERSION)),
            set_id: text(FLAG_SET_ID),
            context_id,
        };
        telemetry.evaluated(&evaluated, || {
            let served = Some(to_json(&self.value)).filter(|value| !value.is_null());
            let resolved = || Some(self.resolved_with()?.value.clone());
            served.or_else(|| resolved().filter(|value| !value.is_null()))
        });
    }
}

impl<T> EvaluationDetailsRef<'_, T> {
    /// The same details, independent of the snapshot.
    #[must_use]
    pub fn into_owned(self) -> EvaluationDetails<T> {
        EvaluationDetails {
            value: self.value,
            resolution: self.resolution.map(Arc::clone),
            error: self.error,
        }
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

/// A request to evaluate a flag for a context as type `T`, to which `P` converts a resolution.
pub(crate) struct TypedRequest<'a, T, P = Project<T>> {
    pub(crate) flag_key: &'a str,
    /// The context before enrichment.
    pub(crate) context: &'a dyn ContextView,
    default: T,
    project: P,
    default_to_json: fn(&T) -> Value,
}

/// Converts a resolution into the requested type.
pub(crate) type Project<T> = fn(&str, &Arc<Resolution>) -> Projected<T>;

/// As [`Project`], into a type that may borrow from the resolution.
pub(crate) type ProjectRef<'r, T> = fn(&str, &'r Arc<Resolution>) -> Projected<T>;

type Projected<T> = Result<Projection<T>, ResolutionError>;

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
            project: |flag_key, resolution| deserialize(flag_key, resolution),
            default_to_json: |_| Value::Null,
        }
    }
}

impl<'a, 'r, T: Deserialize<'r>> TypedRequest<'a, T, ProjectRef<'r, T>> {
    /// As [`deserialized`](TypedRequest::deserialized), as a type that may borrow.
    pub(crate) fn borrowed(flag_key: &'a str, context: &'a dyn ContextView, default: T) -> Self {
        Self {
            flag_key,
            context,
            default,
            project: deserialize::<T>,
            default_to_json: |_| Value::Null,
        }
    }
}

fn deserialize<'r, T: Deserialize<'r>>(
    flag_key: &str,
    resolution: &'r Arc<Resolution>,
) -> Projected<T> {
    project_with(flag_key, resolution, "the requested type", |value| {
        T::deserialize(value)
            .map_err(|error| Cow::Owned(format!("a value of another shape ({error})")))
    })
}

/// The result of an evaluation that borrows from the flags, and its origin.
pub(crate) struct BorrowedOutcome<'k, 'r> {
    pub(crate) flag_key: FlagKeyRef<'k>,
    pub(crate) result: Result<&'r Arc<Resolution>, Box<ResolutionError>>,
    pub(crate) origin: Origin,
}

impl<'k> BorrowedOutcome<'k, '_> {
    pub(crate) fn failed(flag_key: &'k str, error: ResolutionError, origin: Origin) -> Self {
        Self {
            flag_key: FlagKeyRef::Text(flag_key),
            result: Err(Box::new(error)),
            origin,
        }
    }

    #[cfg(feature = "in-process")]
    pub(crate) fn into_owned(self) -> Outcome {
        Outcome::new(self.flag_key, self.result.map(Arc::clone), self.origin)
    }
}

/// Where evaluations are recorded, and as what.
#[derive(Clone, Copy)]
pub(crate) struct Recording<'a> {
    pub(crate) sink: Option<&'a dyn EventSink>,
    pub(crate) telemetry: Option<&'a EvaluationTelemetry>,
    pub(crate) exporter_metadata: &'a ExporterMetadata,
    pub(crate) evaluation_type: EvaluationType,
}

/// What evaluations of some flags are recorded by.
pub(crate) trait Recorder: Send + Sync {
    fn recording(&self) -> Recording<'_>;
}

impl<'r, T> TypedRequest<'_, T, ProjectRef<'r, T>> {
    /// Evaluates by reading, on this thread, and records it.
    pub(crate) fn evaluate<'k>(
        self,
        recording: Recording<'_>,
        read: impl FnOnce() -> BorrowedOutcome<'k, 'r>,
    ) -> EvaluationDetailsRef<'r, T> {
        let telemetry = recording.telemetry;
        let _active = telemetry.map(|telemetry| telemetry.active(self.flag_key, PROVIDER_NAME));
        let outcome = read();
        let projected = outcome.result.and_then(|resolution| {
            let projection = (self.project)(self.flag_key, resolution)?;
            Ok((resolution, projection))
        });
        self.recorded(outcome.flag_key, projected, outcome.origin, recording)
    }
}

impl<T> TypedRequest<'_, T> {
    /// Converts the outcome into the requested type, and records it.
    pub(crate) fn conclude(
        self,
        outcome: Outcome,
        recording: Recording<'_>,
    ) -> EvaluationDetails<T> {
        let projected = outcome.result.and_then(|resolution| {
            let projection = (self.project)(self.flag_key, &resolution)?;
            Ok((resolution, projection))
        });
        let flag_key = FlagKeyRef::Owned(outcome.flag_key);
        self.recorded(flag_key, projected, outcome.origin, recording)
    }
}

impl<T, P> TypedRequest<'_, T, P> {
    fn recorded<R: Borrow<Arc<Resolution>>>(
        self,
        flag_key: FlagKeyRef<'_>,
        mut projected: Result<(R, Projection<T>), Box<ResolutionError>>,
        origin: Origin,
        recording: Recording<'_>,
    ) -> EvaluationDetails<T, R> {
        let mut context_id = None;
        if recording.sink.is_some() || recording.telemetry.is_some() {
            let recorded = caught(self.flag_key, || {
                context_id = recording
                    .telemetry
                    .and_then(|_| self.context.targeting_key());
                if let Some(sink) = recording.sink {
                    let result = match &projected {
                        Ok((resolution, _)) => Ok(resolution.borrow()),
                        Err(error) => Err(&**error),
                    };
                    UsageDecision::of(
                        OutcomeRef {
                            flag_key,
                            result,
                            origin,
                        },
                        self.context,
                        || (self.default_to_json)(&self.default),
                        recording.evaluation_type,
                        unix_seconds(),
                    )
                    .record_in(sink);
                }
            });
            if let Err(error) = recorded {
                recording.sink.into_iter().for_each(EventSink::note_unknown);
                projected = Err(Box::new(error));
            }
        }
        let details = match projected {
            Ok((resolution, projection)) => {
                EvaluationDetails::resolved(projection, resolution, self.default)
            }
            Err(error) => EvaluationDetails::failed(*error, self.default),
        };
        if let Some(telemetry) = recording.telemetry {
            details.emit(self.flag_key, context_id, telemetry, self.default_to_json);
        }
        details
    }
}

/// The name of the provider in OpenFeature and in telemetry.
///
/// *Specification*: GOFF-META-001.
pub const PROVIDER_NAME: &str = "GO Feature Flag Provider";
