//! The test kit's `TestFlags` as the relay proxy of a client, in both evaluation types.

use goff_core::{Event, EventSource};
use goff_testkit::TestFlags;

use crate::*;

fn user() -> EvaluationContext {
    having("plan", "pro")
}

async fn client(flags: &TestFlags, evaluation_type: EvaluationType) -> GoFeatureFlag {
    let goff = connect(options_of(flags.clone()).evaluation_type(evaluation_type)).await;
    flags.announce_to(goff.invalidation_sink());
    goff
}

#[tokio::test]
async fn a_changed_flag_is_served_at_once_from_a_cache() {
    let flags = TestFlags::new().with("flag", 1);
    let goff = client(&flags, EvaluationType::Remote).await;
    for value in 1..10 {
        flags.set("flag", value);
        for reason in ["STATIC", "CACHED"] {
            let details = goff.evaluate("flag", &user(), 0).await;
            assert_eq!((details.value, details.reason().as_str()), (value, reason));
        }
    }
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!(report.delivered, 9);
    let events = flags.events();
    let from_cache = events.iter().filter(|event| matches!(event, Event::Feature(event) if event.source == EventSource::ProviderCache));
    assert_eq!(from_cache.count(), 9);
}

#[tokio::test]
async fn a_changed_flag_is_fetched_at_once_for_evaluation_in_process() {
    let flags = TestFlags::new().with("flag", 1);
    let goff = client(&flags, EvaluationType::InProcess).await;
    assert_eq!(goff.evaluate("flag", &user(), 0).await.value, 1);
    let rule = json!({
        "variations": {"pro": 2, "others": 3},
        "targeting": [{"query": "plan eq \"pro\"", "variation": "pro"}],
        "defaultRule": {"variation": "others"},
    });
    flags.set_flag("flag", rule).unwrap();
    let changed = async {
        while goff.evaluate("flag", &user(), 0).await.value != 2 {
            tokio::task::yield_now().await;
        }
    };
    // The polling interval is two minutes.
    tokio::time::timeout(secs(10), changed).await.unwrap();
    assert!(goff.evaluate("nowhere", &user(), true).await.value);
    goff.shutdown(TIMEOUT).await;
    assert!(!flags.events().is_empty());
}

/// Neither the embedded relay proxy nor a socket is needed, so the clock may be paused.
#[tokio::test(start_paused = true)]
async fn change_is_in_effect_after_its_event() {
    let flags = TestFlags::new().with("flag", 0);
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(flags.clone()))
        .evaluation_type(EvaluationType::InProcess);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    flags.announce_to(goff.invalidation_sink());
    let context = EvaluationContext::default();
    for value in 1..4_i64 {
        let mut events = goff.subscribe();
        flags.set("flag", value);
        while let Some(event) = events.next().await {
            if matches!(event, ClientEvent::ConfigurationChanged(_)) {
                break;
            }
        }
        assert_eq!(goff.evaluate("flag", &context, -1_i64).await.value, value);
    }
}
