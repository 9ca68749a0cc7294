//! Scenario 8 for the change stream, whose key is in the query and must be escaped there.

use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, StreamState};
use goff_tests_integration::{EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, relay};
use tokio::time::{Instant, sleep};

use crate::following::stream_opens;

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn keys_open_the_stream_whether_or_not_they_must_be_escaped() {
    let relay = relay(Instance::Authenticated);
    for key in [EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE] {
        let options = GoFeatureFlagOptions::new(relay.endpoint()).api_key(key);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        stream_opens(&goff, 0).await;
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_error_of_a_refused_stream_does_not_contain_the_key() {
    const WRONG: &str = "wrong+key&so";
    let relay = relay(Instance::Authenticated);
    for key in [None, Some(WRONG)] {
        let mut options = GoFeatureFlagOptions::new(relay.endpoint())
            .reconnect_interval(Duration::from_millis(200));
        if let Some(key) = key {
            options = options.api_key(key);
        }
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let give_up = Instant::now() + Duration::from_secs(20);
        let error = loop {
            if let Some(error) = goff.status().last_error {
                break error;
            }
            assert!(Instant::now() < give_up, "{:?}", goff.stats());
            // The status can only be polled.
            sleep(Duration::from_millis(10)).await;
        };
        let error = error.to_string();
        assert!(error.contains("401"), "{error}");
        assert!(!error.contains("wrong"), "{error}");
        assert_eq!(goff.stats().stream, StreamState::Refused);
    }
}
