//! How a client is doing.

pub(crate) mod counters;
pub(crate) mod events;
pub(crate) mod stats;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The state of a client, for how long it has been so, and what went wrong last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// For how long.
    pub age: Duration,
    /// What went wrong behind the scenes last: a refresh of the flag configuration (in-process
    /// evaluation), else the change stream; none where nothing has since the client was
    /// initialised. Failures of evaluations are their callers'.
    pub last_error: Option<String>,
}

/// What can be expected of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not initialised; evaluations are refused with `PROVIDER_NOT_READY`.
    NotReady,
    /// Evaluations are answered.
    Ready,
    /// Evaluations are answered, but changes of flags have not been heard of for long: for
    /// `cache_ttl` since the change stream broke (remote evaluation), or for three failed refreshes
    /// in a row (in-process evaluation). Or they come from a file: the last-known-good one, or a flag
    /// file that has since become absent or unusable.
    Stale,
    /// No flag configuration could be loaded yet; evaluations are refused with
    /// `PROVIDER_NOT_READY`. It is tried again until one is (in-process evaluation, GOFF-EVT-008).
    Error,
    /// The relay proxy refuses the key (401, 403) before any flag configuration was loaded;
    /// evaluations are refused with `PROVIDER_NOT_READY`, and it is not tried again
    /// (in-process evaluation, GOFF-EVT-007).
    Fatal,
    /// Shut down; evaluations are refused with `PROVIDER_NOT_READY`.
    Closed,
}

impl State {
    /// Whether evaluations are answered.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Ready | Self::Stale)
    }
}

/// The state behind [`Status`], to be set by whoever learns of a change and waited for.
#[derive(Debug)]
pub(crate) struct StatusCell(watch::Sender<Health>);

#[derive(Debug, Clone)]
struct Health {
    state: State,
    since: Instant,
    /// Of the refreshes of this life.
    last_error: Option<String>,
}

impl StatusCell {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Health {
            state: State::NotReady,
            since: Instant::now(),
            last_error: None,
        }))
    }

    /// `stream_error` is told where no refresh has failed.
    pub(crate) fn get(&self, stream_error: Option<String>) -> Status {
        let health = self.0.borrow();
        Status {
            state: health.state,
            age: health.since.elapsed(),
            last_error: health.last_error.clone().or(stream_error),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.0.borrow().state
    }

    /// Sets the state, unless `only_if` forbids the change; tells whether it changed.
    pub(crate) fn set_if(&self, state: State, only_if: impl FnOnce(State) -> bool) -> bool {
        self.0.send_if_modified(|health| {
            let changes = health.state != state && only_if(health.state);
            if changes {
                health.state = state;
                health.since = Instant::now();
            }
            changes
        })
    }

    pub(crate) fn set(&self, state: State) -> bool {
        self.set_if(state, |_| true)
    }

    /// Remembers what went wrong.
    #[cfg(feature = "in-process")]
    pub(crate) fn note_error(&self, error: String) {
        self.0.send_if_modified(|health| {
            health.last_error = Some(error);
            // Nobody waits for an error.
            false
        });
    }

    /// Begins a life, of which nothing has gone wrong yet.
    pub(crate) fn begin(&self) {
        self.0.send_modify(|health| {
            *health = Health {
                state: State::NotReady,
                since: Instant::now(),
                last_error: None,
            };
        });
    }

    /// Waits until evaluations are answered, or will not be by themselves; tells which.
    pub(crate) async fn answers(&self) -> bool {
        // The sender is in `self`, so the channel is open.
        self.0
            .subscribe()
            .wait_for(|health| health.state.answers() || health.state == State::Fatal)
            .await
            .is_ok_and(|health| health.state.answers())
    }
}
