//! The options of the publisher.

use std::time::Duration;

use goff_core::ExporterMetadata;

/// The options of an [`EventPublisher`](super::EventPublisher). Setters never fail.
#[derive(Debug, Clone)]
#[must_use]
pub struct EventPublisherOptions {
    pub(super) exporter_metadata: ExporterMetadata,
    pub(super) flush_interval: Duration,
    pub(super) max_pending_events: usize,
    pub(super) max_pending_bytes: usize,
    pub(super) debug: bool,
}

impl EventPublisherOptions {
    /// Labels this application's events. Default: only the reserved entries.
    pub fn exporter_metadata(mut self, exporter_metadata: ExporterMetadata) -> Self {
        self.exporter_metadata = exporter_metadata;
        self
    }

    /// The time between two deliveries, with a jitter of a tenth; the first one is up to half shorter, so
    /// that applications that start together do not deliver together. Default: 60 s; at least 1 ms.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// The number of queued events that starts a delivery, and the largest number of events in a
    /// batch. The queue and the batch in flight hold twice as many. Default: 10,000; at least 1.
    pub fn max_pending_events(mut self, count: usize) -> Self {
        self.max_pending_events = count.max(1);
        self
    }

    /// About how many bytes of memory the queue and the batch in flight keep at most; half of it
    /// starts a delivery. Beyond it the oldest queued event is dropped, and an event that is larger
    /// alone. Default: 64 MiB; at least 1.
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.max_pending_bytes = bytes.max(1);
        self
    }

    /// Whether deliveries are logged at INFO instead of DEBUG. Default: `false`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }
}

impl Default for EventPublisherOptions {
    fn default() -> Self {
        Self {
            exporter_metadata: ExporterMetadata::default(),
            flush_interval: Duration::from_secs(60),
            max_pending_events: 10_000,
            max_pending_bytes: 64 * 1024 * 1024,
            debug: false,
        }
    }
}
