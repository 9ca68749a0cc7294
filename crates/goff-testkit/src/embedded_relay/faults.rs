//! Faults on demand, as gateways and networks cause them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::socket::EndFault;

/// What an [`EmbeddedRelay`](crate::EmbeddedRelay) does with a request before or instead of
/// answering it.
///
/// A fault applies to every request until [`clear_faults`](crate::EmbeddedRelay::clear_faults),
/// unless it is restricted to an [endpoint](Self::on) or to a [number of requests](Self::times).
/// Of several faults that apply, the one injected first takes effect.
///
/// ```
/// use std::time::Duration;
/// use goff_testkit::{Fault, RelayEndpoint};
///
/// let busy = Fault::rate_limited(Duration::from_secs(2)).on(RelayEndpoint::Evaluation).times(3);
/// # drop(busy);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    effect: Effect,
    endpoint: Option<RelayEndpoint>,
    remaining: Option<usize>,
}

/// The groups of requests to which a [`Fault`] can be restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RelayEndpoint {
    /// The evaluation of one flag, in either protocol.
    Evaluation,
    /// The evaluation of all flags, in either protocol.
    BulkEvaluation,
    /// The flag configuration, and its hashes.
    Configuration,
    /// The data collector.
    Collector,
    /// The handshake of a change stream, at either address.
    ChangeStream,
    /// `/health`, `/info` and any other path.
    Other,
}

#[derive(Clone)]
pub(super) enum Effect {
    Delay(Duration),
    /// Status, seconds of `Retry-After`, body.
    Answer(u16, Option<u64>, String),
    End(EndFault),
    Silence,
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "delay of {delay:?}"),
            Self::Answer(status, ..) => write!(f, "status {status}"),
            Self::End(EndFault::Reset) => f.write_str("reset"),
            Self::End(EndFault::Garbage(_)) => f.write_str("garbage"),
            Self::Silence => f.write_str("silence"),
        }
    }
}

impl Fault {
    /// Answers after a delay.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Effect::Delay(delay))
    }

    /// Answers as a gateway would: with this status and a line of HTML.
    pub fn status(status: u16) -> Self {
        let body = format!("<html><body>{status}</body></html>\n");
        Self::new(Effect::Answer(status, None, body))
    }

    /// Answers 429 with a `Retry-After` in seconds; a fraction is rounded up.
    pub fn rate_limited(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        let body = "too many requests\n".to_owned();
        Self::new(Effect::Answer(429, Some(seconds), body))
    }

    /// Resets the connection instead of answering.
    pub fn reset() -> Self {
        Self::new(Effect::End(EndFault::Reset))
    }

    /// These bytes come in place of an answer, then the connection ends.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Effect::End(EndFault::Garbage(bytes.into())))
    }

    /// Never answers; the connection stays open.
    pub fn silence() -> Self {
        Self::new(Effect::Silence)
    }

    /// Restricts the fault to requests of this group.
    pub fn on(mut self, endpoint: RelayEndpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Restricts the fault to so many requests.
    pub fn times(mut self, count: usize) -> Self {
        self.remaining = Some(count);
        self
    }

    fn new(effect: Effect) -> Self {
        Self {
            effect,
            endpoint: None,
            remaining: None,
        }
    }
}

/// The active faults.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The fault for a request to this endpoint.
    pub(super) fn next(&self, endpoint: RelayEndpoint) -> Option<Effect> {
        let mut faults = self.lock();
        faults.retain(|fault| fault.remaining != Some(0));
        let fault = faults
            .iter_mut()
            .find(|fault| fault.endpoint.is_none_or(|only| only == endpoint))?;
        fault.remaining = fault.remaining.map(|remaining| remaining - 1);
        Some(fault.effect.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_apply_in_order_at_their_endpoint_and_as_often_as_configured() {
        let faults = Faults::default();
        faults.add(Fault::reset().on(RelayEndpoint::Collector).times(1));
        faults.add(Fault::status(503).times(2));
        let next = |endpoint| faults.next(endpoint).map(|effect| format!("{effect:?}"));
        assert_eq!(next(RelayEndpoint::Evaluation).unwrap(), "status 503");
        assert_eq!(next(RelayEndpoint::Collector).unwrap(), "reset");
        assert_eq!(next(RelayEndpoint::Collector).unwrap(), "status 503");
        assert_eq!(next(RelayEndpoint::Collector), None);
    }
}
