//! Usage data as an OpenFeature hook, in two forms.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use goff_core::{
    AttributeRef, EvaluationType, EventSink, EventSource, FeatureEvent, GoffAttribute, NULL_VALUE,
    Reason, Resolution, is_disabled,
};
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode, EvaluationReason,
    FlagMetadataValue, Hook, HookContext, HookHints, Value,
};

use crate::usage::{context_kind, unix_seconds, usage, user_key};

/// Records evaluations that the relay proxy does not record by itself (GOFF-HOOK-005,
/// GOFF-HOOK-006).
///
/// [`new`](Self::new) makes the form for any provider. It knows only what the SDK tells a hook:
/// a result with reason `CACHED` is recorded, and so is every error, except one that only says
/// that a flag is disabled or null. An error that the relay proxy has recorded too is counted
/// twice, and so is a hit after which another hook's `after` failed.
///
/// `goff-provider` registers the form that [`provider_hooks`](crate::provider_hooks) makes. It
/// takes the outcome that the resolver left in the context, once, in whichever of `after` and
/// `error` runs first, and decides by the table of [`usage`]. Without an outcome nothing was
/// evaluated, and nothing is recorded.
pub struct DataCollectorHook {
    sink: Option<Arc<dyn EventSink>>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// By reason and error.
    Plain,
    /// By the outcome in the slot.
    WithSlot(EvaluationType),
}

impl DataCollectorHook {
    /// The form for any provider; `sink` is an [`EventPublisher`](crate::EventPublisher), or
    /// what you have.
    #[must_use]
    pub fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink: Some(sink),
            form: Form::Plain,
        }
    }

    /// The form of this project's provider. Without a sink, which is disabled data collection, it
    /// is registered and records nothing.
    pub(crate) fn with_slot(
        sink: Option<Arc<dyn EventSink>>,
        evaluation_type: EvaluationType,
    ) -> Self {
        Self {
            sink,
            form: Form::WithSlot(evaluation_type),
        }
    }

    /// The one gate of both stages.
    fn collect(&self, context: &HookContext<'_>, ended: Ended<'_>) {
        let Some(sink) = &self.sink else { return };
        match self.form {
            Form::WithSlot(evaluation_type) => {
                let outcome = GoffAttribute::find(context.evaluation_context)
                    .and_then(|attribute| attribute.slot().take());
                if let Some(outcome) = outcome {
                    // The SDK does not tell the caller's default.
                    usage(
                        &outcome,
                        context.evaluation_context,
                        || serde_json::Value::Null,
                        evaluation_type,
                        unix_seconds(),
                    )
                    .record_in(&**sink);
                }
            }
            Form::Plain => {
                if let Some(event) = plain_event(context, ended) {
                    sink.record(event.into());
                }
            }
        }
    }
}

/// How an evaluation ended, as far as the SDK tells.
enum Ended<'a> {
    Value(&'a EvaluationDetails<Value>),
    Error(&'a EvaluationError),
}

fn plain_event(context: &HookContext<'_>, ended: Ended<'_>) -> Option<FeatureEvent> {
    let resolution = match ended {
        Ended::Value(details) if details.reason == Some(EvaluationReason::Cached) => {
            Some(Arc::new(resolution(details)))
        }
        Ended::Value(_) => return None,
        // Neither is a failure, and the relay proxy recorded it (Python D2).
        Ended::Error(error) if is_disabled(error) || is_null(error) => return None,
        Ended::Error(_) => None,
    };
    Some(FeatureEvent {
        context_kind: context_kind(context.evaluation_context),
        user_key: user_key(context.evaluation_context).into(),
        creation_date_seconds: unix_seconds(),
        flag_key: context.flag_key.into(),
        failed: resolution.is_none(),
        resolution,
        served_instead: None,
        source: EventSource::ProviderCache,
    })
}

fn is_null(error: &EvaluationError) -> bool {
    matches!(&error.code, EvaluationErrorCode::General(code) if code == NULL_VALUE)
}

fn resolution(details: &EvaluationDetails<Value>) -> Resolution {
    Resolution {
        // NaN and infinities are no JSON; the collector would refuse the whole batch.
        value: AttributeRef::SdkValue(&details.value)
            .to_json()
            .unwrap_or_default(),
        reason: Reason::Cached,
        variant: details.variant.clone(),
        // The collector drops an event whose version is no text (GOFF-COLL-009).
        version: match details.flag_metadata.values.get("version") {
            Some(FlagMetadataValue::String(version)) => Some(version.clone()),
            Some(FlagMetadataValue::Int(version)) => Some(version.to_string()),
            Some(FlagMetadataValue::Float(version)) => Some(version.to_string()),
            Some(FlagMetadataValue::Bool(_)) | None => None,
        },
        ..Resolution::default()
    }
}

#[async_trait]
impl Hook for DataCollectorHook {
    async fn before<'a>(
        &self,
        _context: &HookContext<'a>,
        _hints: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        Ok(None)
    }

    async fn after<'a>(
        &self,
        context: &HookContext<'a>,
        details: &EvaluationDetails<Value>,
        _hints: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        self.collect(context, Ended::Value(details));
        Ok(())
    }

    async fn error<'a>(
        &self,
        context: &HookContext<'a>,
        error: &EvaluationError,
        _hints: Option<&'a HookHints>,
    ) {
        self.collect(context, Ended::Error(error));
    }

    async fn finally<'a>(
        &self,
        _context: &HookContext<'a>,
        _details: &EvaluationDetails<Value>,
        _hints: Option<&'a HookHints>,
    ) {
    }
}

impl fmt::Debug for DataCollectorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataCollectorHook")
            .field("collects", &self.sink.is_some())
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}
