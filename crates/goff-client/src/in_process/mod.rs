//! In-process evaluation, with a fallback to the relay proxy where the engine fails.

pub(crate) mod current_configuration;
pub(crate) mod engine_context;
#[cfg(feature = "file")]
pub(crate) mod file;
pub(crate) mod last_known_good;
pub(crate) mod left_out;
pub(crate) mod mode;
pub(crate) mod regular_file;
pub(crate) mod snapshot;
pub(crate) mod source;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use goff_core::{ContextView, FallbackOrigin, Origin, Outcome, RelayError};
use serde_json::Value;

use crate::in_process::snapshot::{LocalEvaluation, Snapshot};
use crate::remote::bounded_relay::BoundedRelay;
use crate::status::counters::Counters;

/// Evaluates the flags of one configuration at a time. Each session of a client has an evaluator,
/// without a configuration at first.
#[derive(Debug)]
pub(crate) struct InProcessEvaluator {
    current: ArcSwapOption<Snapshot>,
    /// The relay proxy that evaluates over OFREP where the engine fails (GOFF-FALLBACK-001).
    fallback: Option<BoundedRelay>,
    pub(crate) counters: Arc<Counters>,
}

impl InProcessEvaluator {
    pub(crate) fn new(fallback: Option<BoundedRelay>, counters: Arc<Counters>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            fallback,
            counters,
        }
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Replaces the current configuration, and returns it.
    pub(crate) fn replace(&self, next: Option<Arc<Snapshot>>) -> Option<Arc<Snapshot>> {
        self.current.swap(next)
    }

    /// Evaluates with the current configuration; `None` without one (GOFF-LIFE-006). Never waits.
    pub(crate) fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Option<LocalEvaluation> {
        let current = self.current.load();
        match current.as_ref()?.evaluate(flag_key, context) {
            LocalEvaluation::FallBack(outcome) if self.fallback.is_none() => {
                Some(LocalEvaluation::Done(outcome))
            }
            evaluation => Some(evaluation),
        }
    }

    /// Reads the current configuration; `None` without one.
    pub(crate) fn with_snapshot<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        self.current.load().as_deref().map(read)
    }

    /// The longest that a fallback takes.
    pub(crate) fn limit(&self) -> Duration {
        let fallback = self.fallback.as_ref();
        fallback.map_or(Duration::ZERO, BoundedRelay::limit)
    }

    /// Evaluates on the relay proxy what failed here with `local` (GOFF-FALLBACK-001 to -009).
    pub(crate) async fn fall_back(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        local: Outcome,
    ) -> Outcome {
        let (Some(relay), Err(error)) = (&self.fallback, &local.result) else {
            return local;
        };
        self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            flag_key,
            code = %error.code(),
            %error,
            "in-process evaluation failed, falling back to the relay proxy"
        );
        match relay
            .bounded(relay.client.evaluate(flag_key, context))
            .await
        {
            Ok(mut resolution) => {
                resolution
                    .metadata
                    .insert(EVALUATED_REMOTELY.to_owned(), Value::Bool(true));
                Outcome::new(
                    local.flag_key,
                    Ok(Arc::new(resolution)),
                    Origin::Fallback(FallbackOrigin::Answered),
                )
            }
            Err(error) => {
                tracing::warn!(flag_key, %error, "fallback to the relay proxy failed");
                fallback_failed(local, &error)
            }
        }
    }
}

/// The outcome after a fallback that failed: the engine's, with what the relay proxy did.
pub(crate) fn fallback_failed(mut local: Outcome, error: &RelayError) -> Outcome {
    local.origin = Origin::Fallback(match error.origin() {
        Origin::Relay => FallbackOrigin::Answered,
        Origin::NotEvaluated => FallbackOrigin::NotEvaluated,
        _ => FallbackOrigin::Unknown,
    });
    local
}

/// The metadata entry of a resolution that came from the fallback (GOFF-FALLBACK-007).
const EVALUATED_REMOTELY: &str = "gofeatureflag_evaluated_remotely";
