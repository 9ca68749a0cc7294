//! [`CircuitBreaker`]: keeps requests from a relay proxy that does not answer.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::{RequestObserver, random_u64};
use goff_core::RelayError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::remote::circuit::{Admission, Circuit};

/// A [`Circuit`] behind a lock, fed by the HTTP client, by the change stream, and by the results of a
/// custom relay client.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    timeout: Duration,
    /// Otherwise it never opens, and only learns whether the relay proxy has answered.
    is_enabled: bool,
    /// Whether an HTTP client reports its requests. Else the results of the calls say less: every
    /// failure counts.
    has_reports: bool,
    state: Mutex<BreakerState>,
    contact: watch::Sender<Contact>,
}

#[derive(Debug)]
struct BreakerState {
    circuit: Circuit,
    last_failure: Option<Arc<RelayError>>,
    has_answered: bool,
}

impl BreakerState {
    fn new(timeout: Duration) -> Self {
        Self {
            circuit: Circuit::new(timeout),
            last_failure: None,
            has_answered: false,
        }
    }
}

/// What the requests of a session say about the relay proxy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contact {
    pub(crate) has_answered: bool,
    /// How the last request failed before the circuit opened; `None` while it is closed.
    pub(crate) outage: Option<Arc<RelayError>>,
}

/// The permission to send one request.
#[derive(Debug)]
pub(crate) struct Permission {
    breaker: Arc<CircuitBreaker>,
    probe: Option<u64>,
}

impl CircuitBreaker {
    pub(crate) fn new(is_enabled: bool, has_reports: bool, timeout: Duration) -> Self {
        Self {
            timeout,
            is_enabled,
            has_reports,
            state: Mutex::new(BreakerState::new(timeout)),
            contact: watch::Sender::default(),
        }
    }

    /// Forgets what an earlier session learned.
    pub(crate) fn reset(&self) {
        *self.lock() = BreakerState::new(self.timeout);
        self.contact.send_replace(Contact::default());
    }

    pub(crate) fn contact(&self) -> watch::Receiver<Contact> {
        self.contact.subscribe()
    }

    /// # Errors
    /// [`RelayError::CircuitOpen`].
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Permission, RelayError> {
        let mut state = self.lock();
        let probe = match state.circuit.admit(Instant::now()) {
            Admission::Closed => None,
            Admission::Probe(number) => Some(number),
            Admission::Refused {
                unanswered_for,
                next_try,
            } => {
                if let Some(last) = &state.last_failure {
                    return Err(RelayError::CircuitOpen {
                        unanswered_for,
                        next_try,
                        last: Arc::clone(last),
                    });
                }
                None
            }
        };
        drop(state);
        let breaker = Arc::clone(self);
        Ok(Permission { breaker, probe })
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestObserver for CircuitBreaker {
    fn answered(&self) {
        let mut state = self.lock();
        let closed = state.circuit.answered(Instant::now());
        let is_first = !std::mem::replace(&mut state.has_answered, true);
        if closed.is_none() && !is_first {
            return;
        }
        state.last_failure = None;
        // Under the lock, so that the last report says the last state.
        self.contact.send_replace(Contact {
            has_answered: true,
            outage: None,
        });
        drop(state);
        if let Some(outage) = closed {
            let outage_ms = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(outage_ms, "relay proxy answers again");
        }
    }

    fn unanswered(&self, began: Instant, error: &RelayError) {
        if !self.is_enabled {
            return;
        }
        let mut state = self.lock();
        let failure = Arc::new(error.clone());
        state.last_failure = Some(Arc::clone(&failure));
        if state.circuit.failed(began, Instant::now(), random_u64()) {
            self.contact
                .send_modify(|contact| contact.outage = Some(failure));
            drop(state);
            tracing::info!(
                %error,
                "relay proxy does not answer, evaluations that need it fail at once until it does"
            );
        }
    }
}

impl Permission {
    /// Sends the request, and notes how it ends. Dropped before, it says nothing.
    pub(crate) async fn send<T>(
        mut self,
        request: impl Future<Output = Result<T, RelayError>>,
    ) -> Result<T, RelayError> {
        let began = Instant::now();
        let result = request.await;
        let failure = result.as_ref().err();
        let is_unanswered = failure.is_some_and(is_unanswered);
        if !self.breaker.has_reports {
            match failure {
                Some(error) if is_unanswered => self.breaker.unanswered(began, error),
                Some(error) if !is_answer(error) => {}
                _ => self.breaker.answered(),
            }
        }
        self.end(is_unanswered);
        result
    }

    fn end(&mut self, failed: bool) {
        if let Some(probe) = self.probe.take() {
            let mut state = self.breaker.lock();
            let circuit = &mut state.circuit;
            circuit.probe_ended(probe, failed, Instant::now(), random_u64());
        }
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        self.end(false);
    }
}

fn is_unanswered(error: &RelayError) -> bool {
    matches!(
        error,
        RelayError::NotConnected(_) | RelayError::Interrupted(_) | RelayError::Timeout { .. }
    )
}

fn is_answer(error: &RelayError) -> bool {
    matches!(
        error,
        RelayError::Status { .. } | RelayError::Body { .. } | RelayError::Evaluation(_)
    )
}

/// Whether an expired answer may be served instead (option `stale_if_error`).
pub(crate) fn cannot_answer(error: &RelayError) -> bool {
    match error {
        RelayError::CircuitOpen { .. } | RelayError::RateLimited { .. } => true,
        RelayError::Status { status, .. } => *status == 429 || *status >= 500,
        error => is_unanswered(error),
    }
}
