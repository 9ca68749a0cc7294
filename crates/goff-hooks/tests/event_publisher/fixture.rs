//! What the tests of the publisher share.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{
    ContextKind, ErrorCode, Event, EventBatch, EventSink, EventSource, FeatureEvent, RelayClient,
    RelayError,
};
use goff_hooks::{DeliveryReport, EventPublisher, EventPublisherOptions};
use goff_testkit::{RecordingLog, ScriptedRelay};
use tokio::task::yield_now;
use tokio::time::advance;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// The default interval of deliveries, with its jitter.
pub(crate) const INTERVAL: Duration = Duration::from_secs(67);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// A cache hit whose creation date is its id.
pub(crate) fn event(id: i64) -> FeatureEvent {
    let source = EventSource::ProviderCache;
    FeatureEvent::new("flag", ContextKind::User, "user", id, source)
}

pub(crate) fn id(event: &Event) -> i64 {
    match event {
        Event::Feature(event) => event.creation_date_seconds,
        _ => -1,
    }
}

pub(crate) fn record(publisher: &EventPublisher, ids: Range<i64>) {
    for id in ids {
        publisher.record(event(id).into());
    }
}

pub(crate) fn started(
    collector: Arc<impl RelayClient + 'static>,
    options: EventPublisherOptions,
) -> EventPublisher {
    let publisher = EventPublisher::new(collector, options);
    publisher.start().unwrap();
    publisher
}

/// A relay proxy and a publisher that runs and delivers to it.
pub(crate) fn running(options: EventPublisherOptions) -> (ScriptedRelay, EventPublisher) {
    let relay = ScriptedRelay::new();
    let publisher = started(Arc::new(relay.clone()), options);
    (relay, publisher)
}

pub(crate) fn options() -> EventPublisherOptions {
    EventPublisherOptions::default()
}

pub(crate) fn small() -> EventPublisherOptions {
    options().max_pending_events(4)
}

/// The ids of the delivered events, by batch.
pub(crate) fn batches(relay: &ScriptedRelay) -> Vec<Vec<i64>> {
    let ids = |batch: &EventBatch| batch.events.iter().map(id).collect();
    relay.batches().iter().map(ids).collect()
}

/// Whether exactly these events are delivered, in order.
pub(crate) fn is_delivered(relay: &ScriptedRelay, ids: Range<i64>) -> bool {
    batches(relay).concat().into_iter().eq(ids)
}

pub(crate) fn refusal(status: u16) -> Option<RelayError> {
    Some(RelayError::Status {
        status,
        path: "/v1/data/collector".to_owned(),
        message: None,
        code: ErrorCode::General,
        server: None,
    })
}

/// (recorded, delivered, dropped, pending), which add up with those rejected.
pub(crate) fn counts(report: &DeliveryReport) -> (u64, u64, u64, u64) {
    let (delivered, dropped, pending) = (report.delivered, report.dropped, report.pending);
    let sum = delivered + dropped + report.rejected + pending;
    assert_eq!(report.recorded, sum, "{report:?}");
    (report.recorded, delivered, dropped, pending)
}

/// Lets the worker do what it can without time passing.
pub(crate) async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Lets time pass second by second, so that the worker runs in each.
pub(crate) async fn pass(time: Duration) {
    for _ in 0..time.as_secs() {
        advance(SECOND).await;
        settle().await;
    }
}

/// The log lines of this thread: level, message, other fields.
pub(crate) struct Log(RecordingLog);

impl Log {
    pub(crate) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = RecordingLog::of("goff_hooks");
        let guard = tracing::subscriber::set_default(log.clone());
        (Self(log), guard)
    }

    /// Checks the number of lines that contain `text`.
    #[track_caller]
    pub(crate) fn assert_count(&self, text: &str, expected: usize) {
        let lines = self.0.lines();
        let is_hit = |(level, line): &&_| format!("{level} {line}").contains(text);
        assert_eq!(lines.iter().filter(is_hit).count(), expected, "{lines:?}");
    }
}
