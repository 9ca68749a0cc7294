//! Usage data of remote evaluation: every evaluation is recorded at most once, by the relay proxy or by the client. Each
//! test counts the events of both sides, natively and through OpenFeature. In-process evaluation:
//! [`super::in_process_usage`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions};
use goff_tests_integration::{CollectedKind, Instance, own_relay, relay, request};
use open_feature::EvaluationContext;
use serde_json::Value;

use crate::counting::{Recorded, check, check_twice};
use crate::failing_hook::Failing;
use crate::surfaces::{Options, Typed, User, open_feature_client, remote_surfaces};

/// Without a stream, whose opening would clear the cache between two evaluations.
fn without_stream(options: Options) -> Options {
    options.disable_cache_invalidation(true)
}

/// GOFF-COLL-023, GOFF-CACHE-007.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_what_it_evaluates_and_the_client_its_cache_hits() {
    let relay = relay(Instance::Open);
    let surfaces = remote_surfaces(relay.endpoint(), without_stream).await;
    let text = |flag| (flag, Typed::Text("default"));
    let check = async |case, server: Recorded<'_>, client: Recorded<'_>| {
        check_twice(&surfaces, relay, case, server, client).await;
    };
    check(text("static_key"), &[("A", false)], &[("A", false)]).await;
    // An unknown flag is never cached.
    check(text("no-such-flag"), &[("SdkDefault", true); 2], &[]).await;
    // A disabled flag is no failure on either side.
    let disabled = &[("SdkDefault", false)];
    check(text("disabled_string"), disabled, disabled).await;
    // A null value is no failure. The flag has a schedule, so its answers are not cacheable.
    check(text("null_value_key"), &[("absent", false); 2], &[]).await;
    // A type mismatch is a value for the server and a failure for the client.
    let mismatch = ("static_key", Typed::Bool(true));
    check(mismatch, &[("A", false)], &[("SdkDefault", true)]).await;
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

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_an_evaluation_that_failed_there() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), without_stream).await {
        // The user lacks the attribute by which the flag buckets.
        let user = surface.user("counted, without a team");
        let seen = surface.evaluate("bucketing_key", "default", &user).await;
        assert_ne!(seen.outcome(), "ok", "{surface}");
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
        assert_eq!((stats.misses, stats.shared), (1, 19), "{surface}");
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
    let options = |options: Options| {
        options
            .api_key("wrong")
            .data_collector_base_url(collector.endpoint())
    };
    for surface in remote_surfaces(relay.endpoint(), options).await {
        let user = surface.user("counted, refused");
        for _ in 0..2 {
            let seen = surface.evaluate("static_key", "default", &user).await;
            assert_ne!(seen.outcome(), "ok", "{surface}");
        }
        let client = &[("SdkDefault", true); 2];
        check(&surface.name, &surface.goff, collector, &user, &[], client).await;
        let server = relay.recorded_events(CollectedKind::Feature).read();
        let is_other = |event: &Value| event["userKey"] != user.key();
        assert!(server.iter().all(is_other), "{surface}");
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
    let options = |options: Options| options.data_collector_base_url(collector.endpoint());
    for surface in remote_surfaces(&endpoint, options).await {
        let user = surface.user("counted, unreachable");
        let seen = surface.evaluate("static_key", "default", &user).await;
        assert_eq!(seen.outcome(), "GENERAL", "{surface}");
        let client = &[("SdkDefault", true)];
        check(&surface.name, &surface.goff, collector, &user, &[], client).await;
    }
}

/// The relay proxy is suspended with the request, and may record it when it resumes.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_evaluation_with_an_unknown_fate_is_counted_and_not_recorded() {
    let relay = own_relay(Instance::Open);
    let adjust = |options: Options| {
        options
            .timeout(Duration::from_millis(500))
            .disable_cache_invalidation(true)
    };
    for surface in remote_surfaces(relay.endpoint(), adjust).await {
        // So that the request uses a pooled connection.
        let earlier = User::new("earlier");
        surface.evaluate("default_key", "default", &earlier).await;
        let user = surface.user("counted, unknown");
        relay.signal("STOP").unwrap();
        let seen = surface.evaluate("static_key", "default", &user).await;
        relay.signal("CONT").unwrap();
        assert_eq!(seen.outcome(), "GENERAL", "{surface}");
        let usage = surface.goff.stats().usage;
        assert_eq!((usage.unknown, usage.recorded), (1, 0), "{surface}");
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
    let (_registry, client) = open_feature_client(&goff).await;
    let failing = Failing::default();
    let client = client.with_hook(failing.clone());
    let user = User::new("counted, another hook fails");
    let context = EvaluationContext::default().with_targeting_key(user.key());
    for failed in 1..=3 {
        let details = client.get_string_details("static_key", Some(&context), None);
        assert_eq!(details.await.unwrap().value, "a");
        assert_eq!(failing.0.load(Ordering::Relaxed), failed, "runs of `error`");
    }
    let client = &[("A", false), ("A", false)];
    let server = &[("A", false)];
    check("a failing hook", &goff, relay, &user, server, client).await;
}
