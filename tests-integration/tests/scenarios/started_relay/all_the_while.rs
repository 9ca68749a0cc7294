//! Scenario 11: an idle change stream. The test takes a minute. The name of its module makes it start early, so that it
//! runs beside the others.

use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
use goff_tests_integration::{Instance, own_relay};
use tokio::time::sleep;

use crate::following::{change_of, stream_opens};

/// The relay proxy closes a connection 60 s after the last pong.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_stream_still_carries_changes_after_65_idle_seconds() {
    let relay = own_relay(Instance::Open);
    let mut idle = Vec::new();
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let options = GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(mode);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        stream_opens(&goff, 0).await;
        let reconnects = goff.stats().reconnects;
        let subscription = goff.subscribe();
        idle.push((goff, reconnects, subscription));
    }

    sleep(Duration::from_secs(65)).await;

    let disabled = "\nstring_key:\n  disable: true\n";
    relay.edit_flags("\nstring_key:\n", disabled).unwrap();
    for (goff, reconnects, subscription) in &mut idle {
        change_of("string_key", subscription).await;
        let user = EvaluationContext::builder().targeting_key("idle").build();
        let details = goff.evaluate("string_key", &user, String::new()).await;
        assert!(details.is_disabled());
        let (seen, status) = (goff.stats().reconnects, goff.status());
        assert_eq!(seen, *reconnects, "the connection is the same: {status:?}");
    }
}
