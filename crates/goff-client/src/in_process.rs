//! In-process evaluation: flags are evaluated here, and the relay proxy is asked only where the
//! engine gives up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use goff_core::{
    ContextView, FallbackOrigin, Origin, Outcome, RelayClient, RelayError, Resolution,
};
use serde_json::Value;

use crate::counters::Counters;
use crate::snapshot::{Evaluated, Snapshot};

/// Evaluates the flags of one configuration at a time, whichever is the current one.
#[derive(Debug)]
pub(crate) struct InProcessEvaluator {
    current: ArcSwapOption<Snapshot>,
    /// Who is asked where the engine gives up; nobody without a relay proxy.
    fallback: Option<Fallback>,
    counters: Arc<Counters>,
}

/// The relay proxy, asked over OFREP (GOFF-FALLBACK-001).
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    pub(crate) relay: Arc<dyn RelayClient>,
    pub(crate) timeout: Duration,
}

/// What this process knows of an evaluation by itself.
pub(crate) enum Attempt {
    Evaluated(Outcome),
    /// The relay proxy is to be asked; what is to be said if it does not help.
    FallBack(Evaluated),
    /// There is no configuration yet (GOFF-LIFE-006).
    NotLoaded,
}

impl InProcessEvaluator {
    /// An evaluator without a configuration.
    pub(crate) fn new(fallback: Option<Fallback>, counters: Arc<Counters>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            fallback,
            counters,
        }
    }

    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.current.load_full()
    }

    /// Makes `next` the current configuration; gives the one before.
    pub(crate) fn replace(&self, next: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        self.current.swap(Some(next))
    }

    /// Evaluates without waiting.
    #[inline]
    pub(crate) fn attempt(&self, flag_key: &str, context: &dyn ContextView) -> Attempt {
        let current = self.current.load();
        let Some(snapshot) = current.as_ref() else {
            return Attempt::NotLoaded;
        };
        let evaluated = snapshot.evaluate(flag_key, context);
        match &evaluated.result {
            Err(failed) if failed.may_fall_back && self.fallback.is_some() => {
                Attempt::FallBack(evaluated)
            }
            _ => Attempt::Evaluated(evaluated.into()),
        }
    }

    /// Uses the current configuration; `None` without one.
    pub(crate) fn with_snapshot<T>(&self, ask: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        self.current.load().as_deref().map(ask)
    }

    /// Asks the relay proxy in place of the engine (GOFF-FALLBACK-001 to -009).
    pub(crate) async fn fall_back(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        evaluated: Evaluated,
    ) -> Outcome {
        let Some(fallback) = &self.fallback else {
            return evaluated.into();
        };
        let Err(failed) = &evaluated.result else {
            return evaluated.into();
        };
        let error = &failed.error;
        self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            flag_key,
            code = %error.code(),
            %error,
            "a flag cannot be evaluated in process; the relay proxy is asked"
        );
        match fallback.evaluate(flag_key, context).await {
            Ok(mut resolution) => {
                resolution
                    .metadata
                    .insert(EVALUATED_REMOTELY.to_owned(), Value::Bool(true));
                Outcome {
                    flag_key: evaluated.flag_key,
                    result: Ok(Arc::new(resolution)),
                    origin: Origin::Fallback(FallbackOrigin::Answered),
                }
            }
            Err(error) => {
                tracing::warn!(flag_key, %error, "the relay proxy could not evaluate it either");
                Outcome {
                    origin: Origin::Fallback(origin_of_failure(&error)),
                    ..Outcome::from(evaluated)
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

impl From<Evaluated> for Outcome {
    #[inline]
    fn from(evaluated: Evaluated) -> Self {
        Self {
            flag_key: evaluated.flag_key,
            result: evaluated.result.map_err(|failed| Box::new(failed.error)),
            origin: Origin::InProcess,
        }
    }
}

fn origin_of_failure(error: &RelayError) -> FallbackOrigin {
    match error.origin() {
        Origin::Relay => FallbackOrigin::Answered,
        Origin::NotEvaluated => FallbackOrigin::NotEvaluated,
        _ => FallbackOrigin::Unknown,
    }
}

/// The metadata entry of an answer that the relay proxy gave in place of this process
/// (GOFF-FALLBACK-007).
const EVALUATED_REMOTELY: &str = "gofeatureflag_evaluated_remotely";

/// A relay client that keeps to the timeout by itself knows more of why it ran out.
pub(crate) const GRACE: Duration = Duration::from_millis(100);
