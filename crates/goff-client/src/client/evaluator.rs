//! The two ways to evaluate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{CacheKey, IoRuntime, NotAnswered};
#[cfg(feature = "in-process")]
use goff_core::{BodyProblem, Etag};
use goff_core::{
    BulkEvaluation, ContextView, EvaluationContext, Invalidation, NoRuntimeError, Origin, Outcome,
    RelayError,
};
#[cfg(feature = "in-process")]
use goff_engine::Explanation;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::changes::ChangeTarget;
use crate::client::panicked::caught;
use crate::details::EvaluationDetails;
#[cfg(feature = "in-process")]
use crate::in_process::{
    InProcessEvaluator, InProcessLookup,
    compiled_configuration::CompiledConfiguration,
    current_configuration::{CurrentConfiguration, FirstAttempt},
    fallback,
    mode::InProcessMode,
    now,
    source::{ConfigurationSource, pending_changes::PendingChanges},
};
use crate::options::settings::Mode;
use crate::remote::{RemoteEvaluator, RemoteLookup};
use crate::status::SessionStatus;
use crate::status::counters::Counters;
use crate::status::error::ClientError;
use crate::status::refresh::Refreshed;

/// Evaluates in the mode of the client. An enum, because a boxed future would cost an allocation
/// for each evaluation.
#[derive(Debug)]
pub(crate) enum Evaluator {
    Remote(Arc<RemoteEvaluator>),
    #[cfg(feature = "in-process")]
    InProcess {
        mode: Arc<InProcessMode>,
        evaluator: Arc<InProcessEvaluator>,
        changes: Arc<PendingChanges>,
        /// `None` before the start, after the stop, and if the flags never change.
        source: std::sync::Mutex<Option<ConfigurationSource>>,
    },
}

/// The part of an evaluation that needs no waiting.
pub(crate) enum Lookup {
    Answered(Outcome),
    /// There is no configuration yet (GOFF-LIFE-006).
    #[cfg(feature = "in-process")]
    NotLoaded,
    NeedsRelay(RelayCall),
}

/// What the relay proxy is needed for.
#[derive(Clone)]
pub(crate) enum RelayCall {
    /// To evaluate, with the key of the answer in the cache if there is a cache.
    Evaluate(Arc<RemoteEvaluator>, Option<CacheKey>),
    /// To evaluate after the engine failed with this outcome.
    #[cfg(feature = "in-process")]
    FallBack(Arc<InProcessEvaluator>, Outcome),
}

impl Evaluator {
    pub(crate) fn new(mode: &Mode, counters: &Arc<Counters>) -> Self {
        match mode {
            Mode::Remote {
                relay,
                breaker,
                cache,
            } => Self::Remote(Arc::new(RemoteEvaluator::new(
                relay.clone(),
                Arc::clone(breaker),
                *cache,
                Arc::clone(counters),
            ))),
            #[cfg(feature = "in-process")]
            Mode::InProcess(mode) => {
                let relay = mode.relay();
                let fallback = relay.and_then(|relay| relay.fallback.clone());
                let flags = relay.map(|relay| Arc::clone(&relay.source.flags));
                Self::InProcess {
                    mode: Arc::clone(mode),
                    evaluator: Arc::new(InProcessEvaluator::new(fallback, Arc::clone(counters))),
                    changes: Arc::new(PendingChanges::new(flags.unwrap_or_default())),
                    source: std::sync::Mutex::new(None),
                }
            }
        }
    }

    /// Where flag changes go.
    pub(crate) fn change_target(&self) -> ChangeTarget {
        match self {
            Self::Remote(remote) => ChangeTarget::Cache(Arc::clone(remote)),
            #[cfg(feature = "in-process")]
            Self::InProcess {
                changes, evaluator, ..
            } => ChangeTarget::Configuration(Arc::clone(changes), Arc::clone(evaluator)),
        }
    }

    /// About how many bytes of memory the cached answers keep.
    pub(crate) fn cache_bytes(&self) -> u64 {
        match self {
            Self::Remote(remote) => remote.cache_bytes(),
            #[cfg(feature = "in-process")]
            Self::InProcess { .. } => 0,
        }
    }

    /// How many flags are held.
    pub(crate) fn flags(&self) -> usize {
        match self {
            Self::Remote(_) => 0,
            #[cfg(feature = "in-process")]
            Self::InProcess { evaluator, .. } => evaluator
                .with_current(CompiledConfiguration::len)
                .unwrap_or(0),
        }
    }

    /// The ETag of the configuration that is held, if it was fetched with the API key of this number.
    #[cfg(feature = "in-process")]
    pub(crate) fn etag_of_key(&self, number: u64) -> Option<Etag> {
        let held = self.in_process()?.current()?;
        held.etag().filter(|_| held.is_of_key(number)).cloned()
    }

    /// Starts to load flags; remote evaluation is ready at once. The flags of `earlier` are served
    /// until then. `on_refused` is called when the relay proxy refuses the key.
    pub(crate) fn start(
        &self,
        status: &SessionStatus,
        earlier: Option<&Self>,
        on_refused: Box<dyn FnOnce() + Send>,
    ) -> Result<(), NoRuntimeError> {
        match self {
            Self::Remote(_) => {
                drop((earlier, on_refused));
                status.ready();
            }
            #[cfg(feature = "in-process")]
            Self::InProcess {
                mode,
                evaluator,
                changes,
                source,
            } => {
                let current = CurrentConfiguration {
                    evaluator: Arc::clone(evaluator),
                    status: status.clone(),
                };
                let earlier = earlier.and_then(|earlier| earlier.in_process()?.current());
                if let Some(earlier) = earlier {
                    current.restored(earlier);
                }
                let started =
                    ConfigurationSource::start(mode, current, Arc::clone(changes), on_refused)?;
                if started.is_none() {
                    status.ready();
                }
                *lock(source) = started;
            }
        }
        Ok(())
    }

    /// Waits until the first attempt to load flags has ended (GOFF-LIFE-001).
    ///
    /// # Errors
    /// The relay proxy refused the key.
    pub(crate) async fn first_attempt(&self) -> Result<(), RelayError> {
        #[cfg(feature = "in-process")]
        if let Self::InProcess { source, .. } = self {
            let first = lock(source)
                .as_ref()
                .map(ConfigurationSource::first_attempt);
            // An ended report means that the client was shut down.
            if let Some(mut first) = first
                && let Ok(first) = first.wait_for(Option::is_some).await
                && let Some(FirstAttempt::Refused(error)) = &*first
            {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    #[cfg(feature = "in-process")]
    #[inline]
    pub(crate) fn in_process(&self) -> Option<&InProcessEvaluator> {
        match self {
            Self::Remote(_) => None,
            Self::InProcess { evaluator, .. } => Some(evaluator),
        }
    }

    /// `given` is the caller's context, `sent` the same with exporter metadata or without.
    #[inline]
    pub(crate) fn look_up(
        &self,
        flag_key: &str,
        given: &dyn ContextView,
        sent: &dyn ContextView,
    ) -> Lookup {
        match self {
            Self::Remote(remote) => {
                match caught(flag_key, || remote.look_up(flag_key, given, sent)) {
                    Err(error) => {
                        let result = Err(Box::new(error));
                        Lookup::Answered(Outcome::new(flag_key, result, Origin::NotEvaluated))
                    }
                    Ok(RemoteLookup::Answered(outcome)) => Lookup::Answered(outcome),
                    Ok(RemoteLookup::Missed(key)) => {
                        Lookup::NeedsRelay(RelayCall::Evaluate(Arc::clone(remote), key))
                    }
                }
            }
            #[cfg(feature = "in-process")]
            Self::InProcess { evaluator, .. } => match evaluator.evaluate(flag_key, sent) {
                None => Lookup::NotLoaded,
                Some(InProcessLookup::Answered(outcome)) => Lookup::Answered(outcome),
                Some(InProcessLookup::FallBack(outcome)) => {
                    Lookup::NeedsRelay(RelayCall::FallBack(Arc::clone(evaluator), outcome))
                }
            },
        }
    }

    /// Evaluates every flag, or those that the context names; `None` if there is no configuration
    /// yet.
    pub(crate) async fn evaluate_all(
        &self,
        context: &dyn ContextView,
        runtime: &IoRuntime,
    ) -> Result<Option<BTreeMap<String, EvaluationDetails<Value>>>, RelayError> {
        match self {
            Self::Remote(remote) => {
                let flags = request_all(remote, context, runtime).await?;
                let details = flags.into_iter().map(|(flag_key, result)| {
                    let result = result
                        .map(Arc::new)
                        .map_err(|failure| RelayError::Evaluation(failure).into());
                    (flag_key, EvaluationDetails::of_bulk(result))
                });
                Ok(Some(details.collect()))
            }
            #[cfg(feature = "in-process")]
            Self::InProcess { evaluator, .. } => {
                Ok(evaluator.with_current(|compiled| compiled.evaluate_all(context, now())))
            }
        }
    }

    /// The answers of the relay proxy for one context; `None` if flags are evaluated in process.
    pub(crate) async fn prefetch(
        &self,
        context: &dyn ContextView,
        runtime: &IoRuntime,
    ) -> Result<Option<BulkEvaluation>, RelayError> {
        match self {
            Self::Remote(remote) => request_all(remote, context, runtime).await.map(Some),
            #[cfg(feature = "in-process")]
            Self::InProcess { .. } => Ok(None),
        }
    }

    /// Explains the evaluation of a flag; `None` if there is no configuration yet.
    #[cfg(feature = "in-process")]
    pub(crate) async fn explain(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        runtime: &IoRuntime,
    ) -> Result<Option<Explanation>, RelayError> {
        let remote = match self {
            Self::Remote(remote) => remote,
            Self::InProcess { evaluator, .. } => {
                return Ok(
                    evaluator.with_current(|compiled| compiled.explain(flag_key, context, now()))
                );
            }
        };
        let configuration = if runtime.of_caller().is_some() {
            remote.configuration_of(flag_key).await?
        } else {
            let (spawned, flag_key) = (Arc::clone(remote), flag_key.to_owned());
            let request = async move { spawned.configuration_of(&flag_key).await };
            let answer = runtime.run_spawned(remote.limit(), request).await;
            answer.map_err(not_answered)??
        };
        let compiled = CompiledConfiguration::compile(configuration, None).map_err(|error| {
            RelayError::Body {
                problem: BodyProblem::Unreadable {
                    message: error.to_string(),
                },
                status: 200,
                server: None,
            }
        })?;
        Ok(Some(compiled.explain(flag_key, context, now())))
    }

    /// Makes the flags current. `None` if the client is being shut down, or its key was refused.
    pub(crate) async fn refresh(
        &self,
        runtime: &IoRuntime,
    ) -> Option<Result<Refreshed, ClientError>> {
        match self {
            Self::Remote(remote) => {
                let _ = runtime;
                remote.invalidate(&Invalidation::All);
                Some(Ok(Refreshed::CacheCleared))
            }
            #[cfg(feature = "in-process")]
            Self::InProcess {
                mode,
                evaluator,
                source,
                ..
            } => {
                let refresher = lock(source).as_ref().map(ConfigurationSource::refresher);
                let Some(refresher) = refresher else {
                    let never_change = matches!(**mode, InProcessMode::Flags(_));
                    return never_change.then_some(Ok(Refreshed::Unchanged));
                };
                let limit = refresher.timeout.saturating_add(REFRESH_GRACE);
                let refreshing = refresher.refresh(Arc::clone(evaluator));
                let refreshed = runtime.run_spawned(limit, refreshing).await;
                refreshed.unwrap_or_else(|not_answered| {
                    Some(Err(ClientError::runtime(not_answered.error)))
                })
            }
        }
    }

    /// Stops loading flags, and frees them.
    #[cfg_attr(
        not(feature = "in-process"),
        expect(unused_variables, reason = "remote evaluation has nothing to wait for")
    )]
    pub(crate) async fn stop(&self, end: Instant) {
        match self {
            Self::Remote(_) => {}
            #[cfg(feature = "in-process")]
            Self::InProcess {
                evaluator, source, ..
            } => {
                let source = lock(source).take();
                if let Some(source) = source {
                    source
                        .stop(end.saturating_duration_since(Instant::now()))
                        .await;
                }
                evaluator.replace(None);
            }
        }
    }
}

/// Evaluates every flag where `runtime` says.
async fn request_all(
    remote: &Arc<RemoteEvaluator>,
    context: &dyn ContextView,
    runtime: &IoRuntime,
) -> Result<BulkEvaluation, RelayError> {
    if runtime.of_caller().is_some() {
        return remote.request_all(context).await;
    }
    let (spawned, context) = (Arc::clone(remote), EvaluationContext::from_view(context));
    let request = async move { spawned.request_all(&context).await };
    let answer = runtime.run_spawned(remote.limit(), request).await;
    answer.map_err(not_answered)?
}

impl RelayCall {
    /// Evaluates where `runtime` says.
    pub(crate) async fn outcome(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        runtime: &IoRuntime,
    ) -> Outcome {
        if runtime.of_caller().is_some() {
            return self.outcome_here(flag_key, context).await;
        }
        let spawned = self.clone();
        let (key, context) = (flag_key.to_owned(), EvaluationContext::from_view(context));
        let request = async move { spawned.outcome_here(&key, &context).await };
        // Boxed to keep the future of every other evaluation small.
        match Box::pin(runtime.run_spawned(self.limit(), request)).await {
            Ok(outcome) => outcome,
            Err(error) => self.failed(flag_key, not_answered(error)),
        }
    }

    /// Evaluates on the current runtime.
    async fn outcome_here(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        match self {
            Self::Evaluate(remote, key) => remote.request(flag_key, context, key.as_ref()).await,
            #[cfg(feature = "in-process")]
            Self::FallBack(evaluator, local) => {
                evaluator.fall_back(flag_key, context, local.clone()).await
            }
        }
    }

    /// The longest that it takes.
    fn limit(&self) -> Duration {
        match self {
            Self::Evaluate(remote, _) => remote.limit(),
            #[cfg(feature = "in-process")]
            Self::FallBack(evaluator, _) => evaluator.limit(),
        }
    }

    fn failed(&self, flag_key: &str, error: RelayError) -> Outcome {
        match self {
            Self::Evaluate(..) => {
                let origin = error.origin();
                Outcome::new(flag_key, Err(Box::new(error.into())), origin)
            }
            #[cfg(feature = "in-process")]
            Self::FallBack(_, local) => fallback::failed(local.clone(), &error.into()),
        }
    }
}

/// What it means for a request that the session's runtime does not answer.
pub(crate) fn not_answered(not_answered: NotAnswered) -> RelayError {
    let cause = Arc::new(not_answered.error);
    match not_answered.is_begun {
        true => RelayError::Interrupted(cause),
        false => RelayError::NotConnected(cause),
    }
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        match self {
            Self::Remote(remote) => remote.cancel_requests(),
            #[cfg(feature = "in-process")]
            Self::InProcess { evaluator, .. } => evaluator.cancel_requests(),
        }
    }
}

/// Extra time for the refresh to tell why it takes so long.
#[cfg(feature = "in-process")]
const REFRESH_GRACE: Duration = Duration::from_secs(1);

#[cfg(feature = "in-process")]
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
