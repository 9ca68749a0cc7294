//! A relay proxy that hangs: stopped, it accepts connections and answers nothing.

use std::time::{Duration, Instant};

use goff_provider::native::EvaluationContext;
use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, State};
use goff_tests_integration::{Instance, own_relay};

use crate::following::stream_opens;

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn evaluations_fail_at_once_while_the_relay_proxy_hangs_and_work_after_it() {
    let relay = own_relay(Instance::Open);
    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .timeout(Duration::from_millis(500))
        .disable_cache(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    stream_opens(&goff, 0).await;
    let john = EvaluationContext::builder().targeting_key("john").build();
    let evaluate = || goff.evaluate("static_key", &john, String::new());
    assert_eq!(evaluate().await.value, "a");

    relay.signal("STOP").unwrap();
    let stopped = Instant::now();
    while goff.status().state != State::Error {
        assert!(
            stopped.elapsed() < Duration::from_secs(30),
            "{:?}",
            goff.status()
        );
        evaluate().await;
    }
    let before = goff.stats().circuit_open;
    let start = Instant::now();
    while goff.stats().circuit_open < before + 20 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            goff.stats()
        );
        evaluate().await;
    }

    relay.signal("CONT").unwrap();
    let continued = Instant::now();
    while evaluate().await.value != "a" || goff.status().state == State::Error {
        assert!(
            continued.elapsed() < Duration::from_secs(30),
            "{:?}",
            goff.status()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!matches!(goff.status().state, State::Error));
}
