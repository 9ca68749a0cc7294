//! Evaluating a static, targeted or split flag in process allocates nothing, and one that cannot be
//! evaluated next to nothing, whatever its size.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use goff_client::{
    EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, LocalFlags, Reason,
};
use goff_testkit::ScriptedRelay;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts for the whole process, so this test has its process alone.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Polls by hand, because a runtime allocates too; in-process evaluation never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
    .unwrap()
}

fn connected() -> (tokio::runtime::Runtime, GoFeatureFlag, LocalFlags) {
    let variations = json!({"on": true, "off": false});
    let large = json!({"on": vec![json!({"": 0}); 20_000]});
    let relay = ScriptedRelay::new();
    relay.set_flags(
        &json!({
            "static": {"variations": variations, "defaultRule": {"variation": "on"}},
            "rule": {
                "variations": variations,
                "targeting": [{"query": "plan eq \"pro\" and age gt 20", "variation": "on"}],
                "defaultRule": {"variation": "off"},
                "metadata": {"description": "a flag with a rule"},
            },
            "split": {
                "variations": {"left": true, "right": true},
                "defaultRule": {"percentage": {"left": 50, "right": 50}},
            },
            "malformed": {"variations": large, "disable": 1, "trackEvents": false},
            "too large": {"variations": large, "defaultRule": {"variation": "on"}},
            "needs": {"variations": large, "needs": [{"flag": "static"}]},
        }),
        None,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay))
        .evaluation_type(EvaluationType::InProcess)
        .disable_data_collection(true);
    let goff = runtime.block_on(GoFeatureFlag::connect(options)).unwrap();
    let local = goff.local().unwrap();
    (runtime, goff, local)
}

#[test]
fn evaluation_in_process_allocates_nothing() {
    let (_runtime, goff, local) = connected();
    let context = EvaluationContext::builder()
        .targeting_key("d45e303a-38c2-11ed-a261-0242ac120002")
        .attribute("age", 30)
        .attribute("email", "john.doe@example.org")
        .attribute("plan", "pro")
        .build();
    for (flag, reason) in [
        ("static", Reason::Static),
        ("rule", Reason::TargetingMatch),
        ("split", Reason::Split),
    ] {
        // Once unmeasured, for everything that is made lazily.
        assert_eq!(
            at_once(goff.evaluate(flag, &context, false)).reason(),
            &reason
        );
        let region = Region::new(ALLOCATOR);
        let natively = at_once(goff.evaluate(flag, &context, false)).value;
        let locally = local.evaluate(flag, &context, false).value;
        let snapshot = local.snapshot();
        let through_it = snapshot.evaluate(flag, &context, false).value;
        let change = region.change();
        assert!(natively && locally && through_it, "{flag}");
        assert_eq!(
            (change.allocations, change.reallocations),
            (0, 0),
            "`{flag}`: {change:?}"
        );
    }
    for flag in ["malformed", "too large", "needs"] {
        assert!(local.evaluate(flag, &context, false).error().is_some());
        let region = Region::new(ALLOCATOR);
        local.evaluate(flag, &context, false);
        let change = region.change();
        assert!(change.bytes_allocated < 10_000, "`{flag}`: {change:?}");
    }
}
