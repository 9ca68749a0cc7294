//! Every evaluation is recorded once: by the relay proxy, or by the client, or by nobody where that is right. Each
//! test counts the events of both sides, natively and through OpenFeature; together they are the rows that remote
//! evaluation can produce; those of in-process evaluation are in [`crate::in_process_usage`].

use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_tests_integration::{
    EventKind, Instance, RelayProxy, relay_source, relay_under_control, request,
};
use open_feature::{EvaluationContext, OpenFeature};
use serde_json::Value;

use crate::counting::{Recorded, check};
use crate::failing_hook::Failing;
use crate::surfaces::{Asked, User, remote_surfaces};

/// Without a stream, whose opening would empty the cache between two evaluations.
fn undisturbed(options: GoFeatureFlagOptions) -> GoFeatureFlagOptions {
    options.disable_cache_invalidation(true)
}

/// Asks for one flag twice and compares what was recorded of it.
async fn check_twice(flag: &str, asked: Asked, server: Recorded<'_>, client: Recorded<'_>) {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), undisturbed).await {
        let user = User::of(&surface, &format!("counted {flag} {asked:?}"));
        for _ in 0..2 {
            surface.ask(flag, asked.clone(), &user).await;
        }
        let place = format!("{flag}, {}", surface.name);
        let events = check(&place, &surface.goff, relay, &user, server, client).await;
        for event in events {
            if event["value"] != "a" {
                // Through the SDK nobody knows the caller's default.
                let expected = match surface.is_native() {
                    true => asked.default_value(),
                    false => Value::Null,
                };
                assert_eq!(event["value"], expected, "{place}");
            }
        }
    }
}

/// GOFF-COLL-023, GOFF-CACHE-007.
#[tokio::test]
async fn a_miss_is_the_server_s_and_a_hit_the_client_s() {
    let (server, client) = (&[("A", false)], &[("A", false)]);
    check_twice("static_key", Asked::Text("default"), server, client).await;
}

/// GOFF-COLL-022, GOFF-HOOK-006; GOFF-COLL-020 over OFREP.
#[tokio::test]
async fn a_flag_that_is_not_tracked_is_nobody_s() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), undisturbed).await {
        let user = User::of(&surface, "counted, not tracked");
        for _ in 0..2 {
            surface
                .ask("untracked_key", Asked::Text("default"), &user)
                .await;
        }
        // OFREP does not say that a flag is not tracked, so that its hits are recorded; the docs say so.
        let client: Recorded<'_> = match surface.name.starts_with("Ofrep") {
            true => &[("A", false)],
            false => &[],
        };
        check(&surface.name, &surface.goff, relay, &user, &[], client).await;
    }
}

/// GOFF-COLL-023.
#[tokio::test]
async fn an_unknown_flag_is_the_server_s_every_time() {
    let server = &[("SdkDefault", true), ("SdkDefault", true)];
    check_twice("no-such-flag", Asked::Text("default"), server, &[]).await;
}

#[tokio::test]
async fn a_disabled_flag_is_no_failure_on_either_side() {
    let (server, client) = (&[("SdkDefault", false)], &[("SdkDefault", false)]);
    check_twice("disabled_string", Asked::Text("default"), server, client).await;
}

#[tokio::test]
async fn a_null_value_is_the_server_s_and_no_failure() {
    // It comes of a schedule, which the relay proxy does not let clients cache.
    let server = &[("absent", false), ("absent", false)];
    check_twice("null_value_key", Asked::Text("default"), server, &[]).await;
}

#[tokio::test]
async fn a_type_mismatch_is_the_server_s_value_and_the_client_s_failure() {
    let (server, client) = (&[("A", false)], &[("SdkDefault", true)]);
    check_twice("static_key", Asked::Bool(true), server, client).await;
}

#[tokio::test]
async fn an_evaluation_that_failed_there_is_the_server_s() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), undisturbed).await {
        // A flag that buckets by this attribute needs it.
        let user = User::of(&surface, "counted, without a team");
        let seen = surface
            .ask("bucketing_key", Asked::Text("default"), &user)
            .await;
        assert_ne!(seen.outcome(), "ok", "{}", surface.name);
        let server = &[("SdkDefault", true)];
        check(&surface.name, &surface.goff, relay, &user, server, &[]).await;
    }
}

/// One request for all; whoever waited for it is recorded as for a hit.
#[tokio::test]
async fn of_callers_that_share_a_request_one_is_the_server_s() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), undisturbed).await {
        let user = User::of(&surface, "counted, shared");
        let callers = (0..20).map(|_| surface.ask("static_key", Asked::Text("default"), &user));
        let seen = futures_util::future::join_all(callers).await;
        assert!(seen.iter().all(|seen| seen.value == "a"), "{seen:?}");
        let stats = surface.goff.stats();
        assert_eq!((stats.misses, stats.shared), (1, 19), "{}", surface.name);
        let client = [("A", false); 19];
        let server = &[("A", false)];
        check(&surface.name, &surface.goff, relay, &user, server, &client).await;
    }
}

/// A wrong key: the relay proxy that is asked records nothing, so the client does. The data collector is another
/// relay proxy here, since the one that refuses the key takes no usage data with it either.
#[tokio::test]
async fn an_evaluation_that_was_refused_is_the_client_s() {
    let (Some(relay), Some(collector)) = (
        relay_under_control(Instance::Authenticated),
        relay_under_control(Instance::Open),
    ) else {
        return;
    };
    let options = |options: GoFeatureFlagOptions| {
        options
            .api_key("wrong")
            .data_collector_base_url(collector.endpoint())
    };
    for surface in remote_surfaces(relay.endpoint(), options).await {
        let user = User::of(&surface, "counted, refused");
        for _ in 0..2 {
            let seen = surface
                .ask("static_key", Asked::Text("default"), &user)
                .await;
            assert_ne!(seen.outcome(), "ok", "{}", surface.name);
        }
        let client = &[("SdkDefault", true), ("SdkDefault", true)];
        check(&surface.name, &surface.goff, collector, &user, &[], client).await;
        let server = relay.recorded_events(EventKind::Feature).read();
        assert!(
            server.iter().all(|event| event["userKey"] != user.key()),
            "{}",
            surface.name
        );
    }
}

/// GOFF-COLL-023.
#[tokio::test]
async fn an_evaluation_that_reached_nobody_is_the_client_s() {
    let Some(collector) = relay_under_control(Instance::Open) else {
        return;
    };
    // Bound and never listened on: nobody else gets this port, and nobody answers there.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    let options =
        |options: GoFeatureFlagOptions| options.data_collector_base_url(collector.endpoint());
    for surface in remote_surfaces(&endpoint, options).await {
        let user = User::of(&surface, "counted, unreachable");
        let seen = surface
            .ask("static_key", Asked::Text("default"), &user)
            .await;
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        let client = &[("SdkDefault", true)];
        check(&surface.name, &surface.goff, collector, &user, &[], client).await;
    }
}

/// The relay proxy is stopped with the request in hand, and may record it when it goes on.
#[tokio::test]
async fn an_evaluation_of_which_nobody_knows_is_counted_and_not_recorded() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let adjust = |options: GoFeatureFlagOptions| {
        options
            .timeout(Duration::from_millis(500))
            .disable_cache_invalidation(true)
    };
    for surface in remote_surfaces(relay.endpoint(), adjust).await {
        // The pooled connection of an earlier answer takes the request.
        surface
            .ask("default_key", Asked::Text("default"), &User::new("earlier"))
            .await;
        let user = User::of(&surface, "counted, unknown");
        relay.signal("STOP").unwrap();
        let seen = surface
            .ask("static_key", Asked::Text("default"), &user)
            .await;
        relay.signal("CONT").unwrap();
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        let usage = surface.goff.stats().usage;
        assert_eq!((usage.unknown, usage.recorded), (1, 0), "{}", surface.name);
        // An answer says that it goes on.
        let answer = request(relay.address(), "/info", &[], None).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn another_hook_that_fails_changes_nothing() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    let options = undisturbed(GoFeatureFlagOptions::new(relay.endpoint()));
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
