//! Starting, stopping, and what survives both.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use goff_core::{
    EvaluationType, EventSink, ExporterMetadata, Invalidation, InvalidationSink, ResolutionError,
    StreamState,
};
use goff_hooks::{DeliveryReport, EventPublisher, EventPublisherOptions, UsageStats};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::client::CLOSED;
#[cfg(feature = "ws")]
use crate::client::changes::watch_staleness;
use crate::client::changes::{ChangeSink, Follower};
use crate::client::evaluator::Evaluator;
use crate::client::session::Running;
#[cfg(feature = "in-process")]
use crate::in_process::InProcessEvaluator;
#[cfg(feature = "in-process")]
use crate::in_process::current_configuration::{CurrentConfiguration, FirstAttempt};
#[cfg(feature = "in-process")]
use crate::in_process::last_known_good::writer::LastKnownGoodWriter;
#[cfg(feature = "in-process")]
use crate::in_process::source::ConfigurationFollower;
#[cfg(feature = "in-process")]
use crate::in_process::source::pending_changes::Announcements;
#[cfg(feature = "in-process")]
use crate::in_process::source::poller::{ConfigurationPoller, Poll};
#[cfg(feature = "in-process")]
use crate::options::in_process::InProcessMode;
use crate::options::{InitializeError, Mode, Settings};
use crate::remote::RemoteEvaluator;
use crate::status::counters::Counters;
use crate::status::events::{Announcer, ClientEvent, Subscription};
use crate::status::stats::Stats;
use crate::status::{State, Status, StatusCell};

/// A client through all its lives: settings, status, counters and buffered usage data stay; what
/// is [`Running`] comes and goes.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    settings: Settings,
    running: ArcSwapOption<Running>,
    /// Who evaluates in process, if that is how it is done, through all lives.
    #[cfg(feature = "in-process")]
    in_process: Arc<InProcessEvaluator>,
    /// Held by whoever starts or stops.
    changing: Mutex<()>,
    status: Arc<StatusCell>,
    announcer: Announcer,
    counters: Arc<Counters>,
    #[cfg(feature = "ws")]
    streams: std::sync::Mutex<Streams>,
    publisher: Option<Arc<EventPublisher>>,
}

/// The change streams of all lives of a client.
#[cfg(feature = "ws")]
#[derive(Debug, Default)]
struct Streams {
    latest: Option<goff_ws::StreamMonitor>,
    earlier_reconnects: u64,
}

#[cfg(feature = "ws")]
impl Streams {
    fn begin(&mut self, stream: goff_ws::StreamMonitor) {
        let (_, reconnects) = self.state_and_reconnects();
        self.earlier_reconnects = reconnects;
        self.latest = Some(stream);
    }

    fn state_and_reconnects(&self) -> (StreamState, u64) {
        self.latest
            .as_ref()
            .map_or((StreamState::Down, self.earlier_reconnects), |stream| {
                let stats = stream.stats();
                (stats.state, self.earlier_reconnects + stats.reconnects)
            })
    }
}

impl Lifecycle {
    pub(crate) fn new(settings: Settings) -> Self {
        let publisher = settings.collection.as_ref().map(|collection| {
            let options = EventPublisherOptions::default()
                .exporter_metadata(settings.exporter_metadata.clone())
                .flush_interval(collection.flush_interval)
                .max_pending_events(collection.max_pending_events)
                .debug(settings.debug);
            Arc::new(EventPublisher::new(
                Arc::clone(&collection.collector),
                options,
            ))
        });
        let counters = Arc::default();
        Self {
            #[cfg(feature = "in-process")]
            in_process: Arc::new(InProcessEvaluator::new(
                settings.mode.fallback().cloned(),
                Arc::clone(&counters),
            )),
            settings,
            running: ArcSwapOption::empty(),
            changing: Mutex::new(()),
            status: Arc::new(StatusCell::new()),
            announcer: Announcer::new(),
            counters,
            #[cfg(feature = "ws")]
            streams: std::sync::Mutex::default(),
            publisher,
        }
    }

    pub(crate) async fn initialize(&self) -> Result<(), InitializeError> {
        let running = self.started().await?;
        match running.mode() {
            EvaluationType::Remote => Ok(()),
            #[cfg(feature = "in-process")]
            EvaluationType::InProcess => self.loaded(&running).await,
            #[cfg(not(feature = "in-process"))]
            EvaluationType::InProcess => Ok(()),
        }
    }

    /// What is running, started if nothing is, or if the relay proxy had refused it.
    async fn started(&self) -> Result<Arc<Running>, InitializeError> {
        let _changing = self.changing.lock().await;
        if let Some(running) = self.running.load_full() {
            if self.status.state() != State::Fatal {
                return Ok(running);
            }
            self.end_running();
            self.stop(&running, Instant::now()).await;
        }
        self.status.begin();
        let running = Arc::new(self.start().map_err(|_| InitializeError::NoRuntime)?);
        self.running.store(Some(Arc::clone(&running)));
        if running.answers_at_once() {
            self.status.set(State::Ready);
            self.announcer.announce(ClientEvent::Ready);
        }
        Ok(running)
    }

    /// Waits until the first attempt to load flags has ended (GOFF-LIFE-001).
    #[cfg(feature = "in-process")]
    async fn loaded(&self, running: &Arc<Running>) -> Result<(), InitializeError> {
        let Some(mut first) = running.first_attempt() else {
            return Ok(());
        };
        let ended = first.wait_for(Option::is_some).await;
        // Without a report the client was shut down meanwhile.
        let Some(FirstAttempt::Refused { status, reason }) =
            ended.ok().and_then(|ended| ended.clone())
        else {
            return Ok(());
        };
        let _changing = self.changing.lock().await;
        let is_current = |current: &Option<Arc<Running>>| {
            current
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, running))
        };
        if is_current(&self.running.load()) {
            self.end_running();
            self.stop(running, Instant::now()).await;
        }
        Err(InitializeError::Refused { status, reason })
    }

    fn start(&self) -> Result<Running, goff_core::NoRuntimeError> {
        if let Some(publisher) = &self.publisher {
            publisher.start()?;
        }
        match &self.settings.mode {
            Mode::Remote {
                relay,
                cache,
                timeout,
            } => {
                let evaluator = Arc::new(RemoteEvaluator::new(
                    Arc::clone(relay),
                    *cache,
                    *timeout,
                    Arc::clone(&self.counters),
                ));
                let follower = Follower::Cache(Arc::downgrade(&evaluator));
                let mut running = self.follow(Evaluator::Remote(evaluator), follower)?;
                // Without a cache nothing can be stale.
                if let Some(limits) = cache {
                    running._staleness = self.watch_staleness(&running, limits.ttl)?;
                }
                Ok(running)
            }
            #[cfg(feature = "in-process")]
            Mode::InProcess(mode) => self.start_in_process(mode),
        }
    }

    #[cfg(feature = "in-process")]
    fn start_in_process(&self, mode: &InProcessMode) -> Result<Running, goff_core::NoRuntimeError> {
        let flags = match mode {
            InProcessMode::RelayProxy(relay) => Arc::clone(&relay.flags),
            _ => Arc::default(),
        };
        let life = self.in_process.begin();
        let current = CurrentConfiguration {
            evaluator: Arc::clone(&self.in_process),
            life,
            status: Arc::clone(&self.status),
            announcer: self.announcer.clone(),
            counters: Arc::clone(&self.counters),
        };
        let announcements = Arc::new(Announcements::new(flags));
        let changes = Follower::Poller(Arc::clone(&announcements));
        let running = self.follow(
            Evaluator::InProcess(Arc::clone(&self.in_process), life),
            changes,
        )?;
        let follower = match mode {
            InProcessMode::RelayProxy(relay) => {
                let keeper = relay
                    .last_known_good
                    .clone()
                    .map(LastKnownGoodWriter::start)
                    .transpose()?;
                Some(ConfigurationFollower::Poller(ConfigurationPoller::start(
                    Poll {
                        source: relay.source.clone(),
                        current,
                        keeper,
                        announcements,
                        interval: relay.interval,
                        #[cfg(feature = "ws")]
                        listener: Arc::clone(&running.listener),
                    },
                )?))
            }
            InProcessMode::Flags(snapshot) => {
                current.put(Arc::clone(snapshot));
                None
            }
            #[cfg(feature = "file")]
            InProcessMode::File(file) => Some(ConfigurationFollower::File(
                crate::in_process::file::follower::FileFollower::start(file.clone(), current)?,
            )),
        };
        *running
            .follower
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = follower;
        Ok(running)
    }

    /// Opens the change stream, where there is one.
    fn follow(
        &self,
        evaluator: Evaluator,
        follower: Follower,
    ) -> Result<Running, goff_core::NoRuntimeError> {
        let sink = Arc::new(ChangeSink::new(follower, self.announcer.clone()));
        #[cfg(feature = "ws")]
        let listener = self.listen(&sink)?;
        #[cfg(feature = "ws")]
        if let Some(listener) = &listener {
            self.streams().begin(listener.monitor());
        }
        Ok(Running {
            evaluator,
            #[cfg(feature = "ws")]
            monitor: listener.as_ref().map(goff_ws::ChangeListener::monitor),
            #[cfg(feature = "ws")]
            listener: Arc::new(std::sync::Mutex::new(listener)),
            #[cfg(feature = "in-process")]
            follower: std::sync::Mutex::new(None),
            _staleness: None,
            sink,
            asking: watch::Sender::default(),
        })
    }

    #[cfg(feature = "ws")]
    fn listen(
        &self,
        sink: &Arc<ChangeSink>,
    ) -> Result<Option<goff_ws::ChangeListener>, goff_core::NoRuntimeError> {
        let Some(source) = &self.settings.stream else {
            return Ok(None);
        };
        match goff_ws::ChangeListener::start(
            &source.options,
            Arc::clone(&source.connect),
            Arc::clone(sink) as Arc<dyn InvalidationSink>,
        ) {
            Ok(listener) => Ok(Some(listener)),
            Err(goff_ws::StartError::NoRuntime(error)) => Err(error),
            Err(error) => {
                // The time limit of the cache, or the polling, bounds staleness then.
                tracing::warn!(%error, "changes of flags are not followed");
                Ok(None)
            }
        }
    }

    #[cfg(feature = "ws")]
    fn watch_staleness(
        &self,
        running: &Running,
        ttl: Option<Duration>,
    ) -> Result<Option<goff_core::__internal::BackgroundTask>, goff_core::NoRuntimeError> {
        if running.monitor.is_none() {
            return Ok(None);
        }
        watch_staleness(
            running.sink.stream(),
            ttl.unwrap_or(DEFAULT_PATIENCE),
            Arc::clone(&self.status),
            self.announcer.clone(),
        )
        .map(Some)
    }

    #[cfg(not(feature = "ws"))]
    #[expect(clippy::unnecessary_wraps, reason = "with a stream it can fail")]
    fn watch_staleness(
        &self,
        _: &Running,
        _: Option<Duration>,
    ) -> Result<Option<goff_core::__internal::BackgroundTask>, goff_core::NoRuntimeError> {
        Ok(None)
    }

    pub(crate) async fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        let end = end_after(deadline);
        // Whoever comes from now on is refused, even while somebody else starts or stops.
        let running = self.close();
        let _changing = tokio::time::timeout_at(end, self.changing.lock()).await;
        for running in running.into_iter().chain(self.close()) {
            self.stop(&running, end).await;
        }
        match &self.publisher {
            Some(publisher) => publisher.shutdown(left_until(end)).await,
            None => DeliveryReport::default(),
        }
    }

    /// Nothing is evaluated from then on.
    fn end_running(&self) -> Option<Arc<Running>> {
        let running = self.running.swap(None)?;
        running.evaluator.end();
        Some(running)
    }

    fn close(&self) -> Option<Arc<Running>> {
        let running = self.end_running()?;
        self.status.set(State::Closed);
        self.announcer.announce(ClientEvent::Closed);
        Some(running)
    }

    /// Everything but the delivery of usage data, which begins here and is ended afterwards.
    async fn stop(&self, running: &Running, end: Instant) {
        #[cfg(feature = "ws")]
        let stopping = {
            let listener = running
                .listener
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take();
            async move {
                if let Some(listener) = listener {
                    listener.shutdown(left_until(end)).await;
                }
            }
        };
        #[cfg(not(feature = "ws"))]
        let stopping = std::future::ready(());
        #[cfg(feature = "in-process")]
        let stopping = {
            let follower = running
                .follower
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take();
            async move {
                let polling = async {
                    if let Some(follower) = follower {
                        follower.stop(left_until(end)).await;
                    }
                };
                tokio::join!(stopping, polling);
            }
        };
        let delivering = async {
            if let Some(publisher) = &self.publisher {
                publisher.flush(left_until(end)).await;
            }
        };
        let finishing = async {
            let _ = tokio::time::timeout_at(end, running.idle()).await;
            running.cut_off();
        };
        tokio::join!(stopping, delivering, finishing);
    }

    pub(crate) async fn flush(&self, deadline: Duration) -> DeliveryReport {
        match &self.publisher {
            Some(publisher) => publisher.flush(deadline).await,
            None => DeliveryReport::default(),
        }
    }

    pub(crate) async fn wait_until_ready(&self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, self.status.answers())
            .await
            .unwrap_or(false)
    }

    /// Who evaluates in process, where that is how it is done. Without a configuration it knows
    /// nothing; [`not_loaded`](Self::not_loaded) says why.
    #[cfg(feature = "in-process")]
    #[inline]
    pub(crate) fn in_process(&self) -> Option<&Arc<InProcessEvaluator>> {
        (self.evaluation_type() == EvaluationType::InProcess).then_some(&self.in_process)
    }

    /// What is running, without taking a reference to it.
    pub(crate) fn running_now(&self) -> Guard<Option<Arc<Running>>> {
        self.running.load()
    }

    /// Why there is nobody to evaluate (GOFF-LIFE-006).
    pub(crate) fn not_running(&self) -> ResolutionError {
        match self.status.state() {
            State::Closed => CLOSED,
            State::Fatal => REFUSED,
            _ => ResolutionError::NotReady {
                reason: "the client is not initialised; call `initialize`, or make it with `connect`",
            },
        }
    }

    /// Why whoever evaluates has no flags (GOFF-LIFE-006).
    pub(crate) fn not_loaded(&self) -> ResolutionError {
        if self.running.load().is_none() {
            return self.not_running();
        }
        match self.status.state() {
            State::Fatal => REFUSED,
            _ => ResolutionError::NotReady {
                reason: "no flag configuration could be loaded yet; `status` says why, and `wait_until_ready` waits",
            },
        }
    }

    pub(crate) fn status(&self) -> Status {
        #[cfg(feature = "ws")]
        let last_error = self
            .running
            .load()
            .as_ref()
            .and_then(|running| running.monitor.as_ref()?.stats().last_error);
        #[cfg(not(feature = "ws"))]
        let last_error: Option<Arc<str>> = None;
        self.status
            .get(last_error.as_deref().map(ToOwned::to_owned))
    }

    pub(crate) fn stats(&self) -> Stats {
        #[cfg(feature = "ws")]
        let (stream, reconnects) = self.streams().state_and_reconnects();
        #[cfg(not(feature = "ws"))]
        let (stream, reconnects) = (StreamState::Down, 0);
        Stats {
            hits: self.counters.hits.load(Ordering::Relaxed),
            misses: self.counters.misses.load(Ordering::Relaxed),
            shared: self.counters.shared.load(Ordering::Relaxed),
            evictions: self.counters.evictions.load(Ordering::Relaxed),
            usage: self
                .publisher
                .as_ref()
                .map_or_else(UsageStats::default, |publisher| publisher.stats()),
            stream,
            refreshes: self.counters.refreshes.load(Ordering::Relaxed),
            failed_refreshes: self.counters.failed_refreshes.load(Ordering::Relaxed),
            fallbacks: self.counters.fallbacks.load(Ordering::Relaxed),
            not_collected: self.counters.not_collected.load(Ordering::Relaxed),
            reconnects,
        }
    }

    #[cfg(feature = "ws")]
    fn streams(&self) -> std::sync::MutexGuard<'_, Streams> {
        self.streams
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        self.announcer.subscribe()
    }

    pub(crate) fn exporter_metadata(&self) -> &ExporterMetadata {
        &self.settings.exporter_metadata
    }

    pub(crate) fn evaluation_type(&self) -> EvaluationType {
        self.settings.mode.evaluation_type()
    }

    /// Something happened that would have been recorded if there were a relay proxy.
    pub(crate) fn not_collected(&self) {
        if self.settings.mode.has_relay_proxy() {
            return;
        }
        if self.counters.not_collected.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "tracking events are not recorded, as there is no relay proxy to take them"
            );
        }
    }

    pub(crate) fn publisher(&self) -> Option<&Arc<EventPublisher>> {
        self.publisher.as_ref()
    }

    pub(crate) fn event_sink(&self) -> Option<Arc<dyn EventSink>> {
        let publisher = self.publisher.as_ref()?;
        Some(Arc::clone(publisher) as Arc<dyn EventSink>)
    }

    pub(crate) fn invalidation_sink(this: &Arc<Self>) -> Arc<dyn InvalidationSink> {
        Arc::new(CallersChanges(Arc::downgrade(this)))
    }
}

/// Hands a caller's own changes to whatever is running when they come.
struct CallersChanges(Weak<Lifecycle>);

impl CallersChanges {
    fn sink(&self) -> Option<Arc<ChangeSink>> {
        let lifecycle = self.0.upgrade()?;
        let running = lifecycle.running.load();
        running.as_ref().map(|running| Arc::clone(&running.sink))
    }
}

impl fmt::Debug for CallersChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallersChanges").finish_non_exhaustive()
    }
}

impl InvalidationSink for CallersChanges {
    fn invalidate(&self, invalidation: Invalidation) {
        if let Some(sink) = self.sink() {
            sink.invalidate(invalidation);
        }
    }

    fn stream_state(&self, state: StreamState) {
        if let Some(sink) = self.sink() {
            sink.stream_state(state);
        }
    }
}

fn end_after(deadline: Duration) -> Instant {
    let now = Instant::now();
    // A deadline beyond what the clock can say is no deadline.
    now.checked_add(deadline).unwrap_or(now + A_YEAR)
}

fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

const REFUSED: ResolutionError = ResolutionError::NotReady {
    reason: "the relay proxy refuses to hand out its flags (401 or 403); check the option `api_key`, then `initialize` again",
};

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a stream may be down before a cache without a time limit counts as stale.
#[cfg(feature = "ws")]
const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);
