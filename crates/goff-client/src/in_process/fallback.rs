//! The fallback to the relay proxy where the engine fails (GOFF-FALLBACK-001 to -009).

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goff_core::__internal::CacheKeyRef;
use goff_core::{
    ContextView, FallbackOrigin, Invalidation, Origin, Outcome, Resolution, ResolutionError,
};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::remote::bounded_relay::BoundedRelay;
use crate::remote::invalidation_log::InvalidationLog;
use crate::remote::single_flight::{Landing, RequestKey, SingleFlight, Waiting};
use crate::status::counters::Counters;
use crate::status::requests::Operation;

/// A relay proxy that evaluates over OFREP. Its answers are not cached, but identical evaluations
/// at the same time share one request.
#[derive(Debug)]
pub(crate) struct Fallback {
    relay: BoundedRelay,
    in_flight: Arc<SingleFlight>,
    invalidations: InvalidationLog,
    /// The flags of the current configuration that were warned of.
    warned: Mutex<HashSet<Box<str>>>,
    counters: Arc<Counters>,
}

impl Fallback {
    pub(crate) fn new(relay: BoundedRelay, counters: Arc<Counters>) -> Self {
        Self {
            relay,
            in_flight: SingleFlight::for_uncached_answers(),
            invalidations: InvalidationLog::default(),
            warned: Mutex::default(),
            counters,
        }
    }

    /// The longest that it takes.
    pub(crate) fn limit(&self) -> Duration {
        self.relay.limit()
    }

    /// Flags may have changed: a request from before is not shared with later evaluations.
    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        self.invalidations.note(invalidation);
    }

    /// There is another configuration, whose flags are warned of anew.
    pub(crate) fn configuration_replaced(&self) {
        self.invalidate(&Invalidation::All);
        self.lock_warned().clear();
    }

    /// Ends the requests in flight.
    pub(crate) fn cancel_requests(&self) {
        self.in_flight.cancel_all();
    }

    /// Evaluates on the relay proxy what failed here with `local`.
    pub(crate) async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        local: Outcome,
    ) -> Outcome {
        self.counters.fallbacks.fetch_add(1, Ordering::Relaxed);
        let (result, is_first) = self.request(flag_key, context).await;
        self.log(flag_key, &local, result.as_ref().err());
        match result {
            Ok(resolution) => {
                let answered = Origin::Fallback(FallbackOrigin::Answered);
                let origin = if is_first { answered } else { Origin::Shared };
                Outcome::new(local.flag_key, Ok(resolution), origin)
            }
            Err(error) => {
                self.counters
                    .failed_fallbacks
                    .fetch_add(1, Ordering::Relaxed);
                let mut failed = failed(local, &error);
                // The relay proxy records at most the evaluation of the first caller.
                let may_be_recorded = failed.origin != NOT_EVALUATED;
                if !is_first && may_be_recorded {
                    failed.origin = Origin::Shared;
                }
                failed
            }
        }
    }

    /// The answer, and whether the relay proxy recorded the evaluation of this caller.
    async fn request(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> (Result<Arc<Resolution>, ResolutionError>, bool) {
        // A context without a key is refused before anything is sent.
        let key = CacheKeyRef::new(flag_key, context).map(|key| key.to_owned_key(context));
        if let (Ok(key), Ok(runtime)) = (key, Handle::try_current()) {
            let waiting = self.join(RequestKey::new(&runtime, key), &runtime);
            if let Some(answer) = waiting.answer().await {
                return (answer.result, answer.is_first);
            }
            // The request was cancelled: its runtime, or this client, is shutting down.
        }
        (send(self.relay.clone(), flag_key, context).await, true)
    }

    fn join(&self, key: RequestKey, runtime: &Handle) -> Waiting {
        let requests = self.in_flight.lock();
        let is_fresh = |epoch| {
            self.invalidations
                .is_fresh(key.evaluation().flag_key(), epoch)
        };
        if let Some(waiting) = requests.join(&key, is_fresh) {
            return waiting;
        }
        let epoch = self.invalidations.now();
        let (flight, waiting) = self.in_flight.start(requests, key, epoch);
        let (relay, request) = (self.relay.clone(), Arc::clone(flight.request()));
        runtime.spawn(flight.run(async move {
            let evaluation = request.evaluation();
            let context = &**evaluation.context();
            let first = send(relay, evaluation.flag_key(), context).await;
            let followers = first.clone();
            Landing { first, followers }
        }));
        waiting
    }

    /// Warns of a flag once, since each of its evaluations ends here.
    fn log(&self, flag_key: &str, local: &Outcome, fallback_error: Option<&ResolutionError>) {
        let Err(error) = &local.result else {
            return;
        };
        let code = error.code();
        let fallback_error = fallback_error.map(|error| error.without_server_texts().to_string());
        let text = "in-process evaluation failed, falling back to the relay proxy";
        if self.lock_warned().insert(flag_key.into()) {
            tracing::warn!(flag_key, %code, %error, fallback_error, "{text}");
        } else {
            tracing::debug!(flag_key, %code, %error, fallback_error, "{text}");
        }
    }

    fn lock_warned(&self) -> std::sync::MutexGuard<'_, HashSet<Box<str>>> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome after a fallback that failed: the engine's, with what the relay proxy did.
pub(crate) fn failed(mut local: Outcome, error: &ResolutionError) -> Outcome {
    local.origin = match error.origin() {
        Origin::Relay => Origin::Fallback(FallbackOrigin::Answered),
        Origin::NotEvaluated => NOT_EVALUATED,
        _ => Origin::Fallback(FallbackOrigin::Unknown),
    };
    local
}

async fn send(
    relay: BoundedRelay,
    flag_key: &str,
    context: &dyn ContextView,
) -> Result<Arc<Resolution>, ResolutionError> {
    let call = relay.bounded(Operation::Evaluate, |client| {
        client.evaluate(flag_key, context)
    });
    let mut resolution = call.await?;
    resolution
        .metadata
        .insert(EVALUATED_REMOTELY.to_owned(), Value::Bool(true));
    Ok(Arc::new(resolution))
}

const NOT_EVALUATED: Origin = Origin::Fallback(FallbackOrigin::NotEvaluated);

/// The metadata entry of a resolution that came from the fallback (GOFF-FALLBACK-007).
const EVALUATED_REMOTELY: &str = "gofeatureflag_evaluated_remotely";
