//! Remote evaluation: flags are asked of the relay proxy, through the cache where there is one.

pub(crate) mod cache;
pub(crate) mod invalidation_log;
pub(crate) mod single_flight;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_core::__internal::{CacheKey, CacheKeyRef};
use goff_core::{
    BulkEvaluation, ContextView, Invalidation, Origin, Outcome, RelayClient, RelayError,
    ResolutionError,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::remote::cache::{Kept, ResolutionCache, cached_form};
use crate::remote::single_flight::{Flight, Flights, Landing};
use crate::status::counters::Counters;

/// Evaluates through a [`RelayClient`]. Dropping it ends the requests that it began for its
/// callers.
#[derive(Debug)]
pub(crate) struct RemoteEvaluator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    relay: Arc<dyn RelayClient>,
    cache: Option<ResolutionCache>,
    flights: Flights,
    /// How long a request may take that others wait for.
    timeout: Duration,
    counters: Arc<Counters>,
}

/// The size and age limits of the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLimits {
    pub(crate) size: u64,
    pub(crate) ttl: Option<Duration>,
}

impl RemoteEvaluator {
    /// `cache` is `None` where every evaluation is to be a request.
    pub(crate) fn new(
        relay: Arc<dyn RelayClient>,
        cache: Option<CacheLimits>,
        timeout: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let cache = cache.map(|limits| {
            ResolutionCache::new(limits.size, limits.ttl, Arc::clone(&counters.evictions))
        });
        Self(Arc::new(Inner {
            relay,
            cache,
            flights: Flights::default(),
            timeout,
            counters,
        }))
    }

    /// The answer, if it takes no request: from the cache, or because the context cannot be read.
    pub(crate) fn look_up(&self, flag_key: &str, context: &dyn ContextView) -> Option<Outcome> {
        let cache = self.0.cache.as_ref()?;
        let kept = match CacheKeyRef::new(flag_key, context) {
            Ok(key) => cache.get(key)?,
            Err(error) => {
                return Some(Outcome {
                    flag_key: flag_key.into(),
                    result: Err(Box::new(RelayError::InvalidContext(error).into())),
                    origin: Origin::NotEvaluated,
                });
            }
        };
        Some(self.0.hit(kept))
    }

    /// Asks the relay proxy, together with whoever asks the same meanwhile. Call it after
    /// [`look_up`](Self::look_up) found nothing.
    pub(crate) async fn ask(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        let Some(cache) = &self.0.cache else {
            return self.0.ask_alone(flag_key, context).await;
        };
        let (Ok(key), Ok(runtime)) = (
            CacheKeyRef::new(flag_key, context),
            // Without a runtime there is nobody to fly.
            Handle::try_current(),
        ) else {
            return self.0.ask_alone(flag_key, context).await;
        };
        let owned = key.to_owned_key();
        let landing = match Inner::board(&self.0, cache, key, &owned, &runtime) {
            Boarding::Landed(kept) => return self.0.hit(kept),
            Boarding::Waits(landing) => landing,
        };
        match landing.await {
            Ok(landing) => self.0.outcome(landing),
            // The flight was ended from outside: its runtime, or this client, is going away.
            Err(_) => self.0.ask_alone(flag_key, context).await,
        }
    }

    pub(crate) async fn ask_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BulkEvaluation, RelayError> {
        self.0.relay.evaluate_all(context).await
    }

    /// From when this returns, nothing older is served for the flags, and nobody waits for an
    /// older request.
    pub(crate) fn invalidate(&self, invalidation: &Invalidation) {
        if let Some(cache) = &self.0.cache {
            cache.invalidate(invalidation);
        }
    }
}

impl Drop for RemoteEvaluator {
    fn drop(&mut self) {
        self.0.flights.abort_all();
    }
}

enum Boarding {
    Landed(Kept),
    Waits(oneshot::Receiver<Landing>),
}

impl Inner {
    /// Joins the flight that asks the same, or begins one.
    fn board(
        this: &Arc<Self>,
        cache: &ResolutionCache,
        key: CacheKeyRef<'_>,
        owned: &CacheKey,
        runtime: &Handle,
    ) -> Boarding {
        let mut flights = this.flights.lock();
        if let Some(flight) = flights.get(owned)
            && cache.is_fresh(owned.flag_key(), flight.began)
            && let Some(landing) = flight.board(runtime.id())
        {
            return Boarding::Waits(landing);
        }
        // An answer is kept before its flight leaves the list, so what landed since the look-up
        // is here.
        if let Some(kept) = cache.get(key) {
            return Boarding::Landed(kept);
        }
        let flight = Arc::new(Flight::new(cache.mark(), runtime.id()));
        let landing = flight.board(runtime.id());
        flights.insert(owned.clone(), Arc::clone(&flight));
        // A runtime that is going away drops the task here and now, which takes it off the list.
        drop(flights);
        let task = runtime.spawn(Self::fly(Underway {
            inner: Arc::clone(this),
            key: owned.clone(),
            flight: Arc::clone(&flight),
        }));
        flight.set_task(task.abort_handle());
        match landing {
            Some(landing) => Boarding::Waits(landing),
            // A flight that has just begun can be boarded; a closed channel says the same.
            None => Boarding::Waits(oneshot::channel().1),
        }
    }

    async fn fly(underway: Underway) {
        let Underway { inner, key, flight } = &underway;
        let flag_key: Arc<str> = key.flag_key().into();
        let asked = inner.relay.evaluate(&flag_key, &**key.context());
        let result = match tokio::time::timeout(inner.timeout + GRACE, asked).await {
            Ok(Ok(resolution)) => Ok(Arc::new(resolution)),
            Ok(Err(error)) => Err(ResolutionError::from(error)),
            // A relay client that does not keep to its own bound.
            Err(_) => Err(RelayError::Timeout {
                timeout: inner.timeout,
                sent: true,
            }
            .into()),
        };
        let cached = result.as_ref().ok().map(cached_form);
        if let (Some(cache), Some(cached)) = (&inner.cache, &cached) {
            cache.put(key.clone(), &flag_key, cached, flight.began);
        }
        inner.flights.remove(key, flight);
        flight.land(&flag_key, &result, || match (&cached, &result) {
            (Some(cached), _) => Ok(Arc::clone(cached)),
            (None, result) => result.clone(),
        });
    }

    async fn ask_alone(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        let (result, origin) = match self.relay.evaluate(flag_key, context).await {
            Ok(resolution) => (Ok(Arc::new(resolution)), Origin::Relay),
            Err(error) => {
                let origin = error.origin();
                (Err(Box::new(error.into())), origin)
            }
        };
        Outcome {
            flag_key: flag_key.into(),
            result,
            origin,
        }
    }

    fn hit(&self, kept: Kept) -> Outcome {
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        Outcome {
            flag_key: kept.flag_key,
            result: Ok(kept.resolution),
            origin: Origin::Cache,
        }
    }

    fn outcome(&self, landing: Landing) -> Outcome {
        let Landing {
            flag_key,
            result,
            is_first,
        } = landing;
        let (counter, origin) = match (&result, is_first) {
            (_, false) => (&self.counters.shared, Origin::Shared),
            (Ok(_), true) => (&self.counters.misses, Origin::Relay),
            (Err(error), true) => (&self.counters.misses, error.origin()),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        Outcome {
            flag_key,
            result: result.map_err(Box::new),
            origin,
        }
    }
}

/// A relay client that keeps to the timeout by itself knows more of why it ran out.
const GRACE: Duration = Duration::from_millis(100);

/// A flight under way. However it ends, it leaves the list and lets go of whoever waits.
struct Underway {
    inner: Arc<Inner>,
    key: CacheKey,
    flight: Arc<Flight>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.inner.flights.remove(&self.key, &self.flight);
        self.flight.cancel();
    }
}
