//! Usage data of in-process evaluation: the client records every evaluation once, and what the relay proxy evaluates
//! in its place is the relay proxy's. Each test counts the events of both sides, natively, through OpenFeature and
//! without `async`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_tests_integration::{
    Instance, RelayProxy, RelaySource, relay_source, relay_under_control, request,
};
use open_feature::{EvaluationContext, OpenFeature};
use serde_json::{Value, json};

use crate::counting::{Recorded, check};
use crate::failing_hook::Failing;
use crate::recording_transport::RecordingTransport;
use crate::surfaces::{Asked, Surface, User, in_process_surfaces, plain};

/// Asks for one flag twice and compares what was recorded of it.
async fn check_twice(flag: &str, asked: Asked, client: Recorded<'_>) {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in in_process_surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, &format!("counted {flag} {asked:?}"));
        for _ in 0..2 {
            surface.ask(flag, asked.clone(), &user).await;
        }
        let place = format!("{flag}, {}", surface.name);
        let events = check(&place, &surface.goff, relay, &user, &[], client).await;
        for event in events {
            assert_eq!(event["key"], flag, "{place}");
            if event["value"] != "a" {
                let expected = default_value(&surface, &asked);
                assert_eq!(event["value"], expected, "{place}");
            }
        }
    }
}

/// Through the SDK nobody knows the caller's default.
fn default_value(surface: &Surface, asked: &Asked) -> Value {
    match surface.is_native() {
        true => asked.default_value(),
        false => Value::Null,
    }
}

/// GOFF-COLL-010.
#[tokio::test]
async fn every_evaluation_is_the_client_s() {
    let client = &[("A", false), ("A", false)];
    check_twice("static_key", Asked::Text("default"), client).await;
}

/// GOFF-COLL-022, GOFF-IP-016.
#[tokio::test]
async fn a_flag_that_is_not_tracked_is_nobody_s() {
    check_twice("untracked_key", Asked::Text("default"), &[]).await;
}

/// GOFF-COLL-021, GOFF-IP-012.
#[tokio::test]
async fn an_unknown_flag_is_the_client_s_failure() {
    let client = &[("SdkDefault", true), ("SdkDefault", true)];
    check_twice("no-such-flag", Asked::Text("default"), client).await;
}

#[tokio::test]
async fn a_disabled_flag_and_a_null_value_are_no_failures() {
    let client = &[("SdkDefault", false), ("SdkDefault", false)];
    check_twice("disabled_string", Asked::Text("default"), client).await;
    let client = &[("absent", false), ("absent", false)];
    check_twice("null_value_key", Asked::Text("default"), client).await;
}

#[tokio::test]
async fn a_type_mismatch_and_a_missing_bucketing_key_are_failures() {
    let client = &[("SdkDefault", true), ("SdkDefault", true)];
    check_twice("static_key", Asked::Bool(true), client).await;
    check_twice("bucketing_key", Asked::Text("default"), client).await;
}

#[tokio::test]
async fn another_hook_that_fails_changes_nothing() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for (flag, code, client) in [
        ("static_key", None, ("A", false)),
        (
            "disabled_string",
            Some("FLAG_DISABLED"),
            ("SdkDefault", false),
        ),
        ("no-such-flag", Some("FLAG_NOT_FOUND"), ("SdkDefault", true)),
    ] {
        let options =
            GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(EvaluationType::InProcess);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let mut registry = OpenFeature::default();
        registry
            .set_provider(GoFeatureFlagProvider::from(&goff))
            .await;
        let failing = Failing::default();
        let asking = registry.create_client().with_hook(failing.clone());
        let user = User::new(format!("counted in process, another hook fails, {flag}"));
        let context = EvaluationContext::default().with_targeting_key(user.key());
        for failed in 1..=3 {
            let details = asking.get_string_details(flag, Some(&context), None).await;
            let found = details.err().map(|error| error.code.to_string());
            assert_eq!(found.as_deref(), code, "{flag}");
            assert_eq!(failing.0.load(Ordering::Relaxed), failed, "`error` ran too");
        }
        check("a failing hook", &goff, relay, &user, &[], &[client; 3]).await;
    }
}

/// The flag's rule reads an attribute that no JSON can hold.
#[tokio::test]
async fn a_context_that_cannot_be_read_is_the_client_s_failure() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    let flag = "boolean_semver_targeting_match";
    let options =
        GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(EvaluationType::InProcess);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let user = User::new("counted in process, not a number");
    let context = goff_provider::EvaluationContext::builder()
        .targeting_key(user.key())
        .attribute("version", f64::NAN)
        .build();
    let details = goff.evaluate(flag, &context, true).await;
    let code = details.error().unwrap().code();
    assert_eq!(code.as_str(), "INVALID_CONTEXT");
    let local = goff.local().unwrap().evaluate(flag, &context, true);
    assert_eq!(local.error().unwrap().code(), code);

    let mut registry = OpenFeature::default();
    registry
        .set_provider(GoFeatureFlagProvider::from(&goff))
        .await;
    let context = EvaluationContext::default()
        .with_targeting_key(user.key())
        .with_custom_field("version", f64::NAN);
    let client = registry.create_client();
    let error = client
        .get_bool_details(flag, Some(&context), None)
        .await
        .unwrap_err();
    assert_eq!(error.code.to_string(), "INVALID_CONTEXT");
    let failures = [("SdkDefault", true); 3];
    check("not a number", &goff, relay, &user, &[], &failures).await;
    assert_eq!(goff.stats().fallbacks, 0);
}

/// As if the relay proxy were of a version whose flags this one cannot read, so that it is asked to evaluate them.
fn unreadable(mut configuration: Value) -> Value {
    for flag in configuration["flags"].as_object_mut().unwrap().values_mut() {
        flag["disable"] = json!("from 2030 on");
    }
    configuration
}

/// Whether it asks the relay proxy; [`LocalFlags`](goff_provider::LocalFlags) never does.
fn falls_back(surface: &Surface) -> bool {
    !surface.name.ends_with("LocalFlags")
}

/// GOFF-FALLBACK-001, GOFF-FALLBACK-004, GOFF-FALLBACK-006, GOFF-FALLBACK-007: asked every time, over OFREP, and then
/// recorded by the relay proxy alone.
#[tokio::test]
async fn what_the_relay_proxy_evaluates_instead_is_the_server_s() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| options.http_transport(transport.clone());
    let default = Asked::Text("default");
    let cases = [
        ("static_key", default.clone(), "ok", ("A", false)),
        (
            "disabled_string",
            default.clone(),
            "disabled",
            ("SdkDefault", false),
        ),
        ("null_value_key", default.clone(), "null", ("absent", false)),
        // The server's value, which is of no use here.
        (
            "static_key",
            Asked::Bool(true),
            "TYPE_MISMATCH",
            ("A", false),
        ),
        // It says TARGETING_KEY_MISSING; the first error stands.
        (
            "bucketing_key",
            default,
            "PARSE_ERROR",
            ("SdkDefault", true),
        ),
    ];
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        for (flag, asked, outcome, server) in &cases {
            let place = format!("{flag}, {asked:?}, {}", surface.name);
            let user = User::of(&surface, &format!("fallback {flag} {asked:?}"));
            let fallbacks = surface.goff.stats().fallbacks;
            for _ in 0..2 {
                let seen = surface.ask(flag, asked.clone(), &user).await;
                if !falls_back(&surface) {
                    assert_eq!(seen.outcome(), "PARSE_ERROR", "{place}");
                    continue;
                }
                let expected = match (*outcome, surface.is_native()) {
                    ("disabled" | "null", true) => "ok",
                    ("disabled", false) => "FLAG_DISABLED",
                    ("null", false) => "NULL_VALUE",
                    (outcome, _) => outcome,
                };
                assert_eq!(seen.outcome(), expected, "{place}: {}", seen.message);
                if expected == "ok" {
                    let mark = &seen.metadata["gofeatureflag_evaluated_remotely"];
                    assert_eq!(mark, true, "{place}");
                }
            }
            let asked_there = surface.goff.stats().fallbacks - fallbacks;
            let (server, client): (Recorded<'_>, Recorded<'_>) = match falls_back(&surface) {
                true => (&[*server, *server], &[]),
                false => (&[], &[("SdkDefault", true), ("SdkDefault", true)]),
            };
            assert_eq!(asked_there, server.len() as u64, "{place}");
            check(&place, &surface.goff, relay, &user, server, client).await;
        }
    }
}

/// GOFF-COLL-020, GOFF-IP-016: of a flag that cannot be read this much is.
#[tokio::test]
async fn a_flag_that_is_not_tracked_is_nobody_s_after_a_fallback_either() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| options.http_transport(transport.clone());
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        let user = User::of(&surface, "fallback, not tracked");
        surface
            .ask("untracked_key", Asked::Text("default"), &user)
            .await;
        check(&surface.name, &surface.goff, relay, &user, &[], &[]).await;
    }
}

/// GOFF-FALLBACK-005: nobody evaluated it, so that it is a failure of this process.
#[tokio::test]
async fn a_fallback_that_reaches_nobody_is_the_client_s_failure() {
    let (Some(source), Some(collector)) = (relay_source(), relay_under_control(Instance::Open))
    else {
        return;
    };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| {
        options
            .http_transport(transport.clone())
            .data_collector_base_url(collector.endpoint())
    };
    let surfaces = in_process_surfaces(relay.endpoint(), over).await;
    drop(relay);
    for surface in surfaces {
        // Pooled connections take requests until they are known to be dead, and nobody knows of those.
        let earlier = User::new("earlier");
        let mut unknown = None;
        while unknown != Some(surface.goff.stats().usage.unknown) {
            unknown = Some(surface.goff.stats().usage.unknown);
            surface
                .ask("static_key", Asked::Text("default"), &earlier)
                .await;
        }
        let user = User::of(&surface, "fallback, unreachable");
        let asked = Asked::Text("default");
        let seen = surface.ask("static_key", asked.clone(), &user).await;
        assert_eq!(seen.outcome(), "PARSE_ERROR", "{}", surface.name);
        let client = &[("SdkDefault", true)];
        let events = check(&surface.name, &surface.goff, collector, &user, &[], client).await;
        assert_eq!(events[0]["value"], default_value(&surface, &asked));
    }
}

/// The relay proxy is stopped with the request in hand, and may record it when it goes on.
#[tokio::test]
async fn a_fallback_of_which_nobody_knows_is_counted_and_not_recorded() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| {
        options
            .http_transport(transport.clone())
            .timeout(Duration::from_millis(500))
    };
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        let user = User::of(&surface, "fallback, unknown");
        relay.signal("STOP").unwrap();
        let seen = surface
            .ask("static_key", Asked::Text("default"), &user)
            .await;
        relay.signal("CONT").unwrap();
        assert_eq!(seen.outcome(), "PARSE_ERROR", "{}", surface.name);
        let usage = surface.goff.stats().usage;
        let expected = match falls_back(&surface) {
            true => (1, 0),
            false => (0, 1),
        };
        assert_eq!(
            (usage.unknown, usage.recorded),
            expected,
            "{}",
            surface.name
        );
        // An answer says that it goes on.
        let answer = request(relay.address(), "/info", &[], None).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}

/// A query beyond the limits of the engine that providers run (64 levels), which the relay proxy's does not have.
/// GOFF-FALLBACK-001, GOFF-FALLBACK-002, GOFF-FALLBACK-006.
#[tokio::test]
async fn a_flag_beyond_the_engine_s_limits_is_evaluated_by_the_relay_proxy() {
    let Some(source) = relay_source() else { return };
    if source == RelaySource::Embedded {
        // It is the same engine, with the same limits.
        return;
    }
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let query = format!("{}anonymous eq true{}", "(".repeat(65), ")".repeat(65));
    let rule = "- name: anonymous visitors\n      query: anonymous eq true\n";
    let deep = rule.replace("anonymous eq true", &query);
    relay.edit_flags(rule, &deep).unwrap();
    // Once it has the new flag, its configuration has it too.
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let all = json!({});
        let answer = request(relay.address(), "/v1/flag/configuration", &[], Some(&all)).await;
        let flags = answer.unwrap().json();
        if flags["flags"]["named_rule_key"]["targeting"][0]["query"] == query.as_str() {
            break;
        }
        assert!(tokio::time::Instant::now() < give_up, "{flags:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for surface in in_process_surfaces(relay.endpoint(), plain).await {
        for (anonymous, value, variation) in [(true, "b", "B"), (false, "a", "A")] {
            let user = User::of(&surface, &format!("beyond the limits, {anonymous}"))
                .with("anonymous", anonymous);
            let seen = surface
                .ask("named_rule_key", Asked::Text("default"), &user)
                .await;
            let (server, client): (Recorded<'_>, Recorded<'_>) = match falls_back(&surface) {
                true => (&[(variation, false)], &[]),
                false => (&[], &[("SdkDefault", true)]),
            };
            let expected = match falls_back(&surface) {
                true => ("ok", value),
                false => ("PARSE_ERROR", "default"),
            };
            assert_eq!(
                (seen.outcome(), seen.value.as_str().unwrap()),
                expected,
                "{}: {}",
                surface.name,
                seen.message
            );
            check(&surface.name, &surface.goff, &relay, &user, server, client).await;
        }
    }
}
