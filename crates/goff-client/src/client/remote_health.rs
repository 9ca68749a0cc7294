//! The status of a session of remote evaluation, from its requests and its change stream.

use std::sync::Arc;
use std::time::Duration;

use goff_core::{Cause, RelayError, StreamState};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::remote::circuit_breaker::Contact;
use crate::status::error::ClientError;
use crate::status::{SessionStatus, State};

/// What is known of the change stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StreamHistory {
    /// `None` before the first attempt has ended.
    state: Option<StreamState>,
    pub(crate) was_open: bool,
    /// A handshake was answered, with whatever status.
    was_reached: bool,
    /// Since when a stream that was open is down.
    down_since: Option<Instant>,
}

impl StreamHistory {
    pub(crate) fn is_open(&self) -> bool {
        self.state == Some(StreamState::Open)
    }

    /// The history after a change of the state.
    pub(crate) fn then(self, state: StreamState, now: Instant) -> Self {
        let is_open = state == StreamState::Open;
        let was_open = self.was_open || is_open;
        let lost_at = was_open.then(|| self.down_since.unwrap_or(now));
        Self {
            state: Some(state),
            was_open,
            was_reached: self.was_reached || is_open || state == StreamState::Refused,
            down_since: lost_at.filter(|_| !is_open),
        }
    }

    /// Whether the stream cannot be reached, and never could.
    fn is_unreachable(&self) -> bool {
        self.state == Some(StreamState::Down) && !self.was_reached
    }
}

/// A handshake that was answered with another status than 101 is a gateway without WebSocket: the
/// cache's time limit bounds how old answers are.
fn state(contact: &Contact, stream: &StreamHistory, is_stale: bool) -> State {
    let is_unreachable = stream.is_unreachable() && !contact.has_answered;
    if contact.outage.is_some() || is_unreachable {
        State::Error
    } else if is_stale {
        State::Stale
    } else {
        State::Ready
    }
}

/// Keeps the status, forever. `stale_after` is `None` if a stream that is down makes nothing stale.
pub(crate) async fn follow(
    mut contact: watch::Receiver<Contact>,
    mut stream: watch::Receiver<StreamHistory>,
    stale_after: Option<Duration>,
    status: SessionStatus,
    stream_error: impl Fn() -> Option<ClientError>,
) {
    status.started().await;
    let mut reported = None::<Arc<RelayError>>;
    loop {
        let seen = contact.borrow_and_update().clone();
        let history = *stream.borrow_and_update();
        let stale_at = stale_after
            .zip(history.down_since)
            .map(|(after, since)| since + after);
        let is_stale = stale_at.is_some_and(|at| Instant::now() >= at);
        let error = |error| ClientError::Unanswered(error as Cause);
        let outage = seen.outage.clone().map(error);
        if seen.outage.as_ref().map(Arc::as_ptr) != reported.as_ref().map(Arc::as_ptr) {
            reported.clone_from(&seen.outage);
            status.set_last_error(outage.clone());
        }
        match state(&seen, &history, is_stale) {
            State::Error => status.unanswered(outage.or_else(&stream_error)),
            State::Stale => status.stale(),
            _ => status.ready(),
        }
        tokio::select! {
            changed = contact.changed() => if changed.is_err() { return },
            changed = stream.changed() => if changed.is_err() { return },
            () = until(stale_at.filter(|_| !is_stale)) => {}
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: the states of the stream, whether a request was answered, whether the circuit is
    /// open, whether the stream has been down for long.
    #[test]
    fn state_follows_requests_and_stream() {
        use StreamState::{Down, Open, Refused};
        let no: &[StreamState] = &[];
        for (states, has_answered, is_open, is_stale, expected) in [
            (no, false, false, false, State::Ready),
            (no, false, true, false, State::Error),
            (no, true, true, false, State::Error),
            (&[Down], false, false, false, State::Error),
            (&[Down, Down], false, false, false, State::Error),
            (&[Down], true, false, false, State::Ready),
            (&[Refused], false, false, false, State::Ready),
            (&[Refused, Down], false, false, false, State::Ready),
            (&[Down, Open], false, false, false, State::Ready),
            (&[Down, Open, Down], false, false, false, State::Ready),
            (&[Open, Down], false, false, true, State::Stale),
            (&[Open, Refused], true, false, true, State::Stale),
            (&[Open, Down], true, true, true, State::Error),
            (&[Open], true, true, false, State::Error),
        ] {
            let now = Instant::now();
            let mut stream = StreamHistory::default();
            for state in states {
                stream = stream.then(*state, now);
            }
            let operation = "evaluate";
            let outage = is_open.then(|| Arc::new(RelayError::Unsupported { operation }));
            let contact = Contact {
                has_answered,
                outage,
            };
            assert_eq!(
                state(&contact, &stream, is_stale),
                expected,
                "{states:?} {has_answered} {is_open} {is_stale}"
            );
            let is_down = states.contains(&Open) && states.last() != Some(&Open);
            assert_eq!(stream.down_since.is_some(), is_down, "{states:?}");
        }
    }
}
