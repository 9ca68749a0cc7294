//! Usage data as an OpenFeature hook, in two forms.

use std::fmt;
use std::sync::Arc;

use goff_core::__internal::{GoFeatureFlagAttribute, value_to_json};
use goff_core::{
    EvaluationType, EventSink, EventSource, FeatureEvent, NULL_VALUE, Outcome, Reason, Resolution,
    is_disabled,
};
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode, EvaluationReason,
    FlagMetadataValue, HookContext, Value,
};

use super::sync_hook::{Stage, SyncHook, complete, implement_hook};
use crate::usage::{UsageDecision, context_kind, unix_seconds, user_key};

/// Records the evaluations that the relay proxy does not record.
///
/// [`new`](Self::new) creates the form for any provider. It decides by reason and error alone,
/// because the SDK gives a hook nothing else: it records each result with reason `CACHED` and each
/// error, except an error that says that the flag is disabled or its value null. An error that the
/// relay proxy has recorded too is counted twice, and so is a cache hit after which the `after`
/// stage of another hook failed.
///
/// `goff-provider` registers another form. It takes the outcome that the resolver left in the
/// context, once, in the first of the stages `after` and `error`, and records what the relay proxy
/// has not. Without an outcome nothing was evaluated, and nothing is recorded.
///
/// *Specification*: GOFF-HOOK-005, GOFF-HOOK-006.
pub struct DataCollectorHook {
    sink: Option<Arc<dyn EventSink>>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// For any provider: decides by reason and error.
    Plain,
    /// For goff-provider: decides by the outcome in the context's slot.
    WithSlot(EvaluationType),
}

impl DataCollectorHook {
    /// Creates the form for any provider. `sink` is an [`EventPublisher`](crate::EventPublisher) or
    /// a custom sink.
    #[must_use]
    pub fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink: Some(sink),
            form: Form::Plain,
        }
    }

    /// Creates the form for goff-provider. Without a sink data collection is disabled: the hook is
    /// registered and records nothing.
    pub(super) fn with_slot(
        sink: Option<Arc<dyn EventSink>>,
        evaluation_type: EvaluationType,
    ) -> Self {
        Self {
            sink,
            form: Form::WithSlot(evaluation_type),
        }
    }

    fn collect(
        &self,
        context: &HookContext<'_>,
        result: Result<&EvaluationDetails<Value>, &EvaluationError>,
    ) {
        let Some(sink) = &self.sink else { return };
        match self.form {
            Form::WithSlot(evaluation_type) => {
                let context = context.evaluation_context;
                let decision = read_outcome_once(context, |outcome| {
                    // The SDK does not pass the caller's default to hooks, so it is null.
                    let default = || serde_json::Value::Null;
                    let (outcome, now) = (outcome.into(), unix_seconds());
                    UsageDecision::of(outcome, context, default, evaluation_type, now)
                });
                if let Some(decision) = decision {
                    decision.record_in(&**sink);
                }
            }
            Form::Plain => {
                if let Some(event) = plain_event(context, result) {
                    sink.record(event.into());
                }
            }
        }
    }
}

fn read_outcome_once<T>(
    context: &EvaluationContext,
    read: impl FnOnce(&Outcome) -> T,
) -> Option<T> {
    GoFeatureFlagAttribute::find(context)?
        .slot()
        .read_once(read)
}

fn plain_event(
    context: &HookContext<'_>,
    result: Result<&EvaluationDetails<Value>, &EvaluationError>,
) -> Option<FeatureEvent> {
    let resolution = match result {
        Ok(details) if details.reason == Some(EvaluationReason::Cached) => {
            Some(Arc::new(resolution(details)))
        }
        Ok(_) => return None,
        // Neither is a failure, and the relay proxy recorded it (docs/python-parity.md D2).
        Err(error) if is_disabled(error) || is_null(error) => return None,
        Err(_) => None,
    };
    Some(
        FeatureEvent::new(
            context.flag_key,
            context_kind(context.evaluation_context),
            user_key(context.evaluation_context),
            unix_seconds(),
            EventSource::ProviderCache,
        )
        .with_is_default(resolution.is_none())
        .with_resolution(resolution),
    )
}

fn is_null(error: &EvaluationError) -> bool {
    matches!(&error.code, EvaluationErrorCode::General(code) if code == NULL_VALUE)
}

fn resolution(details: &EvaluationDetails<Value>) -> Resolution {
    // NaN and infinities are not JSON; the collector would refuse the whole batch.
    let value = value_to_json(&details.value).unwrap_or_default();
    let mut resolution = Resolution::new(value, Reason::Cached);
    resolution.variant.clone_from(&details.variant);
    // The collector drops an event whose version is not a string (GOFF-COLL-009).
    resolution.version = match details.flag_metadata.values.get("version") {
        Some(FlagMetadataValue::String(version)) => Some(version.clone()),
        Some(FlagMetadataValue::Int(version)) => Some(version.to_string()),
        Some(FlagMetadataValue::Float(version)) => Some(version.to_string()),
        Some(FlagMetadataValue::Bool(_)) | None => None,
    };
    resolution
}

impl SyncHook for DataCollectorHook {
    fn after(&self, context: &HookContext<'_>, details: &EvaluationDetails<Value>) {
        self.collect(context, Ok(details));
    }

    fn error(&self, context: &HookContext<'_>, error: &EvaluationError) {
        self.collect(context, Err(error));
    }
}

implement_hook!(DataCollectorHook);

impl fmt::Debug for DataCollectorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataCollectorHook")
            .field("collects", &self.sink.is_some())
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}
