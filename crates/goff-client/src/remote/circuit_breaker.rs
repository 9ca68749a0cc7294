//! [`CircuitBreaker`]: keeps requests from a relay proxy that does not answer.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::{RequestObserver, random_u64};
use goff_core::RelayError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

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
    /// How the last request failed that counts, or that tried; `None` while the circuit is closed.
    pub(crate) outage: Option<Arc<RelayError>>,
}

/// The permission to send one request.
#[derive(Debug)]
pub(crate) struct Permission {
    breaker: Arc<CircuitBreaker>,
    probe: Option<u64>,
    /// Whether dropping this gives up a request that may hang.
    is_in_flight: bool,
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
        let admission = match state.circuit.is_closed() {
            // The usual case needs no time.
            true => Admission::Closed,
            false => state.circuit.admit(Instant::now()),
        };
        let probe = match admission {
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
        Ok(Permission {
            breaker: Arc::clone(self),
            probe,
            is_in_flight: false,
        })
    }

    /// Waits until the circuit is open and the next request may try.
    pub(crate) async fn next_try(&self) {
        let mut contact = self.contact();
        loop {
            let next_try = self.lock().circuit.next_try();
            // The sender is in `self`, so the channel is open.
            let _ = match next_try {
                None => contact.changed().await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => timeout_at(at, contact.changed()).await.unwrap_or(Ok(())),
            };
        }
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
    /// Whether the circuit is open and this request tries.
    pub(crate) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Sends the request, and notes how it ends.
    pub(crate) async fn send<T>(
        &mut self,
        request: impl Future<Output = Result<T, RelayError>>,
    ) -> Result<T, RelayError> {
        let began = (!self.breaker.has_reports).then(Instant::now);
        self.is_in_flight = true;
        let result = request.await;
        let failure = result.as_ref().err();
        let is_unanswered = failure.is_some_and(is_unanswered);
        if let Some(began) = began {
            match failure {
                Some(error) if is_unanswered => self.breaker.unanswered(began, error),
                Some(error) if !is_answer(error) => {}
                _ => self.breaker.answered(),
            }
        }
        self.end(is_unanswered, failure.filter(|_| is_unanswered));
        result
    }

    fn end(&mut self, was_sent: bool, failure: Option<&RelayError>) {
        let Some(probe) = self.probe.take() else {
            return;
        };
        let mut state = self.breaker.lock();
        let circuit = &mut state.circuit;
        if !circuit.probe_ended(probe, was_sent, Instant::now(), random_u64()) {
            return;
        }
        if let Some(failure) = failure {
            state.last_failure = Some(Arc::new(failure.clone()));
        }
        let outage = state.last_failure.clone();
        // Under the lock, as all reports. Wakes what waits for the next try.
        self.breaker
            .contact
            .send_modify(|contact| contact.outage = outage);
    }
}

/// Callers that give up one after the other must not all try without a pause.
impl Drop for Permission {
    fn drop(&mut self) {
        self.end(self.is_in_flight, None);
    }
}

pub(crate) fn is_unanswered(error: &RelayError) -> bool {
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
