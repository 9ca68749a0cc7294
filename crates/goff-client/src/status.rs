//! How a client is doing.

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
    /// Why the change stream broke or could not be opened last; none where it never did since the
    /// client was initialised. Failures of evaluations are their callers'.
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
    /// Evaluations are answered, but changes of flags have not been heard of for long (remote
    /// evaluation: for `cache_ttl` since the change stream broke).
    Stale,
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
}

impl StatusCell {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Health {
            state: State::NotReady,
            since: Instant::now(),
        }))
    }

    pub(crate) fn get(&self, last_error: Option<String>) -> Status {
        let health = self.0.borrow();
        Status {
            state: health.state,
            age: health.since.elapsed(),
            last_error,
        }
    }

    #[cfg(test)]
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

    /// Waits for a state in which evaluations are answered.
    pub(crate) async fn answers(&self) {
        // The sender is in `self`, so the channel is open.
        let _ = self
            .0
            .subscribe()
            .wait_for(|health| health.state.answers())
            .await;
    }
}
