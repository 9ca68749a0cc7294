//! The options of an event sink, and of which events are recorded.

use std::sync::Arc;
use std::time::Duration;

use goff_core::EventSink;

use crate::options::GoFeatureFlagOptions;

impl GoFeatureFlagOptions {
    /// Gives usage data to your own sink too, in all modes; flags from a file or a text have no other
    /// receiver. Remotely it receives what this client records: evaluations answered from the cache,
    /// those that failed before they reached the relay proxy, and tracking events; in process every
    /// evaluation. It receives events without the metadata of batches: if their readers need it, write
    /// the [`exporter_metadata`](crate::GoFeatureFlag::exporter_metadata) and the
    /// [`event_sampling_rate`](Self::event_sampling_rate) yourself. Default: none.
    ///
    /// The sink is called on one thread, which calls nothing else, one event at a time. If the system
    /// gives no thread, events are dropped, with a warning, until the next start. If it is slow or blocks,
    /// evaluations go on: a queue of twice [`max_pending_events`](Self::max_pending_events) and of
    /// [`max_pending_bytes`](Self::max_pending_bytes) fills, and then drops its oldest events. An
    /// event at which it panics is counted as rejected. `flush` and `shutdown` wait for it within
    /// their timeout. [`Stats`](crate::Stats) and [`DeliveryReport`](crate::DeliveryReport) count
    /// what became of its events.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::Write;
    /// use std::sync::{Arc, Mutex};
    ///
    /// use goff_client::{Event, EventSink, GoFeatureFlagOptions};
    ///
    /// #[derive(Debug)]
    /// struct JsonLines(Mutex<File>);
    ///
    /// impl EventSink for JsonLines {
    ///     fn record(&self, event: Event) {
    ///         let Ok(mut line) = serde_json::to_vec(&event) else { return };
    ///         line.push(b'\n');
    ///         if let Ok(mut file) = self.0.lock() {
    ///             let _ = file.write_all(&line);
    ///         }
    ///     }
    /// }
    ///
    /// # fn options(file: File) -> GoFeatureFlagOptions {
    /// let sink = Arc::new(JsonLines(Mutex::new(file)));
    /// let options = GoFeatureFlagOptions::with_relay_client(relay_client()).event_sink(sink);
    /// # options }
    /// # fn relay_client() -> Arc<dyn goff_client::RelayClient> { unreachable!() }
    /// ```
    pub fn event_sink(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.events.sink = Some(sink);
        self
    }

    /// Sends no usage data to the relay proxy's data collector; only [`event_sink`](Self::event_sink)
    /// receives it. The relay proxy still records the evaluations that it makes. Default: `false`.
    pub fn event_sink_only(mut self, only: bool) -> Self {
        self.events.sink_only = only;
        self
    }

    /// The share of evaluations that this client records, above 0 and at most 1. Default: 1.
    ///
    /// Each evaluation is drawn at random, independently of its flag, user and value. So the count of
    /// any group of events, be it one user's, divided by the rate estimates the true count, and the
    /// sample does not depend on how a rollout splits the users. Tracking events are always recorded.
    /// What was not drawn is counted as `left_out`, and was never recorded. Batches say the rate as
    /// `samplingRate` in their metadata; an [`event_sink`](Self::event_sink) receives events without
    /// it. It is not in the context of evaluations, since the relay
    /// proxy records each of those that it makes.
    pub fn event_sampling_rate(mut self, rate: f64) -> Self {
        self.events.sampling_rate = Some(rate);
        self
    }

    /// For how long an evaluation is not recorded again that differs only in its time: the same flag,
    /// user, value, variant and version. Default: none, every evaluation is recorded.
    ///
    /// The window begins with the event that is recorded; repetitions do not extend it, and are
    /// counted as `left_out`. They stay left out if that event is dropped or rejected later. A new
    /// API key begins the window anew. It knows 65,536 events, about 4 MB; beyond that the oldest is forgotten
    /// early and its repetition recorded. It keeps hashes with a random key, and no key of a user.
    /// With [`event_sampling_rate`](Self::event_sampling_rate) the sample is drawn from what is no
    /// repetition. Tracking events are always recorded. Batches say the window as
    /// `deduplicationWindowSeconds` in their metadata.
    pub fn event_deduplication_window(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.events.deduplication_window = window.into();
        self
    }
}
