//! One request for all concurrent evaluations of the same flag for the same context.
//!
//! The request runs in a separate task, so a caller that gives up takes nothing from the others.
//! The first caller that still waits for the answer is the one whose evaluation the relay proxy
//! recorded; the others are followers. A request that started before its flag was invalidated is
//! not joined.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use goff_core::__internal::CacheKey;
use goff_core::{Resolution, ResolutionError};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::remote::invalidation_log::Epoch;

/// The requests in flight.
#[derive(Debug, Default)]
pub(crate) struct SingleFlight(Mutex<InFlightRequests>);

/// The requests in flight, locked.
#[derive(Debug, Default)]
pub(crate) struct InFlightRequests {
    joinable: HashMap<CacheKey, Arc<InFlightRequest>>,
    /// Replaced by a newer request: no longer joined, still cancelled on shutdown.
    superseded: Vec<Arc<InFlightRequest>>,
}

/// One request, and the callers that wait for it.
#[derive(Debug)]
pub(crate) struct InFlightRequest {
    /// The epoch in which the request started.
    pub(crate) epoch: Epoch,
    /// Callers on another runtime do not join: that runtime may outlive this one.
    runtime: runtime::Id,
    /// In order of arrival; `None` once the request has ended.
    waiting: Mutex<Option<Vec<oneshot::Sender<SharedAnswer>>>>,
    task: Mutex<Option<AbortHandle>>,
}

/// The answer as one waiting caller gets it.
#[derive(Debug, Clone)]
pub(crate) struct SharedAnswer {
    pub(crate) flag_key: Arc<str>,
    pub(crate) result: Result<Arc<Resolution>, ResolutionError>,
    /// Whether the relay proxy recorded this caller's evaluation.
    pub(crate) is_first: bool,
}

impl SingleFlight {
    /// Locks the requests, to find and join one or start it in one step.
    pub(crate) fn lock(&self) -> MutexGuard<'_, InFlightRequests> {
        lock(&self.0)
    }

    /// Takes a request off the list; a newer one for the same key stays.
    pub(crate) fn remove(&self, key: &CacheKey, request: &Arc<InFlightRequest>) {
        let mut requests = self.lock();
        let is_joinable = requests
            .get(key)
            .is_some_and(|listed| Arc::ptr_eq(listed, request));
        if is_joinable {
            requests.joinable.remove(key);
        } else {
            requests
                .superseded
                .retain(|listed| !Arc::ptr_eq(listed, request));
        }
    }

    /// Aborts every request.
    pub(crate) fn cancel_all(&self) {
        let InFlightRequests {
            joinable,
            superseded,
        } = mem::take(&mut *self.lock());
        for request in joinable.into_values().chain(superseded) {
            if let Some(task) = &*lock(&request.task) {
                task.abort();
            }
        }
    }
}

impl InFlightRequests {
    pub(crate) fn get(&self, key: &CacheKey) -> Option<&Arc<InFlightRequest>> {
        self.joinable.get(key)
    }

    pub(crate) fn insert(&mut self, key: CacheKey, request: Arc<InFlightRequest>) {
        let superseded = self.joinable.insert(key, request);
        self.superseded.extend(superseded);
    }
}

impl InFlightRequest {
    /// A request, and the answer for the caller that starts it.
    pub(crate) fn new(
        epoch: Epoch,
        runtime: runtime::Id,
    ) -> (Self, oneshot::Receiver<SharedAnswer>) {
        let (sender, receiver) = oneshot::channel();
        let request = Self {
            epoch,
            runtime,
            waiting: Mutex::new(Some(vec![sender])),
            task: Mutex::new(None),
        };
        (request, receiver)
    }

    /// The answer for one more caller; `None` if the request has ended, or runs on another
    /// runtime.
    pub(crate) fn join(&self, runtime: runtime::Id) -> Option<oneshot::Receiver<SharedAnswer>> {
        if runtime != self.runtime {
            return None;
        }
        let mut waiting = lock(&self.waiting);
        let waiting = waiting.as_mut()?;
        // Callers that gave up are forgotten, so that the list stays short.
        waiting.retain(|waiter| !waiter.is_closed());
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        Some(receiver)
    }

    pub(crate) fn set_task(&self, task: AbortHandle) {
        *lock(&self.task) = Some(task);
    }

    /// Hands the result to every caller that still waits: as it is to the first, in the form for
    /// followers to the others.
    pub(crate) fn complete(
        &self,
        flag_key: &Arc<str>,
        result: Result<Arc<Resolution>, ResolutionError>,
        for_followers: Result<Arc<Resolution>, ResolutionError>,
    ) {
        let mut answer = SharedAnswer {
            flag_key: Arc::clone(flag_key),
            result,
            is_first: true,
        };
        let mut for_followers = Some(for_followers);
        for waiter in lock(&self.waiting).take().into_iter().flatten() {
            // A caller that gave up is skipped.
            if waiter.send(answer.clone()).is_ok()
                && let Some(result) = for_followers.take()
            {
                answer.result = result;
                answer.is_first = false;
            }
        }
    }

    /// Ends a request without an answer; its callers send their own.
    pub(crate) fn cancel(&self) {
        lock(&self.waiting).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
