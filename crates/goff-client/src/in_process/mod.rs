//! In-process evaluation, with a fallback to the relay proxy where the engine fails.

pub(crate) mod current_configuration;
pub(crate) mod engine_context;
#[cfg(feature = "file")]
pub(crate) mod file;
pub(crate) mod last_known_good;
pub(crate) mod snapshot;
pub(crate) mod source;
#[cfg(test)]
pub(crate) mod test_directory;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use goff_core::{
    ContextView, FallbackOrigin, Origin, Outcome, RelayClient, RelayError, Resolution,
};
use serde_json::Value;

use crate::in_process::snapshot::{LocalEvaluation, Snapshot};
use crate::status::counters::Counters;

/// Evaluates the flags of one configuration at a time, whichever is the current one. It stays
/// through all lives of a client, and has a configuration in none but the one that lasts; so an
/// evaluation asks nobody else whether the client is running.
#[derive(Debug)]
pub(crate) struct InProcessEvaluator {
    current: ArcSwapOption<Snapshot>,
    /// Held by whoever replaces `current`.
    lives: Mutex<Lives>,
    /// `None` without a relay proxy.
    fallback: Option<Fallback>,
    counters: Arc<Counters>,
}

/// One life of a client, from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life(u64);

#[derive(Debug, Default)]
struct Lives {
    begun: u64,
    lasting: Option<Life>,
}

/// The relay proxy over OFREP (GOFF-FALLBACK-001).
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    pub(crate) relay: Arc<dyn RelayClient>,
    pub(crate) timeout: Duration,
}

impl InProcessEvaluator {
    /// An evaluator without a configuration.
    pub(crate) fn new(fallback: Option<Fallback>, counters: Arc<Counters>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            lives: Mutex::default(),
            fallback,
            counters,
        }
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Begins a life, without a configuration.
    pub(crate) fn begin(&self) -> Life {
        let mut lives = self.lives();
        lives.begun += 1;
        let life = Life(lives.begun);
        lives.lasting = Some(life);
        self.current.store(None);
        life
    }

    /// Ends a life, unless another has begun since.
    pub(crate) fn end(&self, life: Life) {
        let mut lives = self.lives();
        if lives.lasting == Some(life) {
            lives.lasting = None;
            let last = self.current.swap(None);
            drop(lives);
            // It may be large.
            drop(last);
        }
    }

    /// Makes `next` the current configuration; gives the one before.
    ///
    /// # Errors
    /// `next`, when the life that it is meant for has ended.
    pub(crate) fn replace(
        &self,
        life: Life,
        next: Arc<Snapshot>,
    ) -> Result<Option<Arc<Snapshot>>, Arc<Snapshot>> {
        let lives = self.lives();
        if lives.lasting == Some(life) {
            Ok(self.current.swap(Some(next)))
        } else {
            Err(next)
        }
    }

    fn lives(&self) -> MutexGuard<'_, Lives> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Evaluates on the relay proxy what failed here with `local` (GOFF-FALLBACK-001 to -009).
    pub(crate) async fn fall_back(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        local: Outcome,
    ) -> Outcome {
        let (Some(fallback), Err(error)) = (&self.fallback, &local.result) else {
            return local;
        };
        self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            flag_key,
            code = %error.code(),
            %error,
            "in-process evaluation failed, falling back to the relay proxy"
        );
        match fallback.evaluate(flag_key, context).await {
            Ok(mut resolution) => {
                resolution
                    .metadata
                    .insert(EVALUATED_REMOTELY.to_owned(), Value::Bool(true));
                Outcome {
                    flag_key: local.flag_key,
                    result: Ok(Arc::new(resolution)),
                    origin: Origin::Fallback(FallbackOrigin::Answered),
                }
            }
            Err(error) => {
                tracing::warn!(flag_key, %error, "fallback to the relay proxy failed");
                Outcome {
                    origin: Origin::Fallback(origin_of_failure(&error)),
                    ..local
                }
            }
        }
    }
}

impl Fallback {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let asked = self.relay.evaluate(flag_key, context);
        tokio::time::timeout(self.timeout + GRACE, asked)
            .await
            .unwrap_or(Err(RelayError::Timeout {
                timeout: self.timeout,
                sent: true,
            }))
    }
}

fn origin_of_failure(error: &RelayError) -> FallbackOrigin {
    match error.origin() {
        Origin::Relay => FallbackOrigin::Answered,
        Origin::NotEvaluated => FallbackOrigin::NotEvaluated,
        _ => FallbackOrigin::Unknown,
    }
}

/// The metadata entry of a resolution that came from the fallback (GOFF-FALLBACK-007).
const EVALUATED_REMOTELY: &str = "gofeatureflag_evaluated_remotely";

/// A relay client that keeps to the timeout by itself knows more of why it ran out.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use goff_core::{EvaluationContext, FlagConfiguration};
    use serde_json::json;

    use super::*;

    fn snapshot(value: i64) -> Arc<Snapshot> {
        let flags =
            json!({"flag": {"variations": {"a": value}, "defaultRule": {"variation": "a"}}});
        Arc::new(
            Snapshot::compile(FlagConfiguration {
                flags: Some(flags.to_string().into()),
                ..FlagConfiguration::default()
            })
            .unwrap(),
        )
    }

    fn value(evaluator: &InProcessEvaluator) -> Option<Value> {
        let evaluation = evaluator.evaluate("flag", &EvaluationContext::default())?;
        Some(evaluation.outcome().result.unwrap().value.clone())
    }

    /// GOFF-LIFE-004: what a life brings after its end is seen by nobody, not by the next life
    /// either.
    #[test]
    fn configuration_is_that_of_the_life_that_lasts() {
        let evaluator = InProcessEvaluator::new(None, Arc::default());
        assert_eq!(value(&evaluator), None);
        let first = evaluator.begin();
        assert!(evaluator.replace(first, snapshot(1)).unwrap().is_none());
        assert_eq!(value(&evaluator), Some(json!(1)));
        assert!(evaluator.replace(first, snapshot(2)).unwrap().is_some());
        evaluator.end(first);
        assert_eq!(value(&evaluator), None);
        assert!(evaluator.replace(first, snapshot(3)).is_err());
        assert_eq!(value(&evaluator), None);
        let second = evaluator.begin();
        assert!(evaluator.replace(first, snapshot(4)).is_err());
        assert_eq!(value(&evaluator), None);
        assert!(evaluator.replace(second, snapshot(5)).is_ok());
        evaluator.end(first);
        assert_eq!(value(&evaluator), Some(json!(5)));
    }
}
