//! Which evaluations are recorded, and as what.

use goff_core::__internal::OutcomeRef;
use goff_core::{
    ContextView, EvaluationType, EventSink, EventSource, FallbackOrigin, FeatureEvent, Origin,
    ResolutionError,
};
use serde_json::Value;

use super::fields::{context_kind, user_key};

/// Whether this client records an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum UsageDecision {
    /// This client records it, because the relay proxy does not.
    Record(FeatureEvent),
    /// It is not recorded: the relay proxy did, the flag is not tracked, or nothing was evaluated.
    Skip,
    /// The relay proxy may have recorded it. It is counted and not sent: losing an event is better
    /// than counting it twice.
    Unknown,
}

impl UsageDecision {
    /// Decides by the first row that fits (docs/python-parity.md C15). docs/relay-protocol.md 19
    /// says what the relay proxy records.
    ///
    /// | outcome | event |
    /// |---|---|
    /// | the flag has `trackEvents: false`, or the client is not ready | none |
    /// | from the cache, or from a request shared with another caller | `PROVIDER_CACHE` |
    /// | fallback from in-process evaluation, and the relay proxy answered | none |
    /// | such a fallback, and the relay proxy certainly did not evaluate | `INPROCESS` with `default: true` |
    /// | such a fallback, and its answer was lost | unknown |
    /// | the relay proxy evaluated it, even with an error | none |
    /// | evaluated in this process | `INPROCESS` |
    /// | certainly not evaluated | `PROVIDER_CACHE`, in-process mode `INPROCESS`; with `default: true` |
    /// | unknown | unknown |
    ///
    /// In the other rows `default` is true if the evaluation failed; a disabled flag or a null value
    /// is no failure. `caller_default` returns the value that the caller used instead, or null if it
    /// is not known; it is called only if the flag gave no value.
    ///
    /// *Specification*: GOFF-COLL-010, -020 to -023, GOFF-FALLBACK-006.
    pub fn of(
        outcome: OutcomeRef<'_>,
        context: &dyn ContextView,
        caller_default: impl FnOnce() -> Value,
        evaluation_type: EvaluationType,
        now_seconds: i64,
    ) -> Self {
        let resolution = outcome.resolution();
        // An unknown flag is tracked (GOFF-COLL-020, GOFF-COLL-021).
        if resolution.is_some_and(|resolution| !resolution.track_events) || is_not_ready(&outcome) {
            return Self::Skip;
        }
        let failed = outcome.result.is_err();
        let (source, is_default) = match (outcome.origin, evaluation_type) {
            (Origin::Cache | Origin::Shared, _) => (EventSource::ProviderCache, failed),
            (Origin::Fallback(FallbackOrigin::Answered) | Origin::Relay, _) => return Self::Skip,
            (Origin::Fallback(FallbackOrigin::NotEvaluated), _)
            | (Origin::NotEvaluated, EvaluationType::InProcess) => (EventSource::InProcess, true),
            (Origin::InProcess, _) => (EventSource::InProcess, failed),
            (Origin::NotEvaluated, EvaluationType::Remote) => (EventSource::ProviderCache, true),
            (Origin::Fallback(FallbackOrigin::Unknown) | Origin::Unknown, _) => {
                return Self::Unknown;
            }
        };
        let has_value = !is_default
            && resolution
                .is_some_and(|resolution| !resolution.is_disabled() && !resolution.value.is_null());
        Self::Record(
            FeatureEvent::new(
                outcome.flag_key,
                context_kind(context),
                user_key(context),
                now_seconds,
                source,
            )
            .with_resolution(resolution.cloned())
            .with_default_value((!has_value).then(|| Box::new(caller_default())))
            .with_is_default(is_default),
        )
    }

    /// Applies the decision to a sink.
    pub fn record_in(self, sink: &dyn EventSink) {
        match self {
            Self::Record(event) => sink.record(event.into()),
            Self::Skip => {}
            Self::Unknown => sink.note_unknown(),
        }
    }
}

fn is_not_ready(outcome: &OutcomeRef<'_>) -> bool {
    matches!(outcome.result, Err(ResolutionError::NotReady { .. }))
}

#[cfg(test)]
mod tests;
