//! The publisher over a scripted relay proxy, on a clock that stands still.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod delivering;
#[path = "../only_collector/mod.rs"]
mod only_collector;
mod stopping;
mod taking_turns;
mod telling;

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{
    ContextKind, ErrorCode, Event, EventBatch, EventSink, EventSource, ExporterMetadata,
    FeatureEvent, RelayError,
};
use goff_hooks::{DeliveryReport, EventPublisher, EventPublisherOptions};
use goff_testkit::ScriptedRelay;
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use self::only_collector::{Collect, OnlyCollector};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn event(id: i64, failed: bool, value: Option<Value>) -> Event {
    Event::Feature(FeatureEvent {
        context_kind: ContextKind::User,
        user_key: "user".into(),
        creation_date_seconds: id,
        flag_key: "flag".into(),
        resolution: None,
        default_value: value.map(Box::new),
        is_default: failed,
        source: EventSource::ProviderCache,
    })
}

fn record(publisher: &EventPublisher, ids: std::ops::Range<i64>) {
    for id in ids {
        publisher.record(event(id, false, None));
    }
}

fn started(relay: &ScriptedRelay, options: EventPublisherOptions) -> EventPublisher {
    let publisher = EventPublisher::new(Arc::new(relay.clone()), options);
    publisher.start().unwrap();
    publisher
}

fn options() -> EventPublisherOptions {
    EventPublisherOptions::default()
}

fn small() -> EventPublisherOptions {
    options().max_pending_events(4)
}

/// The ids of every event that arrived, by batch.
fn batches(relay: &ScriptedRelay) -> Vec<Vec<i64>> {
    let ids = |batch: &EventBatch| batch.events.iter().map(id).collect();
    relay.batches().iter().map(ids).collect()
}

fn id(event: &Event) -> i64 {
    match event {
        Event::Feature(event) => event.creation_date_seconds,
        _ => -1,
    }
}

fn refusal(status: u16) -> Option<RelayError> {
    Some(RelayError::Status {
        status,
        path: "/v1/data/collector".to_owned(),
        message: None,
        code: ErrorCode::General,
    })
}

/// (recorded, delivered, dropped, buffered), which add up.
fn counts(report: &DeliveryReport) -> (u64, u64, u64, u64) {
    let DeliveryReport {
        recorded,
        delivered,
        dropped,
        buffered,
        ..
    } = *report;
    assert_eq!(recorded, delivered + dropped + buffered, "{report:?}");
    (recorded, delivered, dropped, buffered)
}

/// Lets the task do what it can without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass, second by second, so that the task sees each.
async fn pass(time: Duration) {
    for _ in 0..time.as_secs() {
        advance(SECOND).await;
        settle().await;
    }
}
