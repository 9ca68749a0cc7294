//! In-process evaluation, with a fallback to the relay proxy where the engine fails.

pub(crate) mod compiled_configuration;
pub(crate) mod current_configuration;
pub(crate) mod engine_context;
pub(crate) mod fallback;
#[cfg(feature = "file")]
pub(crate) mod file;
pub(crate) mod last_known_good;
pub(crate) mod left_out;
pub(crate) mod mode;
pub(crate) mod prepared;
pub(crate) mod regular_file;
pub(crate) mod replaced;
pub(crate) mod source;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwapOption, Guard};
use goff_core::{ContextView, Invalidation, Outcome};
use goff_engine::Timestamp;

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::fallback::Fallback;
use crate::remote::bounded_relay::BoundedRelay;
use crate::status::counters::Counters;

/// Evaluates the flags of one configuration at a time. Each session of a client has an evaluator,
/// without a configuration at first.
#[derive(Debug)]
pub(crate) struct InProcessEvaluator {
    current: ArcSwapOption<CompiledConfiguration>,
    /// Evaluates where the engine fails (GOFF-FALLBACK-001).
    fallback: Option<Fallback>,
    pub(crate) counters: Arc<Counters>,
}

/// The result of an evaluation with the current configuration.
pub(crate) enum InProcessLookup {
    /// A value or an error that stands.
    Answered(Outcome),
    /// An outcome that holds unless the relay proxy does better.
    FallBack(Outcome),
}

impl InProcessEvaluator {
    pub(crate) fn new(fallback: Option<BoundedRelay>, counters: Arc<Counters>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            fallback: fallback.map(|relay| Fallback::new(relay, Arc::clone(&counters))),
            counters,
        }
    }

    pub(crate) fn current(&self) -> Option<Arc<CompiledConfiguration>> {
        self.current.load_full()
    }

    /// Replaces the current configuration, and returns it.
    pub(crate) fn replace(
        &self,
        next: Option<Arc<CompiledConfiguration>>,
    ) -> Option<Arc<CompiledConfiguration>> {
        let replaced = self.current.swap(next);
        if let Some(fallback) = &self.fallback {
            fallback.configuration_replaced();
        }
        replaced
    }

    /// Evaluates with the current configuration; `None` without one (GOFF-LIFE-006). Never waits.
    pub(crate) fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Option<InProcessLookup> {
        let current = self.current.load();
        let evaluation = current.as_ref()?.evaluate(flag_key, context, now());
        let outcome = evaluation.outcome.into_owned();
        Some(match evaluation.may_fall_back && self.fallback.is_some() {
            true => InProcessLookup::FallBack(outcome),
            false => InProcessLookup::Answered(outcome),
        })
    }

    /// The current configuration, without a reference to it.
    pub(crate) fn load(&self) -> Guard<Option<Arc<CompiledConfiguration>>> {
        self.current.load()
    }

    /// Reads the current configuration; `None` without one.
    pub(crate) fn with_current<T>(
        &self,
        read: impl FnOnce(&CompiledConfiguration) -> T,
    ) -> Option<T> {
        self.current.load().as_deref().map(read)
    }

    /// The longest that a fallback takes.
    pub(crate) fn limit(&self) -> Duration {
        let fallback = self.fallback.as_ref();
        fallback.map_or(Duration::ZERO, Fallback::limit)
    }

    /// Evaluates on the relay proxy what failed here with `local`.
    pub(crate) async fn fall_back(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        local: Outcome,
    ) -> Outcome {
        match &self.fallback {
            Some(fallback) => fallback.evaluate(flag_key, context, local).await,
            None => local,
        }
    }

    /// A change of flags was announced, and is not loaded yet.
    pub(crate) fn change_announced(&self, change: &Invalidation) {
        if let Some(fallback) = &self.fallback {
            fallback.invalidate(change);
        }
    }

    /// Ends the fallbacks in flight.
    pub(crate) fn cancel_requests(&self) {
        if let Some(fallback) = &self.fallback {
            fallback.cancel_requests();
        }
    }
}

/// The time for the engine.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
