//! Scenario 10: a changed flag file is announced, and the changed flags leave the cache.

use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions};
use goff_tests_integration::{BreakableProxy, Instance, own_relay};
use tokio::time::Instant;

use crate::following::{STATIC_KEY, change_of, static_key_with_b, stream_opens};
use crate::surfaces::{User, plain, remote_surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn only_the_changed_flag_misses() {
    let relay = own_relay(Instance::Open);
    let surfaces = remote_surfaces(relay.endpoint(), plain).await;
    let john = User::john();
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        for (flag, reason) in [("static_key", "STATIC"), ("default_key", "DEFAULT")] {
            for reason in [reason, "CACHED"] {
                surface.expect_reason(flag, &john, "a", reason).await;
            }
        }
        subscriptions.push(surface.goff.subscribe());
    }

    relay.edit_flags(STATIC_KEY, &static_key_with_b()).unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        change_of("static_key", subscription).await;
        let misses = surface.goff.stats().misses;
        surface
            .expect_reason("static_key", &john, "b", "STATIC")
            .await;
        surface
            .expect_reason("default_key", &john, "a", "CACHED")
            .await;
        assert_eq!(surface.goff.stats().misses, misses + 1, "{surface}");
    }
}

/// docs/python-parity.md A.6, row 41: 0.5 clears the whole cache at each message. Here only the changed flag leaves it.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_is_disabled_and_restored() {
    const STRING_KEY: &str = "\nstring_key:\n";
    const BOOL_KEY: &str = "bool_targeting_match";
    let relay = own_relay(Instance::Open);
    let john = User::john();
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        stream_opens(&surface.goff, 0).await;
        for reason in ["TARGETING_MATCH", "CACHED"] {
            let seen = surface.expect(BOOL_KEY, false, &john, true).await;
            let answer = (seen.variant.as_deref(), &*seen.reason);
            assert_eq!(answer, (Some("True"), reason), "{surface}");
            assert_eq!(seen.metadata["description"], "this is a test");
            let link = "https://github.com/thomaspoignant/go-feature-flag/pull/916";
            assert_eq!(seen.metadata["pr_link"], link);
        }
        let (unknown, code) = ("nonexistent-flag-key", "FLAG_NOT_FOUND");
        surface.expect_error(unknown, false, &john, code).await;
        surface.serves("string_key", &john, "CC0000").await;

        let mut subscription = surface.goff.subscribe();
        let disabled = format!("{STRING_KEY}  disable: true\n");
        relay.edit_flags(STRING_KEY, &disabled).unwrap();
        change_of("string_key", &mut subscription).await;
        let seen = surface.evaluate("string_key", "default", &john).await;
        assert_eq!(seen.value, "default", "{surface}");
        relay.edit_flags(&disabled, STRING_KEY).unwrap();
        change_of("string_key", &mut subscription).await;
        surface
            .expect_reason("string_key", &john, "CC0000", "TARGETING_MATCH")
            .await;
        let seen = surface.expect(BOOL_KEY, false, &john, true).await;
        assert_eq!(seen.reason, "CACHED", "{surface}");
    }
}

/// A load balancer cuts every connection at the same age: after two gaps the stream is handed over before that. Each
/// change arrives, and answers of other flags stay cached.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn stream_behind_a_cutting_gateway_keeps_the_cache_and_every_change() {
    let age = Duration::from_secs(7);
    let relay = own_relay(Instance::Open);
    let gateway = BreakableProxy::cutting(&relay, age).await.unwrap();
    let goff = GoFeatureFlag::connect(GoFeatureFlagOptions::new(gateway.endpoint()))
        .await
        .unwrap();
    let john = EvaluationContext::builder().targeting_key("john").build();
    stream_opens(&goff, 2).await;
    goff.evaluate("default_key", &john, String::new()).await;
    let mut subscription = goff.subscribe();
    let (start, first) = (Instant::now(), goff.stats());
    let (mut changes, mut current) = (0, STATIC_KEY.to_owned());
    while start.elapsed() < age * 3 {
        let (next, value) = match changes % 2 {
            0 => (static_key_with_b(), "b"),
            _ => (STATIC_KEY.to_owned(), "a"),
        };
        relay.edit_flags(&current, &next).unwrap();
        current = next;
        // During a hand-over the change before may be announced a second time.
        loop {
            change_of("static_key", &mut subscription).await;
            let seen = goff.evaluate("static_key", &john, String::new()).await;
            if seen.value == value {
                break;
            }
        }
        let other = goff.evaluate("default_key", &john, String::new()).await;
        assert_eq!(other.reason().as_str(), "CACHED", "{:?}", goff.stats());
        changes += 1;
    }
    assert_eq!(goff.stats().reconnects, first.reconnects, "a gap");
    assert!(changes >= 3, "{changes} changes");
}
