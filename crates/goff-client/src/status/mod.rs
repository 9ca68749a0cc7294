//! How a client is doing.

pub(crate) mod check_error;
pub(crate) mod counters;
pub(crate) mod error;
pub(crate) mod events;
#[cfg(feature = "opentelemetry")]
pub(crate) mod metrics;
pub(crate) mod refresh;
pub(crate) mod request_counters;
pub(crate) mod requests;
pub(crate) mod stats;

use std::sync::Arc;
use std::time::Duration;

use goff_core::NoRuntimeError;
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::status::error::ClientError;
use crate::status::events::{ChangedFlags, ClientEvent, EventBroadcaster, Subscription};

/// The state of a client, for how long it has been in it, and what failed last.
///
/// Serializes with `age_seconds` for `age`, `last_error` as its message, and
/// `last_error_age_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The state.
    pub state: State,
    /// How long the client has been in this state.
    #[serde(rename = "age_seconds", serialize_with = "as_seconds")]
    pub age: Duration,
    /// What fails in the background, until it works again: the refresh of the flag configuration
    /// (in-process evaluation), the tokio runtime, all requests (remote evaluation, with an open
    /// circuit), else the change stream. A failed evaluation is reported to its caller only.
    pub last_error: Option<ClientError>,
    /// How long ago that failed last; `None` without an error.
    #[serde(
        rename = "last_error_age_seconds",
        serialize_with = "as_optional_seconds"
    )]
    pub last_error_age: Option<Duration>,
}

/// What can be expected of a client.
///
/// *Specification*: GOFF-EVT-008, GOFF-EVT-007.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum State {
    /// Not initialized; evaluations are refused with `PROVIDER_NOT_READY`.
    NotReady,
    /// Evaluations are answered. With remote evaluation this says nothing about the key; use
    /// [`check`](crate::GoFeatureFlag::check).
    Ready,
    /// Evaluations are answered, perhaps with old flags: the change stream has been down for
    /// `cache_ttl` (remote evaluation), three refreshes in a row failed (in-process evaluation),
    /// the flags come from the last-known-good file, the flag file has become absent or unusable or
    /// has no valid flag left, or the tokio runtime on which the client was started has ended.
    Stale,
    /// In-process evaluation: no flag configuration could be loaded yet; evaluations are refused
    /// with `PROVIDER_NOT_READY`. Loading is retried, unless the tokio runtime on which the client
    /// was started has ended. Remote evaluation: the relay proxy does not answer, so that the
    /// circuit breaker is open, or cannot be reached by the change stream and has not answered a
    /// request yet; evaluations are answered from the cache, or fail.
    Error,
    /// The relay proxy refused the API key (401, 403) three times in a row before any flag
    /// configuration was loaded; evaluations are refused with `PROVIDER_NOT_READY`, and loading is
    /// not retried (in-process evaluation).
    Fatal,
    /// Shut down; evaluations are refused with `PROVIDER_NOT_READY`.
    Closed,
}

impl State {
    /// Whether evaluations are answered: `Ready` and `Stale`. False for `Error`, although cached
    /// answers are served then too (remote evaluation).
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Ready | Self::Stale)
    }
}

/// Status and events of a client, across its sessions.
#[derive(Debug)]
pub(crate) struct StatusCell {
    health: watch::Sender<Health>,
    events: EventBroadcaster,
}

#[derive(Debug, Clone)]
struct Health {
    /// Counts the sessions, and their ends.
    generation: u64,
    state: State,
    since: Instant,
    last_error: Option<(ClientError, Instant)>,
    /// The runtime of the session has ended. A runtime drops its tasks one by one while others, and
    /// blocking calls, still run; what those report of the relay proxy says nothing any more.
    is_final: bool,
}

impl Health {
    fn new(generation: u64, state: State) -> Self {
        Self {
            generation,
            state,
            since: Instant::now(),
            last_error: None,
            is_final: false,
        }
    }
}

impl StatusCell {
    pub(crate) fn new() -> Self {
        Self {
            health: watch::Sender::new(Health::new(0, State::NotReady)),
            events: EventBroadcaster::new(),
        }
    }

    /// `stream_error`, with its age, is reported if nothing else has failed.
    pub(crate) fn get(&self, stream_error: Option<(ClientError, Duration)>) -> Status {
        let health = self.health.borrow();
        let error = health.last_error.clone();
        let error = error.map(|(error, at)| (error, at.elapsed()));
        let (last_error, last_error_age) = error.or(stream_error).unzip();
        Status {
            state: health.state,
            age: health.since.elapsed(),
            last_error,
            last_error_age,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.health.borrow().state
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        self.events.subscribe()
    }

    /// Begins a session: not ready, without an error.
    pub(crate) fn begin(self: &Arc<Self>) -> SessionStatus {
        let mut generation = 0;
        self.health.send_modify(|health| {
            generation = health.generation + 1;
            *health = Health::new(generation, State::NotReady);
        });
        SessionStatus {
            cell: Arc::clone(self),
            generation,
        }
    }

    /// A session could not start.
    pub(crate) fn not_started(&self, error: NoRuntimeError) {
        self.health.send_modify(|health| {
            health.last_error = Some((ClientError::runtime(error), Instant::now()));
        });
    }

    /// Ends the session.
    pub(crate) fn close(&self) {
        self.health.send_modify(|health| {
            health.generation += 1;
            self.change(health, State::Closed);
        });
    }

    /// Changes the state, and says so. Under the lock of `health`, so that the last event is that of
    /// the last state.
    fn change(&self, health: &mut Health, state: State) {
        health.state = state;
        health.since = Instant::now();
        let event = match state {
            State::Ready => ClientEvent::Ready,
            State::Stale => ClientEvent::Stale,
            State::Closed => ClientEvent::Closed,
            // Their event is the error.
            State::NotReady | State::Error | State::Fatal => return,
        };
        self.events.send(event);
    }

    /// Waits until evaluations are answered, or the relay proxy has refused the key. Returns
    /// whether evaluations are answered.
    pub(crate) async fn answers(&self) -> bool {
        // The sender is in `self`, so the channel is open.
        self.health
            .subscribe()
            .wait_for(|health| health.state.answers() || health.state == State::Fatal)
            .await
            .is_ok_and(|health| health.state.answers())
    }
}

/// What one session reports. Once the session is over its reports are ignored: a blocked file
/// system, for example, can deliver flags long after a shutdown, even into the next session.
#[derive(Debug, Clone)]
pub(crate) struct SessionStatus {
    cell: Arc<StatusCell>,
    generation: u64,
}

impl SessionStatus {
    pub(crate) fn is_current(&self) -> bool {
        self.cell.health.borrow().generation == self.generation
    }

    /// Waits until the session has been started.
    pub(crate) async fn started(&self) {
        let mut health = self.cell.health.subscribe();
        let is_started = |health: &Health| {
            health.generation != self.generation || health.state != State::NotReady
        };
        // The sender is in the cell, so the channel is open.
        let _ = health.wait_for(is_started).await;
    }

    /// Evaluations are answered, with current flags (GOFF-EVT-006).
    pub(crate) fn ready(&self) {
        self.recovered();
        self.enter(State::Ready, &[State::NotReady, State::Error, State::Stale]);
    }

    /// Evaluations are answered, with flags that may be old (GOFF-EVT-005).
    pub(crate) fn stale(&self) {
        self.enter(State::Stale, &[State::NotReady, State::Error, State::Ready]);
    }

    /// The relay proxy does not answer (remote evaluation).
    pub(crate) fn unanswered(&self, error: Option<ClientError>) {
        let entered = self.enter(State::Error, &[State::NotReady, State::Ready, State::Stale]);
        if let Some(error) = error.filter(|_| entered) {
            self.send(ClientEvent::Error(error));
        }
    }

    /// What failed works again.
    pub(crate) fn recovered(&self) {
        self.set_last_error(None);
    }

    /// There are no flags yet (GOFF-EVT-008).
    #[cfg(feature = "in-process")]
    pub(crate) fn missing(&self) {
        self.enter(State::Error, &[State::NotReady]);
    }

    /// The relay proxy refused the key before there were flags (GOFF-EVT-007).
    #[cfg(feature = "in-process")]
    pub(crate) fn refused(&self) {
        self.enter(State::Fatal, &[State::NotReady, State::Error]);
    }

    /// The runtime of the session has ended, and with it all that kept flags current.
    pub(crate) fn runtime_ended(&self) {
        let error = ClientError::runtime(NoRuntimeError::Ended);
        self.cell.health.send_if_modified(|health| {
            let is_over = health.is_final || health.state == State::Fatal;
            if health.generation != self.generation || is_over {
                return false;
            }
            health.is_final = true;
            health.last_error = Some((error.clone(), Instant::now()));
            self.cell.events.send(ClientEvent::Error(error));
            match health.state {
                State::Ready => self.cell.change(health, State::Stale),
                State::NotReady => self.cell.change(health, State::Error),
                _ => {}
            }
            true
        });
    }

    /// Remembers a failure as the last one, and reports it.
    #[cfg(feature = "in-process")]
    pub(crate) fn failed(&self, error: ClientError) {
        if self.set_last_error(Some(error.clone())) {
            self.send(ClientEvent::Error(error));
        }
    }

    /// Returns whether the session may still report.
    pub(crate) fn set_last_error(&self, error: Option<ClientError>) -> bool {
        let mut may_report = false;
        self.cell.health.send_if_modified(|health| {
            may_report = health.generation == self.generation && !health.is_final;
            if may_report {
                health.last_error = error.map(|error| (error, Instant::now()));
            }
            // Receivers wait for states only.
            false
        });
        may_report
    }

    /// Flags have changed, or may have.
    pub(crate) fn changed(&self, flags: ChangedFlags) {
        if self.is_current() {
            flags.log();
            self.cell
                .events
                .send(ClientEvent::ConfigurationChanged(flags));
        }
    }

    pub(crate) fn send(&self, event: ClientEvent) {
        if self.is_current() {
            self.cell.events.send(event);
        }
    }

    /// Returns whether the state changed.
    fn enter(&self, state: State, from: &[State]) -> bool {
        self.cell.health.send_if_modified(|health| {
            let (state, from) = match (health.is_final, state) {
                (false, _) => (state, from),
                // Flags that were being loaded are served; nothing keeps them current.
                (true, State::Ready | State::Stale) => (State::Stale, &[State::Error][..]),
                (true, _) => return false,
            };
            let changes = health.generation == self.generation && from.contains(&health.state);
            if changes {
                self.cell.change(health, state);
            }
            changes
        })
    }
}

fn as_seconds<S: Serializer>(age: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(age.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_optional_seconds<S: Serializer>(
    age: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs_f64()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime drops one task of the session while another still runs.
    #[tokio::test]
    async fn after_the_end_of_the_runtime_nothing_counts_but_flags_that_arrive() {
        type Report = fn(&SessionStatus);
        let nothing: Report = |_| {};
        let (ready, stale): (Report, Report) = (SessionStatus::ready, SessionStatus::stale);
        for (before, after, state, events) in [
            (ready, nothing, State::Stale, "ready error stale"),
            (ready, ready, State::Stale, "ready error stale"),
            (stale, ready, State::Stale, "stale error"),
            (nothing, nothing, State::Error, "error"),
            (nothing, ready, State::Stale, "error stale"),
            (nothing, stale, State::Stale, "error stale"),
        ] {
            let cell = Arc::new(StatusCell::new());
            let mut subscription = cell.subscribe();
            let session = cell.begin();
            before(&session);
            session.runtime_ended();
            after(&session);
            session.unanswered(Some(ClientError::stream(NoRuntimeError::Outside)));
            #[cfg(feature = "in-process")]
            session.failed(ClientError::stream(NoRuntimeError::Outside));
            session.runtime_ended();
            let status = cell.get(None);
            assert_eq!(status.state, state, "{events}");
            let error = status.last_error.map(|error| error.to_string());
            let ended = ClientError::runtime(NoRuntimeError::Ended).to_string();
            assert_eq!(error, Some(ended), "{events}");
            // The next session reports as ever.
            cell.begin().ready();
            assert_eq!(cell.state(), State::Ready);
            drop((session, cell));
            let mut seen = Vec::new();
            while let Some(event) = subscription.next().await {
                seen.push(match event {
                    ClientEvent::Ready => "ready",
                    ClientEvent::Stale => "stale",
                    ClientEvent::Error(_) => "error",
                    _ => "other",
                });
            }
            assert_eq!(seen.join(" "), format!("{events} ready"));
        }
    }

    /// GOFF-LIFE-004: what a session reports after its end changes nothing.
    #[tokio::test]
    async fn reports_of_an_earlier_session_are_ignored() {
        let cell = Arc::new(StatusCell::new());
        let mut events = cell.subscribe();
        let first = cell.begin();
        first.ready();
        first.stale();
        cell.close();
        first.ready();
        assert_eq!(cell.state(), State::Closed);
        let second = cell.begin();
        first.ready();
        first.send(ClientEvent::Stale);
        assert_eq!(cell.state(), State::NotReady);
        second.ready();
        assert!(second.is_current() && !first.is_current());
        drop((first, second, cell));
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            seen.push(event);
        }
        let expected = [
            ClientEvent::Ready,
            ClientEvent::Stale,
            ClientEvent::Closed,
            ClientEvent::Ready,
        ];
        assert_eq!(seen, expected);
    }
}
