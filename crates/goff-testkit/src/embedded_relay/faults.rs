//! Faults on demand: what a gateway or a network in trouble does to requests.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What an [`EmbeddedRelay`](crate::EmbeddedRelay) does with a request instead of answering it,
/// or before.
///
/// It goes for every request until [`clear_faults`](crate::EmbeddedRelay::clear_faults), unless
/// it is restricted to an [endpoint](Self::on) or to a [number of requests](Self::times). Of
/// several that apply the one that was added first is taken.
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

/// The groups of requests that a [`Fault`] can be restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RelayEndpoint {
    /// One flag, by either protocol.
    Evaluation,
    /// All flags, by either protocol.
    BulkEvaluation,
    /// The flag configuration, and its hashes.
    Configuration,
    /// The data collector.
    Collector,
    /// The handshake of the change stream, at either address.
    ChangeStream,
    /// `/health`, `/info` and whatever is none of the others.
    Other,
}

#[derive(Clone)]
pub(super) enum Effect {
    Delay(Duration),
    Answer {
        status: u16,
        retry_after: Option<String>,
        body: String,
    },
    Reset,
    Garbage(Vec<u8>),
    Silence,
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "delay of {delay:?}"),
            Self::Answer { status, .. } => write!(f, "status {status}"),
            Self::Reset => f.write_str("reset"),
            Self::Garbage(_) => f.write_str("garbage"),
            Self::Silence => f.write_str("silence"),
        }
    }
}

impl Fault {
    /// The answer comes that much later.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Effect::Delay(delay))
    }

    /// Another answer, as a gateway gives it: this status, and a line of text.
    pub fn status(status: u16) -> Self {
        Self::new(Effect::Answer {
            status,
            retry_after: None,
            body: format!("<html><body>{status}</body></html>\n"),
        })
    }

    /// 429, to come back after so many seconds; parts of a second are rounded up.
    pub fn rate_limited(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::new(Effect::Answer {
            status: 429,
            retry_after: Some(seconds.to_string()),
            body: "too many requests\n".to_owned(),
        })
    }

    /// The connection is reset in place of an answer.
    pub fn reset() -> Self {
        Self::new(Effect::Reset)
    }

    /// These bytes come in place of an answer, then the connection ends.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Effect::Garbage(bytes.into()))
    }

    /// No answer ever comes; the connection stays open.
    pub fn silence() -> Self {
        Self::new(Effect::Silence)
    }

    /// Only for requests of this group.
    pub fn on(self, endpoint: RelayEndpoint) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..self
        }
    }

    /// Only for so many requests.
    pub fn times(self, count: usize) -> Self {
        Self {
            remaining: Some(count),
            ..self
        }
    }

    fn new(effect: Effect) -> Self {
        Self {
            effect,
            endpoint: None,
            remaining: None,
        }
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The fault that this request meets.
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
    fn faults_are_met_in_order_where_and_as_often_as_said() {
        let faults = Faults::default();
        faults.add(Fault::reset().on(RelayEndpoint::Collector).times(1));
        faults.add(Fault::status(503).times(2));
        let met = |endpoint| faults.next(endpoint).map(|effect| format!("{effect:?}"));
        assert_eq!(met(RelayEndpoint::Evaluation).unwrap(), "status 503");
        assert_eq!(met(RelayEndpoint::Collector).unwrap(), "reset");
        assert_eq!(met(RelayEndpoint::Collector).unwrap(), "status 503");
        assert_eq!(met(RelayEndpoint::Collector), None);
    }
}
