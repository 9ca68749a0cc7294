//! Remote evaluation: the relay proxy evaluates, and answers are cached.

pub(crate) mod bounded_relay;
pub(crate) mod cache;
pub(crate) mod circuit;
pub(crate) mod circuit_breaker;
pub(crate) mod invalidation_log;
pub(crate) mod measured_collector;
pub(crate) mod outage_log;
pub(crate) mod prefetched;
pub(crate) mod single_flight;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use goff_core::__internal::{CacheKey, CacheKeyRef};
#[cfg(feature = "in-process")]
use goff_core::{BodyProblem, ConfigurationUpdate, FlagConfiguration};
use goff_core::{
    BulkEvaluation, ContextView, Invalidation, Origin, Outcome, RelayError, ResolutionError,
    SDK_DEFAULT_VARIANT,
};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::remote::bounded_relay::BoundedRelay;
use crate::remote::cache::{CacheLimits, CachedResolution, ResolutionCache, cached_form};
use crate::remote::circuit::LONGEST_PAUSE;
use crate::remote::circuit_breaker::{CircuitBreaker, Permission, cannot_answer, is_unanswered};
use crate::remote::outage_log::OutageLog;
use crate::remote::single_flight::{
    Landing, RequestKey, SharedAnswer, SharedRequest, SingleFlight, Waiting,
};
use crate::status::counters::Counters;
use crate::status::requests::Operation;

/// Evaluates through a [`RelayClient`](goff_core::RelayClient).
#[derive(Debug)]
pub(crate) struct RemoteEvaluator {
    relay: BoundedRelay,
    breaker: Arc<CircuitBreaker>,
    cache: Option<ResolutionCache>,
    in_flight: Arc<SingleFlight>,
    outage: OutageLog,
    counters: Arc<Counters>,
}

/// An answer without a request, or what the request needs.
pub(crate) enum RemoteLookup {
    Answered(Outcome),
    /// The key of the answer in the cache, if there is a cache.
    Missed(Option<CacheKey>),
}

impl RemoteEvaluator {
    /// `cache` is `None` if every evaluation is to be a request.
    pub(crate) fn new(
        relay: BoundedRelay,
        breaker: Arc<CircuitBreaker>,
        cache: Option<CacheLimits>,
        counters: Arc<Counters>,
    ) -> Self {
        breaker.reset();
        Self {
            relay,
            breaker,
            cache: cache
                .map(|limits| ResolutionCache::new(limits, Arc::clone(&counters.evictions))),
            in_flight: SingleFlight::for_cached_answers(),
            outage: OutageLog::default(),
            counters,
        }
    }

    /// Evaluates without a request: from the cache, or with the error of a context that cannot be
    /// read. `given` decides the key, which does not contain exporter metadata; `sent` is the
    /// context of the request.
    #[inline]
    pub(crate) fn look_up(
        &self,
        flag_key: &str,
        given: &dyn ContextView,
        sent: &dyn ContextView,
    ) -> RemoteLookup {
        let Some(cache) = &self.cache else {
            return RemoteLookup::Missed(None);
        };
        match CacheKeyRef::new(flag_key, given) {
            Ok(key) => match cache.get_ref(key) {
                Some(cached) => RemoteLookup::Answered(self.hit(cached)),
                None => RemoteLookup::Missed(Some(key.to_owned_key(sent))),
            },
            Err(error) => RemoteLookup::Answered(Outcome::new(
                flag_key,
                Err(Box::new(RelayError::InvalidContext(error).into())),
                Origin::NotEvaluated,
            )),
        }
    }

    /// Evaluates with a request, after [`look_up`](Self::look_up) missed. Called inside the runtime of
    /// the request.
    pub(crate) async fn request(
        self: &Arc<Self>,
        flag_key: &str,
        context: &dyn ContextView,
        key: Option<&CacheKey>,
    ) -> Outcome {
        let Some((cache, key)) = self.cache.as_ref().zip(key) else {
            return self.request_alone(flag_key, context).await;
        };
        let outcome = self.request_shared(cache, key, context).await;
        match cache.serves_stale() {
            true => self.or_stale(cache, key, outcome),
            false => outcome,
        }
    }

    /// Concurrent equal evaluations on one runtime share one request.
    async fn request_shared(
        self: &Arc<Self>,
        cache: &ResolutionCache,
        key: &CacheKey,
        context: &dyn ContextView,
    ) -> Outcome {
        let joined = match self.admit() {
            Ok(permission) => self.join(cache, key.clone(), permission),
            Err(error) => return not_sent(key.flag_key(), error),
        };
        match joined {
            Joined::Cached(cached) => return self.hit(cached),
            Joined::Waits(waiting) => {
                if let Some(answer) = waiting.answer().await {
                    return self.outcome(answer);
                }
            }
        }
        // The request was cancelled: its runtime, or this client, is shutting down. Boxed, because
        // that is rare.
        Box::pin(self.request_alone(key.flag_key(), context)).await
    }

    fn admit(&self) -> Result<Permission, RelayError> {
        self.breaker
            .admit()
            .inspect_err(|_| count(&self.counters.circuit_open))
    }

    /// An expired answer instead of a failure of the relay proxy. The relay proxy may have recorded a
    /// request that was lost, so its origin stays unknown.
    fn or_stale(&self, cache: &ResolutionCache, key: &CacheKey, outcome: Outcome) -> Outcome {
        let cannot_answer = matches!(
            &outcome.result,
            Err(error) if matches!(&**error, ResolutionError::Relay(error) if cannot_answer(error))
        );
        let stale = cannot_answer.then(|| cache.get_stale(key)).flatten();
        let Some(stale) = stale else {
            return outcome;
        };
        count(&self.counters.stale);
        let origin = match outcome.origin {
            Origin::NotEvaluated => Origin::Cache,
            origin => origin,
        };
        Outcome::new(outcome.flag_key, Ok(stale), origin)
    }

    /// The longest that a request takes.
    pub(crate) fn limit(&self) -> Duration {
        self.relay.limit()
    }

    pub(crate) async fn request_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BulkEvaluation, RelayError> {
        let mut permission = self.breaker.admit()?;
        let call = pin!(self.relay.bounded(Operation::EvaluateAll, |client| {
            client.evaluate_all(context)
        }));
        let mut answer = permission.send(call).await;
        self.outage.note(&answer);
        if let Ok(flags) = &mut answer {
            // As in the answer for one flag (docs/relay-protocol.md 8).
            for flag in flags.values_mut().filter_map(|flag| flag.as_mut().ok()) {
                if flag.is_disabled() {
                    flag.variant = Some(SDK_DEFAULT_VARIANT.to_owned());
                }
            }
        }
        answer
    }

    /// The configuration of one flag, for an explanation. The circuit breaker does not count it: it
    /// says nothing about evaluations.
    #[cfg(feature = "in-process")]
    pub(crate) async fn configuration_of(
        &self,
        flag_key: &str,
    ) -> Result<FlagConfiguration, RelayError> {
        let flags = [flag_key.to_owned()];
        match self.relay.flag_configuration(&flags, None).await? {
            ConfigurationUpdate::Loaded(configuration) => Ok(configuration),
            // Of nothing that was held.
            ConfigurationUpdate::NotModified => Err(RelayError::Body {
                problem: BodyProblem::Empty,
                status: 304,
                server: None,
            }),
        }
    }

    /// Once this returns, no older answer is served for the flags, and no older request joined.
    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        if let Some(cache) = &self.cache {
            cache.invalidate(invalidation);
        }
    }

    /// About how many bytes of memory the cached answers keep.
    pub(crate) fn cache_bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, ResolutionCache::bytes)
    }

    pub(crate) fn breaker(&self) -> &Arc<CircuitBreaker> {
        &self.breaker
    }

    /// Tries again, forever, while the circuit is open, with requests that evaluate nothing: without
    /// evaluations too the end of an outage is noticed. An evaluation that waits goes first, because
    /// a gateway may treat the two differently.
    pub(crate) async fn probe(&self) {
        let flags = [UNLIKELY_FLAG.to_owned()];
        let mut patience = PATIENCE;
        loop {
            self.breaker.next_try().await;
            sleep(patience).await;
            let Some(mut permission) = self.breaker.admit().ok().filter(Permission::is_probe)
            else {
                continue;
            };
            let answer = permission.send(self.relay.flag_configuration(&flags, None));
            patience = match answer.await {
                Err(error) if is_unanswered(&error) => LONGEST_PAUSE,
                _ => PATIENCE,
            };
        }
    }

    /// Cancels the requests in flight.
    pub(crate) fn cancel_requests(&self) {
        self.in_flight.cancel_all();
    }

    /// Joins the request in flight for the same evaluation, or starts one.
    fn join(
        self: &Arc<Self>,
        cache: &ResolutionCache,
        key: CacheKey,
        permission: Permission,
    ) -> Joined {
        // Nothing was awaited since the caller has checked that there is a runtime.
        let runtime = Handle::current();
        let key = RequestKey::new(&runtime, key);
        let requests = self.in_flight.lock();
        let is_fresh = |epoch| cache.is_fresh(key.evaluation().flag_key(), epoch);
        if let Some(waiting) = requests.join(&key, is_fresh) {
            return Joined::Waits(waiting);
        }
        // An answer is cached before its request leaves the list, so an answer that has arrived
        // since the look-up is found here.
        if let Some(cached) = cache.get(key.evaluation()) {
            return Joined::Cached(cached);
        }
        let (flight, waiting) = self.in_flight.start(requests, key, cache.epoch());
        let request = Arc::clone(self).send(Arc::clone(flight.request()), permission);
        runtime.spawn(flight.run(request));
        Joined::Waits(waiting)
    }

    /// Sends a request, and caches its answer.
    async fn send(
        self: Arc<Self>,
        request: Arc<SharedRequest>,
        mut permission: Permission,
    ) -> Landing {
        let key = request.evaluation();
        let relay = &self.relay;
        let call = pin!(relay.bounded(Operation::Evaluate, |client| {
            client.evaluate(key.flag_key(), &**key.context())
        }));
        let first = permission.send(call).await;
        self.outage.note(&first);
        let first = first.map(Arc::new).map_err(ResolutionError::from);
        let followers = first.as_ref().map(cached_form).map_err(Clone::clone);
        if let (Some(cache), Ok(cached)) = (&self.cache, &followers) {
            cache.put(key.clone(), cached, request.epoch, request.number);
        }
        Landing { first, followers }
    }

    async fn request_alone(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        let mut permission = match self.admit() {
            Ok(permission) => permission,
            Err(error) => return not_sent(flag_key, error),
        };
        count(&self.counters.misses);
        let relay = &self.relay;
        let call = pin!(relay.bounded(Operation::Evaluate, |client| {
            client.evaluate(flag_key, context)
        }));
        let answer = permission.send(call).await;
        self.outage.note(&answer);
        let (result, origin) = match answer {
            Ok(resolution) => (Ok(Arc::new(resolution)), Origin::Relay),
            Err(error) => {
                let origin = error.origin();
                (Err(Box::new(error.into())), origin)
            }
        };
        Outcome::new(flag_key, result, origin)
    }

    fn hit(&self, cached: CachedResolution) -> Outcome {
        count(&self.counters.hits);
        Outcome::new(cached.flag_key, Ok(cached.resolution), Origin::Cache)
    }

    fn outcome(&self, answer: SharedAnswer) -> Outcome {
        let (counter, origin) = match (&answer.result, answer.is_first) {
            (_, false) => (&self.counters.shared, Origin::Shared),
            (Ok(_), true) => (&self.counters.misses, Origin::Relay),
            (Err(error), true) => (&self.counters.misses, error.origin()),
        };
        count(counter);
        Outcome::new(answer.flag_key, answer.result.map_err(Box::new), origin)
    }
}

fn not_sent(flag_key: &str, error: RelayError) -> Outcome {
    Outcome::new(flag_key, Err(Box::new(error.into())), Origin::NotEvaluated)
}

enum Joined {
    Cached(CachedResolution),
    Waits(Waiting),
}

/// The relay proxy skips names that it does not know (docs/relay-protocol.md 12).
pub(crate) const UNLIKELY_FLAG: &str = "goff-rs: check of the API key";

/// How long a request that evaluates nothing leaves the turn to evaluations.
const PATIENCE: Duration = Duration::from_secs(1);

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
