//! Starting, stopping, and what survives both.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use goff_core::{EventSink, ExporterMetadata, Invalidation, InvalidationSink, StreamState};
use goff_hooks::{DeliveryReport, EventPublisher, EventPublisherOptions, UsageStats};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::client_event::{Announcer, ClientEvent, Subscription};
use crate::freshness::ChangeSink;
#[cfg(feature = "ws")]
use crate::freshness::watch_staleness;
use crate::options::{InitializeError, Settings};
use crate::remote::{Counters, RemoteEvaluator};
use crate::running::Running;
use crate::stats::Stats;
use crate::status::{State, Status, StatusCell};

/// A client through all its lives: settings, status, counters and buffered usage data stay; what
/// is [`Running`] comes and goes.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    settings: Settings,
    running: ArcSwapOption<Running>,
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
        Self {
            settings,
            running: ArcSwapOption::empty(),
            changing: Mutex::new(()),
            status: Arc::new(StatusCell::new()),
            announcer: Announcer::new(),
            counters: Arc::default(),
            #[cfg(feature = "ws")]
            streams: std::sync::Mutex::default(),
            publisher,
        }
    }

    pub(crate) async fn initialize(&self) -> Result<(), InitializeError> {
        let _changing = self.changing.lock().await;
        if self.running.load().is_some() {
            return Ok(());
        }
        let running = self.start().map_err(|_| InitializeError::NoRuntime)?;
        self.running.store(Some(Arc::new(running)));
        self.status.set(State::Ready);
        self.announcer.announce(ClientEvent::Ready);
        Ok(())
    }

    fn start(&self) -> Result<Running, goff_core::NoRuntime> {
        if let Some(publisher) = &self.publisher {
            publisher.start()?;
        }
        let evaluator = Arc::new(RemoteEvaluator::new(
            Arc::clone(&self.settings.relay),
            self.settings.cache,
            self.settings.timeout,
            Arc::clone(&self.counters),
        ));
        let sink = Arc::new(ChangeSink::new(&evaluator, self.announcer.clone()));
        #[cfg(feature = "ws")]
        let (listener, staleness) = self.follow(&sink)?;
        #[cfg(feature = "ws")]
        if let Some(listener) = &listener {
            self.streams().begin(listener.monitor());
        }
        Ok(Running {
            evaluator,
            #[cfg(feature = "ws")]
            monitor: listener.as_ref().map(goff_ws::ChangeListener::monitor),
            #[cfg(feature = "ws")]
            listener: std::sync::Mutex::new(listener),
            #[cfg(feature = "ws")]
            _staleness: staleness,
            #[cfg(not(feature = "ws"))]
            _staleness: None,
            sink,
            asking: watch::Sender::default(),
        })
    }

    #[cfg(feature = "ws")]
    fn follow(
        &self,
        sink: &Arc<ChangeSink>,
    ) -> Result<
        (
            Option<goff_ws::ChangeListener>,
            Option<goff_core::BackgroundTask>,
        ),
        goff_core::NoRuntime,
    > {
        let Some(source) = &self.settings.stream else {
            return Ok((None, None));
        };
        let listener = match goff_ws::ChangeListener::start(
            &source.options,
            Arc::clone(&source.connect),
            Arc::clone(sink) as Arc<dyn InvalidationSink>,
        ) {
            Ok(listener) => listener,
            Err(goff_ws::StartError::NoRuntime(error)) => return Err(error),
            Err(error) => {
                // The time limit of the cache bounds staleness then.
                tracing::warn!(%error, "changes of flags are not followed");
                return Ok((None, None));
            }
        };
        // Without a cache nothing can be stale.
        let staleness = match self.settings.cache {
            None => None,
            Some(limits) => Some(watch_staleness(
                sink.stream(),
                limits.ttl.unwrap_or(DEFAULT_PATIENCE),
                Arc::clone(&self.status),
                self.announcer.clone(),
            )?),
        };
        Ok((Some(listener), staleness))
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

    fn close(&self) -> Option<Arc<Running>> {
        let running = self.running.swap(None)?;
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
            .is_ok()
    }

    /// What is running, without taking a reference to it.
    pub(crate) fn running_now(&self) -> Guard<Option<Arc<Running>>> {
        self.running.load()
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
            hits: self.counters.hits(),
            misses: self.counters.misses(),
            shared: self.counters.shared(),
            evictions: self.counters.evictions(),
            usage: self
                .publisher
                .as_ref()
                .map_or_else(UsageStats::default, |publisher| publisher.stats()),
            stream,
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

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a stream may be down before a cache without a time limit counts as stale.
#[cfg(feature = "ws")]
const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);
