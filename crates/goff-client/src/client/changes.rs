//! Reacts to flag changes, and to a change stream that is down for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goff_core::__internal::BackgroundTask;
use goff_core::{Invalidation, InvalidationSink, NoRuntimeError, StreamState};
use tokio::sync::watch;

#[cfg(feature = "in-process")]
use crate::in_process::InProcessEvaluator;
#[cfg(feature = "in-process")]
use crate::in_process::source::pending_changes::PendingChanges;
use crate::remote::RemoteEvaluator;
use crate::status::SessionStatus;
use crate::status::counters::Counters;
use crate::status::error::ClientError;
use crate::status::events::{ChangedFlags, ClientEvent};

/// Takes the flag changes of a session from its change stream, or from
/// [`invalidation_sink`](crate::GoFeatureFlag::invalidation_sink).
#[derive(Debug)]
pub(crate) struct ChangeSink {
    target: ChangeTarget,
    status: SessionStatus,
    counters: Arc<Counters>,
    stream: watch::Sender<StreamState>,
    was_open: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum ChangeTarget {
    Cache(Arc<RemoteEvaluator>),
    /// The poller of the flag configuration reports what changed once it has fetched it.
    #[cfg(feature = "in-process")]
    Configuration(Arc<PendingChanges>, Arc<InProcessEvaluator>),
}

impl ChangeSink {
    pub(crate) fn new(
        target: ChangeTarget,
        status: SessionStatus,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            target,
            status,
            counters,
            stream: watch::Sender::new(StreamState::Down),
            was_open: AtomicBool::new(false),
        }
    }

    /// Makes the session stale while the stream, once it was open, is down for longer than
    /// `stale_after`. A stream that never opened does not: a gateway may not support WebSocket,
    /// and the cache's time limit bounds staleness.
    pub(crate) fn watch_staleness(
        &self,
        stale_after: Duration,
    ) -> Result<BackgroundTask, NoRuntimeError> {
        let mut stream = self.stream.subscribe();
        let status = self.status.clone();
        BackgroundTask::spawn(move |mut stop| async move {
            let watching = async {
                while stream.wait_for(is_open).await.is_ok() {
                    status.ready();
                    if stream.wait_for(|state| !is_open(state)).await.is_err() {
                        return;
                    }
                    let reopened = stream.wait_for(is_open);
                    if tokio::time::timeout(stale_after, reopened).await.is_err() {
                        status.stale();
                    }
                }
            };
            tokio::select! {
                () = stop.stopped() => {}
                () = watching => {}
            }
        })
    }
}

impl InvalidationSink for ChangeSink {
    fn invalidate(&self, invalidation: Invalidation) {
        // A stream that opens invalidates all flags without a change having been announced
        // (GOFF-EVT-004); it is still down then.
        let is_change =
            matches!(invalidation, Invalidation::Flags(_)) || is_open(&self.stream.borrow());
        let invalidation = invalidation.bounded();
        match &self.target {
            ChangeTarget::Cache(evaluator) => evaluator.invalidate(&invalidation),
            #[cfg(feature = "in-process")]
            ChangeTarget::Configuration(changes, evaluator) => {
                evaluator.change_announced(&invalidation);
                changes.announce(&invalidation);
                return;
            }
        }
        if !is_change {
            return;
        }
        let changed = match invalidation {
            Invalidation::Flags(flags) => ChangedFlags::Named(flags),
            _ => ChangedFlags::Unknown,
        };
        self.status.changed(changed);
    }

    fn stream_state(&self, state: StreamState) {
        let was_open = is_open(&self.stream.send_replace(state));
        if is_open(&state) && !was_open {
            if self.was_open.swap(true, Ordering::Relaxed) {
                self.counters.reconnects.fetch_add(1, Ordering::Relaxed);
            }
        } else if was_open && !is_open(&state) {
            let error = ClientError::stream(StreamLost);
            self.status.send(ClientEvent::Error(error));
        }
    }
}

fn is_open(state: &StreamState) -> bool {
    *state == StreamState::Open
}

#[derive(Debug, thiserror::Error)]
#[error("flag changes are not received until it is open again")]
struct StreamLost;

#[cfg(test)]
mod tests {
    use goff_testkit::ScriptedRelay;
    use tokio::time::Instant;

    use super::*;
    use crate::remote::bounded_relay::BoundedRelay;
    use crate::status::events::Subscription;
    use crate::status::{State, StatusCell};

    struct Watched {
        sink: ChangeSink,
        status: Arc<StatusCell>,
        events: Subscription,
        _task: BackgroundTask,
    }

    fn watched() -> Watched {
        let relay = BoundedRelay {
            client: Arc::new(ScriptedRelay::new()),
            timeout: Duration::from_secs(1),
            requests: Arc::default(),
        };
        let evaluator = Arc::new(RemoteEvaluator::new(relay, None, Arc::default()));
        let status = Arc::new(StatusCell::new());
        let session = status.begin();
        session.ready();
        let sink = ChangeSink::new(ChangeTarget::Cache(evaluator), session, Arc::default());
        let task = sink.watch_staleness(Duration::from_secs(60)).unwrap();
        Watched {
            sink,
            events: status.subscribe(),
            status,
            _task: task,
        }
    }

    /// While nothing can run, the paused clock advances to the next timer.
    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// GOFF-EVT-005, GOFF-EVT-006.
    #[tokio::test(start_paused = true)]
    async fn stream_down_for_long_is_stale_and_its_return_is_ready() {
        let mut watched = watched();
        watched.sink.stream_state(StreamState::Open);
        pass(1).await;
        let start = Instant::now();
        watched.sink.stream_state(StreamState::Down);
        let error = ClientEvent::Error(ClientError::stream(StreamLost));
        assert_eq!(watched.events.next().await, Some(error));
        assert_eq!(watched.events.next().await, Some(ClientEvent::Stale));
        assert_eq!(start.elapsed(), Duration::from_secs(60));
        assert_eq!(watched.status.state(), State::Stale);
        watched.sink.stream_state(StreamState::Open);
        assert_eq!(watched.events.next().await, Some(ClientEvent::Ready));
        assert_eq!(watched.status.state(), State::Ready);
    }

    #[tokio::test(start_paused = true)]
    async fn brief_outage_and_stream_that_never_opened_are_not_stale() {
        let watched = watched();
        pass(1000).await;
        assert_eq!(watched.status.state(), State::Ready);
        watched.sink.stream_state(StreamState::Open);
        pass(1).await;
        watched.sink.stream_state(StreamState::Down);
        pass(59).await;
        watched.sink.stream_state(StreamState::Open);
        pass(1000).await;
        assert_eq!(watched.status.state(), State::Ready);
    }

    /// GOFF-EVT-002 to -004: what a message names, and nothing for a connection.
    #[tokio::test]
    async fn messages_are_announced_and_connections_are_not() {
        let mut watched = watched();
        watched.sink.invalidate(Invalidation::All);
        watched.sink.stream_state(StreamState::Open);
        let flags = std::collections::BTreeSet::from(["a".to_owned()]);
        watched.sink.invalidate(Invalidation::Flags(flags.clone()));
        watched.sink.invalidate(Invalidation::All);
        watched.sink.stream_state(StreamState::Down);
        let made_up = (0..100_000).map(|n| n.to_string()).collect();
        watched.sink.invalidate(Invalidation::Flags(made_up));
        let error = ClientEvent::Error(ClientError::stream(StreamLost));
        let named = ClientEvent::ConfigurationChanged(ChangedFlags::Named(flags));
        let unknown = ClientEvent::ConfigurationChanged(ChangedFlags::Unknown);
        for expected in [named, unknown.clone(), error, unknown] {
            assert_eq!(watched.events.next().await, Some(expected));
        }
    }
}
