//! `Debug` shows no user: neither keys nor values of attributes.

use std::fmt::Debug;
use std::task::Waker;

use goff_client::EvaluationType;
use goff_core::__internal::CacheKeyRef;
use goff_core::{ContextKind, Event, EventBatch, EventSource, FeatureEvent, TrackingEvent};
use goff_hooks::EnrichedContext;
use goff_testkit::ScriptedRelay;
use serde_json::json;

use super::*;

/// The user's key, and the values of attributes.
const PERSONAL: [&str; 4] = ["jane-1234", "jane@example.org", "4111", "Springfield"];

fn jane() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("jane-1234")
        .attribute("email", "jane@example.org")
        .attribute("card", 4111)
        .attribute("address", json!({"town": ["Springfield"]}))
        .build()
}

#[track_caller]
fn shows_no_user(value: impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        for personal in PERSONAL {
            assert!(!text.contains(personal), "{text}");
        }
        assert!(text.len() < 10_000, "{text}");
    }
}

#[tokio::test]
async fn client_shows_no_user() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = goff(&relay).await;
    let jane = jane();
    for _ in 0..2 {
        assert!(goff.evaluate("flag", &jane, false).await.value);
    }
    goff.track("bought", &jane, object(json!({"town": "Springfield"})))
        .unwrap();
    let relay = relay.manual();
    let mut waker = std::task::Context::from_waker(Waker::noop());
    let mut waiting = std::pin::pin!(goff.evaluate("other", &jane, false));
    assert!(waiting.as_mut().poll(&mut waker).is_pending());
    relay.wait_for_requests(2).await;
    shows_no_user(&goff);
    let text = format!("{goff:?}");
    assert!(text.contains("Ready") && text.contains("hits: 1"), "{text}");
    shows_no_user(goff.look_up("other", &jane).unwrap_err());
    shows_no_user(goff.subscribe());
    shows_no_user(goff.event_sink());
    shows_no_user(goff.invalidation_sink());
    shows_no_user(goff.status());
    shows_no_user(goff.stats());
    shows_no_user(goff.flush(millis(10)).await);
    goff.shutdown(millis(10)).await;
}

#[cfg(feature = "in-process")]
#[tokio::test]
async fn flags_in_process_show_no_user() {
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({"broken": {"disable": "yes"}}), None);
    let goff = connect(options(&relay).evaluation_type(EvaluationType::InProcess)).await;
    let jane = jane();
    goff.evaluate("broken", &jane, false).await;
    shows_no_user(&goff);
    shows_no_user(goff.local());
    shows_no_user(goff.local().unwrap().evaluate("broken", &jane, false));
}

#[test]
fn contexts_and_events_show_no_user() {
    let jane = jane();
    shows_no_user(&jane);
    let text = format!("{jane:?}");
    for name in ["email", "card", "address", "has_targeting_key: true"] {
        assert!(text.contains(name), "{text}");
    }
    let builder = EvaluationContext::builder().targeting_key("jane-1234");
    shows_no_user(builder.attribute("email", "jane@example.org"));
    let key = CacheKeyRef::new("flag", &jane).unwrap();
    shows_no_user(key);
    shows_no_user(key.to_owned_key(&jane));
    let metadata = goff_core::ExporterMetadata::default();
    shows_no_user(EnrichedContext::new(&jane, &metadata));
    let source = EventSource::ProviderCache;
    let feature = FeatureEvent::new("flag", ContextKind::User, "jane-1234", 1, source);
    let tracking = TrackingEvent::new("bought", ContextKind::User, "jane-1234", 1)
        .with_evaluation_context(object(json!({"email": "jane@example.org"})))
        .with_details(object(json!({"card": 4111})));
    let events: Vec<Event> = vec![feature.into(), tracking.into()];
    shows_no_user(EventBatch::new(metadata, events));
}
