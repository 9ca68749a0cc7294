//! Usage data as an OpenFeature hook, in two forms.

use std::fmt;
use std::sync::Arc;

use goff_core::__internal::GoFeatureFlagAttribute;
use goff_core::{
    AttributeRef, ContextView, EvaluationType, EventSink, EventSource, FeatureEvent, NULL_VALUE,
    Reason, Resolution, is_disabled,
};
use open_feature::{
    EvaluationDetails, EvaluationError, EvaluationErrorCode, EvaluationReason, FlagMetadataValue,
    Hook, HookContext, HookHints, Value,
};

use super::sync_hook::{After, Before, Ends, done};
#[cfg(doc)]
use crate::usage::usage;
use crate::usage::{ANONYMOUS, context_kind, kind_by, record_last, unix_seconds, user_key};

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
                let context = context.evaluation_context;
                let outcome = GoFeatureFlagAttribute::find(context)
                    .and_then(|attribute| attribute.slot().take());
                if let Some(outcome) = outcome {
                    // The SDK does not tell the caller's default.
                    record_last(
                        outcome,
                        kind_by(ContextView::attribute(context, ANONYMOUS)),
                        user_key(context),
                        evaluation_type,
                        &**sink,
                    );
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
        is_default: resolution.is_none(),
        resolution,
        default_value: None,
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

impl Hook for DataCollectorHook {
    fn before<'a, 'life0, 'life1, 'async_trait>(
        &'life0 self,
        _context: &'life1 HookContext<'a>,
        _hints: Option<&'a HookHints>,
    ) -> Before<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
    {
        done()
    }

    fn after<'a, 'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        context: &'life1 HookContext<'a>,
        details: &'life2 EvaluationDetails<Value>,
        _hints: Option<&'a HookHints>,
    ) -> After<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        self.collect(context, Ended::Value(details));
        done()
    }

    fn error<'a, 'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        context: &'life1 HookContext<'a>,
        error: &'life2 EvaluationError,
        _hints: Option<&'a HookHints>,
    ) -> Ends<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        self.collect(context, Ended::Error(error));
        done()
    }

    fn finally<'a, 'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        _context: &'life1 HookContext<'a>,
        _details: &'life2 EvaluationDetails<Value>,
        _hints: Option<&'a HookHints>,
    ) -> Ends<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        done()
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
