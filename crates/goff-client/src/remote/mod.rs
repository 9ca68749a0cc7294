//! Remote evaluation: the relay proxy evaluates, and answers are cached.

pub(crate) mod bounded_relay;
pub(crate) mod cache;
pub(crate) mod invalidation_log;
pub(crate) mod single_flight;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use goff_core::__internal::{CacheKey, CacheKeyRef};
use goff_core::{
    BulkEvaluation, ContextView, Invalidation, Origin, Outcome, RelayError, ResolutionError,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::remote::bounded_relay::BoundedRelay;
use crate::remote::cache::{CacheLimits, CachedResolution, ResolutionCache, cached_form};
use crate::remote::single_flight::{InFlightRequest, SharedAnswer, SingleFlight};
use crate::status::counters::Counters;

/// Evaluates through a [`RelayClient`](goff_core::RelayClient).
#[derive(Debug)]
pub(crate) struct RemoteEvaluator {
    relay: BoundedRelay,
    cache: Option<ResolutionCache>,
    in_flight: SingleFlight,
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
        cache: Option<CacheLimits>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            relay,
            cache: cache
                .map(|limits| ResolutionCache::new(limits, Arc::clone(&counters.evictions))),
            in_flight: SingleFlight::default(),
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

    /// Evaluates with a request, after [`look_up`](Self::look_up) missed. Concurrent equal
    /// evaluations share one request.
    pub(crate) async fn request(
        self: &Arc<Self>,
        flag_key: &str,
        context: &dyn ContextView,
        key: Option<CacheKey>,
    ) -> Outcome {
        // Single flight needs a Tokio runtime to spawn the request.
        if let (Some(cache), Some(key), Ok(runtime)) = (&self.cache, key, Handle::try_current()) {
            match self.join(cache, key, &runtime) {
                Joined::Cached(cached) => return self.hit(cached),
                Joined::Waits(answer) => {
                    if let Ok(answer) = answer.await {
                        return self.outcome(answer);
                    }
                    // The request was cancelled: its runtime, or this client, is shutting down.
                }
            }
        }
        self.request_alone(flag_key, context).await
    }

    pub(crate) async fn request_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BulkEvaluation, RelayError> {
        self.relay.client.evaluate_all(context).await
    }

    /// Once this returns, no older answer is served for the flags, and no older request joined.
    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        if let Some(cache) = &self.cache {
            cache.invalidate(invalidation);
        }
    }

    /// Cancels the requests in flight.
    pub(crate) fn cancel_requests(&self) {
        self.in_flight.cancel_all();
    }

    /// Joins the request in flight for the same evaluation, or starts one.
    fn join(self: &Arc<Self>, cache: &ResolutionCache, key: CacheKey, runtime: &Handle) -> Joined {
        let mut in_flight = self.in_flight.lock();
        if let Some(request) = in_flight.get(&key)
            && cache.is_fresh(key.flag_key(), request.epoch)
            && let Some(answer) = request.join(runtime.id())
        {
            return Joined::Waits(answer);
        }
        // An answer is cached before its request leaves the list, so an answer that has arrived
        // since the look-up is found here.
        if let Some(cached) = cache.get(&key) {
            return Joined::Cached(cached);
        }
        let (request, answer) = InFlightRequest::new(cache.epoch(), runtime.id());
        let request = Arc::new(request);
        in_flight.insert(key.clone(), Arc::clone(&request));
        // A runtime that is shutting down drops the task in `spawn`, which locks the list.
        drop(in_flight);
        let task = runtime.spawn(send(RequestGuard {
            evaluator: Arc::clone(self),
            key,
            request: Arc::clone(&request),
        }));
        request.set_task(task.abort_handle());
        Joined::Waits(answer)
    }

    async fn request_alone(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        count(&self.counters.misses);
        let (result, origin) = match self.relay.client.evaluate(flag_key, context).await {
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

enum Joined {
    Cached(CachedResolution),
    Waits(oneshot::Receiver<SharedAnswer>),
}

/// Sends a request, and shares its answer.
async fn send(guard: RequestGuard) {
    let RequestGuard {
        evaluator,
        key,
        request,
    } = &guard;
    let flag_key: Arc<str> = key.flag_key().into();
    let relay = &evaluator.relay;
    let result = relay
        .bounded(relay.client.evaluate(&flag_key, &**key.context()))
        .await
        .map(Arc::new)
        .map_err(ResolutionError::from);
    let for_followers = result.as_ref().map(cached_form).map_err(Clone::clone);
    if let (Some(cache), Ok(cached)) = (&evaluator.cache, &for_followers) {
        cache.put(key.clone(), &flag_key, cached, request.epoch);
    }
    evaluator.in_flight.remove(key, request);
    request.complete(&flag_key, result, for_followers);
}

/// A request in flight. However it ends, it leaves the list, and its waiters continue.
struct RequestGuard {
    evaluator: Arc<RemoteEvaluator>,
    key: CacheKey,
    request: Arc<InFlightRequest>,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.evaluator.in_flight.remove(&self.key, &self.request);
        self.request.cancel();
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
