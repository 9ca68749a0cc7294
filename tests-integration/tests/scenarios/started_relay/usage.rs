//! Usage data of remote evaluation: every evaluation is recorded at most once, by the relay proxy or by the client. Each
//! test counts the events of both sides, natively and through OpenFeature. In-process evaluation:
//! [`super::in_process_usage`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_tests_integration::{CollectedKind, Instance, own_relay, relay, request};
use open_feature::{EvaluationContext, OpenFeature};
use serde_json::Value;

use crate::counting::{Recorded, check};
use crate::failing_hook::Failing;
use crate::surfaces::{Typed, User, remote_surfaces};

/// Without a stream, whose opening would clear the cache between two evaluations.
fn without_stream(options: GoFeatureFlagOptions) -> GoFeatureFlagOptions {
    options.disable_cache_invalidation(true)
}

/// Evaluates a flag twice and compares the recorded events.
async fn check_twice(flag: &str, default: Typed, server: Recorded<'_>, client: Recorded<'_>) {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), without_stream).await {
        let user = surface.user(&format!("counted {flag} {default:?}"));
        for _ in 0..2 {
            surface.evaluate(flag, default.clone(), &user).await;
        }
        let place = format!("{flag}, {}", surface.name);
        let events = check(&place, &surface.goff, relay, &user, server, client).await;
        for event in events {
            if event["value"] != "a" {
                // Hooks of the SDK do not get the caller's default.
                let expected = match surface.is_native() {
                    true => default.to_json(),
                    false => Value::Null,
                };
                assert_eq!(event["value"], expected, "{place}");
            }
        }
    }
}

/// GOFF-COLL-023, GOFF-CACHE-007.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_a_miss_and_the_client_a_hit() {
    let (server, client) = (&[("A", false)], &[("A", false)]);
    check_twice("static_key", Typed::Text("default"), server, client).await;
}

/// GOFF-COLL-022, GOFF-HOOK-006; GOFF-COLL-020 over OFREP.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_untracked_flag_is_not_recorded() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), without_stream).await {
        let user = surface.user("counted, not tracked");
        for _ in 0..2 {
            surface.evaluate("untracked_key", "default", &user).await;
        }
        // An OFREP answer does not show that a flag is untracked, so its hits are recorded.
        let client: Recorded<'_> = match surface.name.starts_with("Ofrep") {
            true => &[("A", false)],
            false => &[],
        };
        check(&surface.name, &surface.goff, relay, &user, &[], client).await;
    }
}

/// GOFF-COLL-023.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_each_evaluation_of_an_unknown_flag() {
    let server = &[("SdkDefault", true), ("SdkDefault", true)];
    check_twice("no-such-flag", Typed::Text("default"), server, &[]).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_disabled_flag_is_no_failure_on_either_side() {
    let (server, client) = (&[("SdkDefault", false)], &[("SdkDefault", false)]);
    check_twice("disabled_string", Typed::Text("default"), server, client).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_a_null_value_which_is_no_failure() {
    // The flag has a schedule, so its answers are not cacheable.
    let server = &[("absent", false), ("absent", false)];
    check_twice("null_value_key", Typed::Text("default"), server, &[]).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_type_mismatch_is_a_value_for_the_server_and_a_failure_for_the_client() {
    let (server, client) = (&[("A", false)], &[("SdkDefault", true)]);
    check_twice("static_key", Typed::Bool(true), server, client).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_an_evaluation_that_failed_there() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), without_stream).await {
        // The user lacks the attribute by which the flag buckets.
        let user = surface.user("counted, without a team");
        let seen = surface.evaluate("bucketing_key", "default", &user).await;
        assert_ne!(seen.outcome(), "ok", "{}", surface.name);
        let server = &[("SdkDefault", true)];
        check(&surface.name, &surface.goff, relay, &user, server, &[]).await;
    }
}

/// Callers that join a request are recorded as cache hits.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_one_of_the_callers_that_share_a_request() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), without_stream).await {
        let user = surface.user("counted, shared");
        let callers = (0..20).map(|_| surface.evaluate("static_key", "default", &user));
        let seen = futures_util::future::join_all(callers).await;
        assert!(seen.iter().all(|seen| seen.value == "a"), "{seen:?}");
        let stats = surface.goff.stats();
        assert_eq!((stats.misses, stats.shared), (1, 19), "{}", surface.name);
        let client = [("A", false); 19];
        let server = &[("A", false)];
        check(&surface.name, &surface.goff, relay, &user, server, &client).await;
    }
}

/// With a wrong key the relay proxy records nothing, so the client does. The data collector is another relay proxy,
/// because the first one would refuse usage data too.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_client_records_an_evaluation_that_was_refused() {
    let (collector, relay) = (relay(Instance::Open), relay(Instance::Authenticated));
    let options = |options: GoFeatureFlagOptions| {
        options
            .api_key("wrong")
            .data_collector_base_url(collector.endpoint())
    };
    for surface in remote_surfaces(relay.endpoint(), options).await {
        let user = surface.user("counted, refused");
        for _ in 0..2 {
            let seen = surface.evaluate("static_key", "default", &user).await;
            assert_ne!(seen.outcome(), "ok", "{}", surface.name);
        }
        let client = &[("SdkDefault", true), ("SdkDefault", true)];
        check(&surface.name, &surface.goff, collector, &user, &[], client).await;
        let server = relay.recorded_events(CollectedKind::Feature).read();
        assert!(
            server.iter().all(|event| event["userKey"] != user.key()),
            "{}",
            surface.name
        );
    }
}

/// GOFF-COLL-023.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_client_records_an_evaluation_that_reached_no_relay_proxy() {
    let collector = relay(Instance::Open);
    // The socket is bound and never listens, so that the port stays free of listeners.
    let unreachable = tokio::net::TcpSocket::new_v4().unwrap();
    unreachable.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = format!("http://{}", unreachable.local_addr().unwrap());
    let options =
        |options: GoFeatureFlagOptions| options.data_collector_base_url(collector.endpoint());
    for surface in remote_surfaces(&endpoint, options).await {
        let user = surface.user("counted, unreachable");
        let seen = surface.evaluate("static_key", "default", &user).await;
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        let client = &[("SdkDefault", true)];
        check(&surface.name, &surface.goff, collector, &user, &[], client).await;
    }
}

/// The relay proxy is suspended with the request, and may record it when it resumes.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_evaluation_with_an_unknown_fate_is_counted_and_not_recorded() {
    let relay = own_relay(Instance::Open);
    let adjust = |options: GoFeatureFlagOptions| {
        options
            .timeout(Duration::from_millis(500))
            .disable_cache_invalidation(true)
    };
    for surface in remote_surfaces(relay.endpoint(), adjust).await {
        // So that the request uses a pooled connection.
        surface
            .evaluate("default_key", "default", &User::new("earlier"))
            .await;
        let user = surface.user("counted, unknown");
        relay.signal("STOP").unwrap();
        let seen = surface.evaluate("static_key", "default", &user).await;
        relay.signal("CONT").unwrap();
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        let usage = surface.goff.stats().usage;
        assert_eq!((usage.unknown, usage.recorded), (1, 0), "{}", surface.name);
        // An answer shows that the relay proxy has resumed.
        let answer = request(relay.address(), "/info", &[], None).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn another_hook_that_fails_changes_nothing() {
    let relay = relay(Instance::Open);
    let options = without_stream(GoFeatureFlagOptions::new(relay.endpoint()));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut registry = OpenFeature::default();
    registry
        .set_provider(GoFeatureFlagProvider::from(&goff))
        .await;
    let failing = Failing::default();
    let client = registry.create_client().with_hook(failing.clone());
    let user = User::new("counted, another hook fails");
    let context = EvaluationContext::default().with_targeting_key(user.key());
    for failed in 1..=3 {
        let details = client
            .get_string_details("static_key", Some(&context), None)
            .await
            .unwrap();
        assert_eq!(details.value, "a");
        assert_eq!(failing.0.load(Ordering::Relaxed), failed, "`error` ran too");
    }
    let client = &[("A", false), ("A", false)];
    check(
        "a failing hook",
        &goff,
        relay,
        &user,
        &[("A", false)],
        client,
    )
    .await;
}
