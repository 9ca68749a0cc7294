//! Where a client's usage data goes: to the relay proxy's data collector, to the application's sink,
//! or to both.

use std::sync::Arc;
use std::time::Duration;

use goff_core::{Event, EventSink, NoRuntimeError};
use goff_hooks::__internal::QueuedSink;
use goff_hooks::{DeliveryReport, EventFilter, EventPublisher, EventPublisherOptions, UsageStats};

use crate::options::settings::Settings;

/// The receivers of usage data. Both are `None` without data collection.
#[derive(Debug, Default)]
pub(crate) struct UsageCollection {
    publisher: Option<Arc<EventPublisher>>,
    queue: Option<Arc<QueuedSink>>,
    #[cfg(feature = "http")]
    filter: Option<Arc<EventFilter>>,
    /// What evaluations record into. Where there is one receiver and no filter, it is that one.
    sink: Option<Arc<dyn EventSink>>,
}

impl UsageCollection {
    pub(crate) fn new(settings: &Settings) -> Self {
        let Some(collection) = &settings.collection else {
            return Self::default();
        };
        let publisher = collection.collector.as_ref().map(|collector| {
            let options = EventPublisherOptions::default()
                .exporter_metadata(collection.exporter_metadata.clone())
                .flush_interval(collection.flush_interval)
                .max_pending_events(collection.max_pending_events)
                .max_pending_bytes(collection.max_pending_bytes)
                .debug(settings.debug);
            Arc::new(EventPublisher::new(Arc::clone(collector), options))
        });
        let queue = collection.sink.clone();
        let sink: Option<Arc<dyn EventSink>> = match (&publisher, &queue) {
            (Some(publisher), Some(queue)) => {
                Some(Arc::new(Both(Arc::clone(publisher), Arc::clone(queue))))
            }
            (Some(publisher), None) => Some(Arc::clone(publisher) as _),
            (None, Some(queue)) => Some(Arc::clone(queue) as _),
            (None, None) => None,
        };
        let filter = sink
            .clone()
            .filter(|_| !collection.filter.is_off())
            .map(|sink| Arc::new(EventFilter::new(sink, &collection.filter)));
        Self {
            publisher,
            queue,
            sink: filter.clone().map(|filter| filter as _).or(sink),
            #[cfg(feature = "http")]
            filter,
        }
    }

    pub(crate) fn start(&self) -> Result<(), NoRuntimeError> {
        if let Some(publisher) = &self.publisher {
            publisher.start()?;
        }
        if let Some(queue) = &self.queue {
            queue.start();
        }
        Ok(())
    }

    pub(crate) async fn flush(&self, timeout: Duration) -> DeliveryReport {
        tokio::join!(
            async { Some(self.publisher.as_ref()?.flush(timeout).await) },
            async { Some(self.queue.as_ref()?.flush(timeout).await) },
        );
        self.report()
    }

    /// Delivers to the data collector alone.
    pub(crate) async fn deliver(&self, timeout: Duration) {
        if let Some(publisher) = &self.publisher {
            publisher.flush(timeout).await;
        }
    }

    /// There is another API key, whose events repeat none of the key before.
    #[cfg(feature = "http")]
    pub(crate) fn rekeyed(&self) {
        if let Some(filter) = &self.filter {
            filter.restart_window();
        }
    }

    pub(crate) async fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        tokio::join!(
            async { Some(self.publisher.as_ref()?.shutdown(timeout).await) },
            async { Some(self.queue.as_ref()?.shutdown(timeout).await) },
        );
        self.report()
    }

    /// What became of every event so far.
    pub(crate) fn report(&self) -> DeliveryReport {
        match (&self.publisher, &self.queue) {
            (Some(publisher), _) => {
                let mut report = publisher.report();
                report.event_sink = self.sink_stats();
                report
            }
            (None, Some(queue)) => queue.report(),
            (None, None) => DeliveryReport::default(),
        }
    }

    /// Waits until the application's sink has taken what is recorded, on the calling thread.
    #[cfg(feature = "in-process")]
    pub(crate) fn flush_sink(&self, timeout: Duration) -> DeliveryReport {
        let queue = self.queue.as_ref();
        queue.map_or_else(DeliveryReport::default, |queue| {
            queue.flush_blocking(timeout)
        })
    }

    /// Of the data collector, or of the sink that replaces it.
    pub(crate) fn stats(&self) -> UsageStats {
        match (&self.publisher, &self.queue) {
            (Some(publisher), _) => publisher.stats(),
            (None, Some(queue)) => queue.stats(),
            (None, None) => UsageStats::default(),
        }
    }

    /// Of the sink beside the data collector.
    pub(crate) fn sink_stats(&self) -> Option<UsageStats> {
        self.publisher.as_ref()?;
        Some(self.queue.as_ref()?.stats())
    }

    pub(crate) fn sink(&self) -> Option<&Arc<dyn EventSink>> {
        self.sink.as_ref()
    }
}

#[derive(Debug)]
struct Both(Arc<EventPublisher>, Arc<QueuedSink>);

impl EventSink for Both {
    fn record(&self, event: Event) {
        self.1.record(event.clone());
        self.0.record(event);
    }

    fn note_unknown(&self) {
        self.1.note_unknown();
        self.0.note_unknown();
    }

    fn note_left_out(&self) {
        self.1.note_left_out();
        self.0.note_left_out();
    }
}
