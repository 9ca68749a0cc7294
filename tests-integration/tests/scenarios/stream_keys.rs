//! Scenario 8, for the stream: its key is in the query, where nearly every character can mean something else.

use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, StreamState};
use goff_tests_integration::{EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, relay};
use tokio::time::{Instant, sleep};

use crate::following::stream_opens;

#[tokio::test]
async fn a_key_opens_the_stream_also_one_to_escape() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    for key in [EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE] {
        let options = GoFeatureFlagOptions::new(relay.endpoint()).api_key(key);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        stream_opens(&goff, 0).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_says_so_without_the_key() {
    const WRONG: &str = "wrong+key&so";
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
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
            // The status cannot be waited on, only asked for.
            sleep(Duration::from_millis(10)).await;
        };
        let error = error.to_string();
        assert!(error.contains("401"), "{error}");
        assert!(!error.contains("wrong"), "{error}");
        assert_eq!(goff.stats().stream, StreamState::Down);
    }
}
