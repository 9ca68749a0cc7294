//! One request for all who ask the same thing at the same time.
//!
//! A flight is a request in a task of its own: no caller owns it, so one that gives up takes
//! nothing from the others. The first caller still there when it lands is the one whom the relay
//! proxy recorded; everybody else is a follower. Nobody boards a flight that began before their
//! flag was invalidated.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use goff_core::__internal::CacheKey;
use goff_core::{Resolution, ResolutionError};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::remote::invalidation_log::Mark;

/// The flights under way.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<FlightList>);

/// The flights under way, locked.
#[derive(Debug, Default)]
pub(crate) struct FlightList {
    /// By what they ask for.
    boarding: HashMap<CacheKey, Arc<Flight>>,
    /// Those that another has taken the place of: nobody boards them, but they too are ended.
    overtaken: Vec<Arc<Flight>>,
}

/// One request and who waits for it.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) began: Mark,
    /// A task of another runtime may never run again, so nobody waits for one.
    runtime: runtime::Id,
    /// In order of arrival; `None` once it has landed.
    waiting: Mutex<Option<Vec<oneshot::Sender<Landing>>>>,
    task: Mutex<Option<AbortHandle>>,
}

/// What one of those who waited gets.
#[derive(Debug, Clone)]
pub(crate) struct Landing {
    pub(crate) flag_key: Arc<str>,
    pub(crate) result: Result<Arc<Resolution>, ResolutionError>,
    /// Whether this is the caller whom the relay proxy recorded.
    pub(crate) is_first: bool,
}

impl Flights {
    /// The flights, to look for one and board or begin it in one step.
    pub(crate) fn lock(&self) -> MutexGuard<'_, FlightList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a flight off the list; a newer one that has taken its place stays.
    pub(crate) fn remove(&self, key: &CacheKey, flight: &Arc<Flight>) {
        let mut flights = self.lock();
        let is_boarding = flights
            .boarding
            .get(key)
            .is_some_and(|listed| Arc::ptr_eq(listed, flight));
        if is_boarding {
            flights.boarding.remove(key);
        } else {
            flights
                .overtaken
                .retain(|listed| !Arc::ptr_eq(listed, flight));
        }
    }

    /// Ends every flight; who waits is told nothing.
    pub(crate) fn abort_all(&self) {
        let FlightList {
            boarding,
            overtaken,
        } = mem::take(&mut *self.lock());
        for flight in boarding.into_values().chain(overtaken) {
            flight.abort();
        }
    }
}

impl FlightList {
    pub(crate) fn get(&self, key: &CacheKey) -> Option<&Arc<Flight>> {
        self.boarding.get(key)
    }

    pub(crate) fn insert(&mut self, key: CacheKey, flight: Arc<Flight>) {
        let overtaken = self.boarding.insert(key, flight);
        self.overtaken.extend(overtaken);
    }
}

impl Flight {
    pub(crate) fn new(began: Mark, runtime: runtime::Id) -> Self {
        Self {
            began,
            runtime,
            waiting: Mutex::new(Some(Vec::new())),
            task: Mutex::new(None),
        }
    }

    /// Waits with the others; `None` when it has landed, or flies on another runtime.
    pub(crate) fn board(&self, runtime: runtime::Id) -> Option<oneshot::Receiver<Landing>> {
        if runtime != self.runtime {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = waiting.as_mut()?;
        // Whoever gave up need not be remembered until the end.
        waiting.retain(|waiter| !waiter.is_closed());
        let (sender, receiver) = oneshot::channel();
        waiting.push(sender);
        Some(receiver)
    }

    pub(crate) fn set_task(&self, task: AbortHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Hands the result to everybody who still waits: the first of them as it is, the others in
    /// the form that followers get.
    pub(crate) fn land(
        &self,
        flag_key: &Arc<str>,
        result: &Result<Arc<Resolution>, ResolutionError>,
        for_followers: impl FnOnce() -> Result<Arc<Resolution>, ResolutionError>,
    ) {
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_default();
        let mut waiting = waiting.into_iter();
        let first = waiting.by_ref().any(|waiter| {
            waiter
                .send(Landing {
                    flag_key: Arc::clone(flag_key),
                    result: result.clone(),
                    is_first: true,
                })
                .is_ok()
        });
        if !first || waiting.len() == 0 {
            return;
        }
        let landing = Landing {
            flag_key: Arc::clone(flag_key),
            result: for_followers(),
            is_first: false,
        };
        for waiter in waiting {
            // Who has given up by now misses nothing.
            let _ = waiter.send(landing.clone());
        }
    }

    /// Ends a flight that will not land; who waits is told nothing and may begin another.
    pub(crate) fn cancel(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn abort(&self) {
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
