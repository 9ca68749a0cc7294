//! What the tests of the publisher share.

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{
    ContextKind, ContextView, ErrorCode, Event, EventBatch, EventSink, EventSource, FeatureEvent,
    RelayClient, RelayError, Resolution,
};
use goff_hooks::{DeliveryReport, EventPublisher, EventPublisherOptions};
use goff_testkit::{RecordingLog, ScriptedRelay};
use tokio::task::yield_now;
use tokio::time::advance;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// A cache hit whose creation date is its id.
pub(crate) fn event(id: i64) -> FeatureEvent {
    FeatureEvent::new(
        "flag",
        ContextKind::User,
        "user",
        id,
        EventSource::ProviderCache,
    )
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

pub(crate) fn started(relay: &ScriptedRelay, options: EventPublisherOptions) -> EventPublisher {
    let publisher = EventPublisher::new(Arc::new(relay.clone()), options);
    publisher.start().unwrap();
    publisher
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

pub(crate) fn refusal(status: u16) -> Option<RelayError> {
    Some(RelayError::Status {
        status,
        path: "/v1/data/collector".to_owned(),
        message: None,
        code: ErrorCode::General,
    })
}

/// (recorded, delivered, dropped, pending), which add up.
pub(crate) fn counts(report: &DeliveryReport) -> (u64, u64, u64, u64) {
    let DeliveryReport {
        recorded,
        delivered,
        dropped,
        pending,
        ..
    } = *report;
    assert_eq!(recorded, delivered + dropped + pending, "{report:?}");
    (recorded, delivered, dropped, pending)
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

/// What a test's data collector does with a batch.
#[async_trait]
pub(crate) trait Collect: Debug + Send + Sync {
    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError>;
}

/// A relay proxy that only collects usage data.
#[derive(Debug, Default)]
pub(crate) struct OnlyCollector<T>(pub(crate) T);

impl<T> Deref for OnlyCollector<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[async_trait]
impl<T: Collect> RelayClient for OnlyCollector<T> {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        self.0.collect(batch).await
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

    /// The number of lines that contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        let lines = self.0.lines().into_iter();
        lines
            .filter(|(level, line)| format!("{level} {line}").contains(text))
            .count()
    }
}
