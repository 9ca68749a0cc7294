//! What follows from changes, and from not hearing of them: the cache, the events, the status.

#[cfg(any(feature = "ws", feature = "in-process", test))]
use std::fmt;
use std::sync::Arc;
use std::sync::Weak;
#[cfg(any(feature = "ws", test))]
use std::time::Duration;

#[cfg(any(feature = "ws", test))]
use goff_core::__internal::BackgroundTask;
use goff_core::NoRuntimeError;
use goff_core::{Invalidation, InvalidationSink, StreamState};
use tokio::sync::watch;

#[cfg(feature = "in-process")]
use crate::in_process::source::pending_changes::Announcements;
use crate::remote::RemoteEvaluator;
use crate::status::events::{Announcer, ChangedFlags, ClientEvent};
#[cfg(any(feature = "ws", test))]
use crate::status::{State, StatusCell};

/// Where the change stream, and a caller's own changes, arrive.
pub(crate) struct ChangeSink {
    follower: Follower,
    announcer: Announcer,
    stream: watch::Sender<StreamState>,
}

/// Whom changes concern.
pub(crate) enum Follower {
    /// Answers are dropped from its cache. Weak, so that a stream that is being torn down keeps no
    /// client alive.
    Cache(Weak<RemoteEvaluator>),
    /// The flags are fetched, and only then is anything known to have changed.
    #[cfg(feature = "in-process")]
    Poller(Arc<Announcements>),
}

impl ChangeSink {
    pub(crate) fn new(follower: Follower, announcer: Announcer) -> Self {
        Self {
            follower,
            announcer,
            stream: watch::Sender::new(StreamState::Down),
        }
    }

    #[cfg(any(feature = "ws", test))]
    pub(crate) fn stream(&self) -> watch::Receiver<StreamState> {
        self.stream.subscribe()
    }
}

impl fmt::Debug for ChangeSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeSink").finish_non_exhaustive()
    }
}

impl InvalidationSink for ChangeSink {
    fn invalidate(&self, invalidation: Invalidation) {
        match &self.follower {
            Follower::Cache(evaluator) => {
                if let Some(evaluator) = evaluator.upgrade() {
                    evaluator.invalidate(&invalidation);
                }
            }
            #[cfg(feature = "in-process")]
            Follower::Poller(announcements) => {
                announcements.announce(&invalidation);
                return;
            }
        }
        let changed = match invalidation {
            Invalidation::Flags(flags) => ChangedFlags::Named(flags),
            // On connecting everything is invalidated without anybody having said that it changed
            // (GOFF-EVT-004); the stream is not open then.
            _ if *self.stream.borrow() == StreamState::Down => return,
            _ => ChangedFlags::Unknown,
        };
        self.announcer
            .announce(ClientEvent::ConfigurationChanged(changed));
    }

    fn stream_state(&self, state: StreamState) {
        let before = self.stream.send_replace(state);
        if before == StreamState::Open && state == StreamState::Down {
            self.announcer
                .announce(ClientEvent::Error(STREAM_BROKE.to_owned()));
        }
    }
}

const STREAM_BROKE: &str =
    "the change stream broke; until it is open again, changes of flags are not heard of";

/// Watches the stream: a client whose stream was open and has been down for `patience` is stale,
/// until it is open again. A stream that never was open makes nobody stale: there may be a gateway
/// without WebSocket, and the cache's time limit bounds staleness.
#[cfg(any(feature = "ws", test))]
pub(crate) fn watch_staleness(
    mut stream: watch::Receiver<StreamState>,
    patience: Duration,
    status: Arc<StatusCell>,
    announcer: Announcer,
) -> Result<BackgroundTask, NoRuntimeError> {
    BackgroundTask::spawn(move |mut stop| async move {
        let watching = async {
            while stream
                .wait_for(|state| *state == StreamState::Open)
                .await
                .is_ok()
            {
                if status.set_if(State::Ready, |state| state == State::Stale) {
                    announcer.announce(ClientEvent::Ready);
                }
                if stream
                    .wait_for(|state| *state == StreamState::Down)
                    .await
                    .is_err()
                {
                    return;
                }
                let back = stream.wait_for(|state| *state == StreamState::Open);
                if tokio::time::timeout(patience, back).await.is_err()
                    && status.set_if(State::Stale, |state| state == State::Ready)
                {
                    announcer.announce(ClientEvent::Stale);
                }
            }
        };
        tokio::select! {
            () = stop.stopped() => {}
            () = watching => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use goff_testkit::ScriptedRelay;
    use tokio::time::Instant;

    use super::*;

    struct Watched {
        sink: ChangeSink,
        status: Arc<StatusCell>,
        subscription: crate::Subscription,
        _evaluator: Arc<RemoteEvaluator>,
        _task: BackgroundTask,
    }

    fn watched() -> Watched {
        let announcer = Announcer::new();
        let evaluator = Arc::new(RemoteEvaluator::new(
            Arc::new(ScriptedRelay::new()),
            None,
            Duration::from_secs(1),
            Arc::default(),
        ));
        let follower = Follower::Cache(Arc::downgrade(&evaluator));
        let sink = ChangeSink::new(follower, announcer.clone());
        let status = Arc::new(StatusCell::new());
        status.set(State::Ready);
        let subscription = announcer.subscribe();
        let patience = Duration::from_secs(60);
        let task =
            watch_staleness(sink.stream(), patience, Arc::clone(&status), announcer).unwrap();
        Watched {
            sink,
            status,
            subscription,
            _evaluator: evaluator,
            _task: task,
        }
    }

    /// Without anything to run, the paused clock leaps to the next timer.
    async fn pass(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// GOFF-EVT-005, GOFF-EVT-006.
    #[tokio::test(start_paused = true)]
    async fn stream_down_for_long_is_stale_and_its_return_is_ready() {
        let mut watched = watched();
        watched.sink.stream_state(StreamState::Open);
        pass(Duration::from_secs(1)).await;
        let start = Instant::now();
        watched.sink.stream_state(StreamState::Down);
        let error = ClientEvent::Error(STREAM_BROKE.to_owned());
        assert_eq!(watched.subscription.next().await, Some(error));
        assert_eq!(watched.subscription.next().await, Some(ClientEvent::Stale));
        assert_eq!(start.elapsed(), Duration::from_secs(60));
        assert_eq!(watched.status.state(), State::Stale);
        watched.sink.stream_state(StreamState::Open);
        assert_eq!(watched.subscription.next().await, Some(ClientEvent::Ready));
        assert_eq!(watched.status.state(), State::Ready);
    }

    #[tokio::test(start_paused = true)]
    async fn brief_outage_and_stream_that_never_opened_are_not_stale() {
        let watched = watched();
        pass(Duration::from_secs(1000)).await;
        assert_eq!(watched.status.state(), State::Ready);
        watched.sink.stream_state(StreamState::Open);
        pass(Duration::from_secs(1)).await;
        watched.sink.stream_state(StreamState::Down);
        pass(Duration::from_secs(59)).await;
        watched.sink.stream_state(StreamState::Open);
        pass(Duration::from_secs(1000)).await;
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
        for expected in [ChangedFlags::Named(flags), ChangedFlags::Unknown] {
            assert_eq!(
                watched.subscription.next().await,
                Some(ClientEvent::ConfigurationChanged(expected))
            );
        }
    }
}
