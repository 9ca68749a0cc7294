//! Memory of the buffered events in an outage: at most `max_pending_bytes` and a quarter, whatever the
//! events are made of.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::sync::Arc;

use async_trait::async_trait;
use goff_core::{
    ContextKind, ContextView, Event, EventBatch, EventSink, EventSource, FeatureEvent, Reason,
    RelayClient, RelayError, Resolution, TrackingEvent,
};
use goff_hooks::{EventPublisher, EventPublisherOptions};
use serde_json::{Map, Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts for the whole process, so this test has its process alone.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A relay proxy that is down.
#[derive(Debug)]
struct Down;

#[async_trait]
impl RelayClient for Down {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        Err(RelayError::Timeout {
            timeout: std::time::Duration::from_secs(1),
            sent: true,
            server: None,
        })
    }
}

fn tracking(context: Value) -> Event {
    TrackingEvent::new("checkout", ContextKind::User, "user", 1)
        .with_evaluation_context(context.as_object().unwrap().clone())
        .into()
}

fn feature() -> FeatureEvent {
    FeatureEvent::new("flag", ContextKind::User, "user", 1, EventSource::InProcess)
}

fn members(count: usize) -> Value {
    let members = (0..count).map(|n| (n.to_string(), json!(n)));
    Value::Object(members.collect::<Map<_, _>>())
}

#[tokio::test]
async fn buffered_events_keep_no_more_than_the_limit() {
    const DEFAULT: usize = 64 * 1024 * 1024;
    let large = |length: usize| json!("x".repeat(length));
    // How many events, of what, and how many bytes they may keep: the limit, or what they hold.
    let cases: [(usize, &dyn Fn() -> Event, usize); 7] = [
        (
            20_000,
            &|| tracking(json!({"userAgent": large(100_000)})),
            DEFAULT,
        ),
        (5_000, &|| tracking(members(1_000)), DEFAULT),
        (
            3_000,
            &|| tracking(json!({"list": vec![Value::Null; 3_000]})),
            DEFAULT,
        ),
        (
            3_000,
            &|| tracking(json!({"list": vec![members(1); 100]})),
            DEFAULT,
        ),
        (
            20_000,
            &|| feature().with_default_value(Box::new(large(50_000))).into(),
            DEFAULT,
        ),
        (
            20_000,
            &|| {
                let answer = Resolution::new(members(200), Reason::Static);
                feature().with_resolution(Arc::new(answer)).into()
            },
            DEFAULT,
        ),
        (
            40_000,
            &|| feature().with_user_key("x".repeat(100)).into(),
            20_000 * 400,
        ),
    ];
    for (n, (count, event, limit)) in cases.into_iter().enumerate() {
        let publisher = EventPublisher::new(Arc::new(Down), EventPublisherOptions::default());
        publisher.start().unwrap();
        // From here on the size trigger is off.
        publisher.record(event());
        let _ = publisher.flush(std::time::Duration::from_secs(5)).await;
        let region = Region::new(ALLOCATOR);
        for _ in 0..count {
            publisher.record(event());
        }
        let change = region.change();
        let kept = change.bytes_allocated - change.bytes_deallocated;
        let allowed = limit + limit / 4;
        assert!(kept < allowed, "case {n}: {kept} bytes of {allowed}");
        let stats = publisher.stats();
        let counted = usize::try_from(stats.pending_bytes).unwrap();
        assert!(counted <= limit, "case {n}");
        assert!(
            kept < counted + counted / 4,
            "case {n}: {kept}, not {counted}"
        );
        // The limit is not met by keeping next to nothing.
        assert!(kept > limit / 4, "case {n}: {kept} bytes of {limit}");
        assert_eq!(stats.recorded, stats.dropped + stats.pending);
    }
}
