//! Reacts to flag changes, and to a change stream that is down for long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, RequestObserver as _};
use goff_core::{Invalidation, InvalidationSink, NoRuntimeError, StreamState};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::remote_health::{StreamHistory, follow};
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
    stream: watch::Sender<StreamHistory>,
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
            stream: watch::Sender::default(),
        }
    }

    /// Keeps the status of a session of remote evaluation, and looks for the end of an outage. The
    /// session is stale while the stream, once it was open, is down for longer than `stale_after`.
    pub(crate) fn follow_health(
        &self,
        stale_after: Option<Duration>,
        stream_error: impl Fn() -> Option<ClientError> + Send + 'static,
    ) -> Result<Option<BackgroundTask>, NoRuntimeError> {
        #[cfg(feature = "in-process")]
        let ChangeTarget::Cache(remote) = &self.target else {
            return Ok(None);
        };
        #[cfg(not(feature = "in-process"))]
        let ChangeTarget::Cache(remote) = &self.target;
        let following = follow(
            remote.breaker().contact(),
            self.stream.subscribe(),
            stale_after,
            self.status.clone(),
            stream_error,
        );
        let remote = Arc::clone(remote);
        BackgroundTask::spawn(move |mut stop| async move {
            tokio::select! {
                () = stop.stopped() => {}
                () = following => {}
                () = remote.probe() => {}
            }
        })
        .map(Some)
    }
}

impl ChangeSink {
    /// There is another API key, which may select another flag set. The poller knows already.
    #[cfg(feature = "http")]
    pub(crate) fn rekeyed(&self) {
        match &self.target {
            ChangeTarget::Cache(evaluator) => {
                evaluator.invalidate(&Invalidation::All);
                let changed = ChangedFlags::Unknown;
                self.status.send(ClientEvent::ConfigurationChanged(changed));
            }
            #[cfg(feature = "in-process")]
            ChangeTarget::Configuration(_, evaluator) => {
                evaluator.change_announced(&Invalidation::All);
            }
        }
    }
}

impl InvalidationSink for ChangeSink {
    fn invalidate(&self, invalidation: Invalidation) {
        // A stream that opens invalidates all flags without a change having been announced
        // (GOFF-EVT-004); it is still down then.
        let is_change =
            matches!(invalidation, Invalidation::Flags(_)) || self.stream.borrow().is_open();
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
        let mut before = StreamHistory::default();
        self.stream.send_modify(|stream| {
            before = *stream;
            *stream = stream.then(state, Instant::now());
        });
        // The handshake was answered, with 101 or another status.
        if let (ChangeTarget::Cache(remote), StreamState::Open | StreamState::Refused) =
            (&self.target, state)
        {
            remote.breaker().answered();
        }
        if state == StreamState::Open && !before.is_open() {
            if before.was_open {
                self.counters.reconnects.fetch_add(1, Ordering::Relaxed);
            }
        } else if before.is_open() && state != StreamState::Open {
            let error = ClientError::stream(StreamLost);
            self.status.send(ClientEvent::Error(error));
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("flag changes are not received until it is open again")]
struct StreamLost;

#[cfg(test)]
mod tests {
    use goff_testkit::ScriptedRelay;

    use super::*;
    use crate::remote::bounded_relay::BoundedRelay;
    use crate::remote::circuit_breaker::CircuitBreaker;
    use crate::status::events::Subscription;
    use crate::status::{State, StatusCell};

    struct Watched {
        sink: ChangeSink,
        status: Arc<StatusCell>,
        events: Subscription,
        _task: Option<BackgroundTask>,
    }

    fn watched() -> Watched {
        let relay = BoundedRelay {
            client: Arc::new(ScriptedRelay::new()),
            timeout: Duration::from_secs(1),
            keeps_timeout: false,
            requests: Arc::default(),
        };
        let breaker = Arc::new(CircuitBreaker::new(true, false, relay.timeout));
        let evaluator = Arc::new(RemoteEvaluator::new(relay, breaker, None, Arc::default()));
        let status = Arc::new(StatusCell::new());
        let session = status.begin();
        session.ready();
        let sink = ChangeSink::new(ChangeTarget::Cache(evaluator), session, Arc::default());
        let task = sink.follow_health(Some(Duration::from_secs(60)), || None);
        Watched {
            sink,
            events: status.subscribe(),
            status,
            _task: task.unwrap(),
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
