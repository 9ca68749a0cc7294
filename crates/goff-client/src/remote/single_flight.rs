//! One request for all concurrent evaluations of the same flag for the same context.
//!
//! The request runs in a separate task, so a caller that gives up takes nothing from the others.
//! The first caller that still waits for the answer is the one whose evaluation the relay proxy
//! recorded; the others are followers. A request that started before its flag was invalidated is
//! not joined. A request that no caller waits for any more ends soon.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::{CacheKey, in_current_context};
use goff_core::{Resolution, ResolutionError};
use tokio::runtime::{self, Handle};
use tokio::sync::{Notify, oneshot};

use crate::remote::invalidation_log::Epoch;

/// The requests in flight.
pub(crate) struct SingleFlight {
    requests: Mutex<InFlightRequests>,
    /// How long a request goes on without a caller, for its answer to be cached.
    grace: Duration,
    without_caller: AtomicUsize,
}

/// The requests in flight, locked.
#[derive(Default)]
pub(crate) struct InFlightRequests {
    joinable: HashMap<RequestKey, Arc<SharedRequest>>,
    /// Replaced by a newer request, by number: no longer joined, still cancelled on shutdown.
    superseded: HashMap<u64, Arc<SharedRequest>>,
    started: u64,
}

/// What is requested, and where.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    /// Callers on another runtime do not join: that runtime may outlive this one, and this one may
    /// be busy or idle.
    runtime: runtime::Id,
    evaluation: CacheKey,
}

/// One request, and the callers that wait for it.
pub(crate) struct SharedRequest {
    key: RequestKey,
    /// The epoch in which the request started.
    pub(crate) epoch: Epoch,
    /// In the order in which requests started.
    pub(crate) number: u64,
    /// In order of arrival; `None` once the request has ended.
    waiting: Mutex<Option<Vec<oneshot::Sender<SharedAnswer>>>>,
    callers: AtomicUsize,
    /// The last caller has given up.
    given_up: Notify,
    cancelled: Notify,
}

/// The place of one caller that waits for a request. Dropping it gives up.
pub(crate) struct Waiting {
    answer: oneshot::Receiver<SharedAnswer>,
    request: Arc<SharedRequest>,
}

/// A request that is to be run. However it ends, it leaves the list, and its callers continue.
pub(crate) struct Flight {
    flights: Arc<SingleFlight>,
    request: Arc<SharedRequest>,
}

/// The result for the first caller and for the others.
pub(crate) struct Landing {
    pub(crate) first: Result<Arc<Resolution>, ResolutionError>,
    pub(crate) followers: Result<Arc<Resolution>, ResolutionError>,
}

/// The answer as one waiting caller gets it.
#[derive(Clone)]
pub(crate) struct SharedAnswer {
    pub(crate) flag_key: Arc<str>,
    pub(crate) result: Result<Arc<Resolution>, ResolutionError>,
    /// Whether the relay proxy recorded this caller's evaluation.
    pub(crate) is_first: bool,
}

impl SingleFlight {
    /// Answers that are cached are worth a short wait after the last caller has given up.
    pub(crate) fn for_cached_answers() -> Arc<Self> {
        Self::with_grace(GRACE)
    }

    #[cfg(feature = "in-process")]
    pub(crate) fn for_uncached_answers() -> Arc<Self> {
        Self::with_grace(Duration::ZERO)
    }

    fn with_grace(grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            requests: Mutex::default(),
            grace,
            without_caller: AtomicUsize::new(0),
        })
    }

    /// Locks the requests, to find and join one or start it in one step.
    pub(crate) fn lock(&self) -> MutexGuard<'_, InFlightRequests> {
        lock(&self.requests)
    }

    /// Starts a request, which [`Flight::run`] is to run, and joins it. `requests` are those of
    /// `self`.
    pub(crate) fn start(
        self: &Arc<Self>,
        mut requests: MutexGuard<'_, InFlightRequests>,
        key: RequestKey,
        epoch: Epoch,
    ) -> (Flight, Waiting) {
        let (sender, answer) = oneshot::channel();
        requests.started += 1;
        let request = Arc::new(SharedRequest {
            key: key.clone(),
            epoch,
            number: requests.started,
            waiting: Mutex::new(Some(vec![sender])),
            callers: AtomicUsize::new(1),
            given_up: Notify::new(),
            cancelled: Notify::new(),
        });
        if let Some(older) = requests.joinable.insert(key, Arc::clone(&request)) {
            requests.superseded.insert(older.number, older);
        }
        let flight = Flight {
            flights: Arc::clone(self),
            request: Arc::clone(&request),
        };
        (flight, Waiting { answer, request })
    }

    /// Ends every request.
    pub(crate) fn cancel_all(&self) {
        let InFlightRequests {
            joinable,
            superseded,
            ..
        } = mem::take(&mut *self.lock());
        for request in joinable.into_values().chain(superseded.into_values()) {
            request.cancelled.notify_one();
        }
    }

    /// A place among the requests that go on without a caller, unless there are too many.
    fn place_without_caller(&self) -> Option<PlaceWithoutCaller<'_>> {
        if self.grace.is_zero() {
            return None;
        }
        let place = PlaceWithoutCaller(&self.without_caller);
        let others = self.without_caller.fetch_add(1, Ordering::Relaxed);
        (others < MAX_WITHOUT_CALLER).then_some(place)
    }
}

impl fmt::Debug for SingleFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.lock();
        f.debug_struct("SingleFlight")
            .field("joinable", &requests.joinable.len())
            .field("superseded", &requests.superseded.len())
            .finish_non_exhaustive()
    }
}

impl InFlightRequests {
    /// Joins the request for `key`, unless its epoch is too old.
    pub(crate) fn join(
        &self,
        key: &RequestKey,
        is_fresh: impl FnOnce(Epoch) -> bool,
    ) -> Option<Waiting> {
        let request = self.joinable.get(key)?;
        is_fresh(request.epoch).then(|| request.join())?
    }

    /// Takes a request off the list; a newer one for the same key stays.
    fn remove(&mut self, request: &SharedRequest) {
        if self.superseded.remove(&request.number).is_some() {
            return;
        }
        let listed = self.joinable.get(&request.key);
        if listed.is_some_and(|listed| listed.number == request.number) {
            self.joinable.remove(&request.key);
        }
    }
}

impl RequestKey {
    pub(crate) fn new(runtime: &Handle, evaluation: CacheKey) -> Self {
        Self {
            runtime: runtime.id(),
            evaluation,
        }
    }

    pub(crate) fn evaluation(&self) -> &CacheKey {
        &self.evaluation
    }
}

impl SharedRequest {
    pub(crate) fn evaluation(&self) -> &CacheKey {
        &self.key.evaluation
    }

    /// `None` if the request has ended.
    fn join(self: &Arc<Self>) -> Option<Waiting> {
        let mut waiting = lock(&self.waiting);
        let waiting = waiting.as_mut()?;
        let callers = self.callers.fetch_add(1, Ordering::Relaxed) + 1;
        // Callers that gave up are forgotten, but not at each arrival: that would take quadratic
        // time.
        if waiting.len() > 2 * callers + SMALL {
            waiting.retain(|waiter| !waiter.is_closed());
        }
        let (sender, answer) = oneshot::channel();
        waiting.push(sender);
        let request = Arc::clone(self);
        Some(Waiting { answer, request })
    }

    /// Hands the result to every caller that still waits.
    fn complete(&self, landing: Landing) {
        let mut answer = SharedAnswer {
            flag_key: Arc::clone(self.evaluation().flag_key()),
            result: landing.first,
            is_first: true,
        };
        let mut followers = Some(landing.followers);
        for waiter in lock(&self.waiting).take().into_iter().flatten() {
            // A caller that gave up is skipped.
            if waiter.send(answer.clone()).is_ok()
                && let Some(result) = followers.take()
            {
                answer.result = result;
                answer.is_first = false;
            }
        }
    }
}

impl Waiting {
    /// The answer; `None` if the request ended without one, because its runtime or the client is
    /// shutting down.
    pub(crate) async fn answer(mut self) -> Option<SharedAnswer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.request.callers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.request.given_up.notify_one();
        }
    }
}

impl Flight {
    pub(crate) fn request(&self) -> &Arc<SharedRequest> {
        &self.request
    }

    /// Runs the request and hands its result to the callers. Without a caller it ends after the
    /// grace period. The request goes out with the OpenTelemetry context of this call, the first
    /// caller's.
    pub(crate) fn run(
        self,
        request: impl Future<Output = Landing> + Send,
    ) -> impl Future<Output = ()> + Send {
        in_current_context(self.run_here(request))
    }

    async fn run_here(self, request: impl Future<Output = Landing>) {
        let Self {
            flights,
            request: shared,
        } = &self;
        let mut request = pin!(request);
        let landing = loop {
            tokio::select! {
                biased;
                landing = &mut request => break landing,
                () = shared.given_up.notified() => {}
                () = shared.cancelled.notified() => return,
            }
            if let Some(_place) = flights.place_without_caller() {
                tokio::select! {
                    biased;
                    landing = &mut request => break landing,
                    () = tokio::time::sleep(flights.grace) => {}
                    () = shared.cancelled.notified() => return,
                }
            }
            // Callers join under this lock.
            let mut requests = flights.lock();
            if shared.callers.load(Ordering::Acquire) == 0 {
                requests.remove(shared);
                return;
            }
        };
        flights.lock().remove(shared);
        shared.complete(landing);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.request);
        lock(&self.request.waiting).take();
    }
}

struct PlaceWithoutCaller<'a>(&'a AtomicUsize);

impl Drop for PlaceWithoutCaller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a request goes on after its last caller has given up.
const GRACE: Duration = Duration::from_millis(250);
/// How many requests may go on without a caller. Others end at once.
const MAX_WITHOUT_CALLER: usize = 64;
/// A list of callers that need not be tidied.
const SMALL: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use goff_core::__internal::CacheKeyRef;
    use goff_core::EvaluationContext;

    use super::*;

    /// The time to start `count` requests, replace them, and end all in the order of their start.
    fn time_to_replace(count: usize) -> Duration {
        let flights = SingleFlight::for_cached_answers();
        let start = |n: usize| {
            let context = EvaluationContext::builder().attribute("n", n.to_string());
            let context = context.build();
            let key = CacheKeyRef::new("flag", &context).unwrap();
            let key = key.to_owned_key(&context);
            let key = RequestKey::new(&Handle::current(), key);
            flights.start(flights.lock(), key, Epoch::default())
        };
        let started = Instant::now();
        let all: Vec<_> = (0..count).chain(0..count).map(start).collect();
        drop(all);
        assert!(flights.lock().joinable.is_empty() && flights.lock().superseded.is_empty());
        started.elapsed()
    }

    /// Eight times as many requests take eight times as long; it would be 64 times if the end of
    /// each looked at all.
    #[tokio::test]
    async fn ending_takes_time_in_proportion_to_the_requests() {
        let ratio = || {
            let few = time_to_replace(5_000).as_secs_f64();
            time_to_replace(40_000).as_secs_f64() / few
        };
        let best = (0..3).map(|_| ratio()).fold(f64::INFINITY, f64::min);
        assert!(best < 24.0, "{best}");
    }
}
