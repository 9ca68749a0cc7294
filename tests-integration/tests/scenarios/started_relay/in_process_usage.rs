//! Usage data of in-process evaluation: every evaluation is recorded once, by the client, or by the relay proxy after a
//! fallback. Each test counts the events of both sides, natively, through OpenFeature and without `async`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_tests_integration::{Instance, own_relay, relay, request};
use open_feature::{EvaluationContext, OpenFeature};
use serde_json::{Value, json};

use crate::counting::{Recorded, check};
use crate::failing_hook::Failing;
use crate::recording_transport::RecordingTransport;
use crate::surfaces::{Surface, Typed, User, in_process_surfaces, plain};

/// Evaluates a flag twice and compares the recorded events.
async fn check_twice(flag: &str, default: Typed, client: Recorded<'_>) {
    let relay = relay(Instance::Open);
    for surface in in_process_surfaces(relay.endpoint(), plain).await {
        let user = surface.user(&format!("counted {flag} {default:?}"));
        for _ in 0..2 {
            surface.evaluate(flag, default.clone(), &user).await;
        }
        let place = format!("{flag}, {}", surface.name);
        let events = check(&place, &surface.goff, relay, &user, &[], client).await;
        for event in events {
            assert_eq!(event["key"], flag, "{place}");
            if event["value"] != "a" {
                let expected = default_value(&surface, &default);
                assert_eq!(event["value"], expected, "{place}");
            }
        }
    }
}

/// Hooks of the SDK do not get the caller's default.
fn default_value(surface: &Surface, default: &Typed) -> Value {
    match surface.is_native() {
        true => default.to_json(),
        false => Value::Null,
    }
}

/// GOFF-COLL-010.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_client_records_every_evaluation() {
    let client = &[("A", false), ("A", false)];
    check_twice("static_key", Typed::Text("default"), client).await;
}

/// GOFF-COLL-022, GOFF-IP-016.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_untracked_flag_is_not_recorded() {
    check_twice("untracked_key", Typed::Text("default"), &[]).await;
}

/// GOFF-COLL-021, GOFF-IP-012.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_unknown_flag_is_a_failure_of_the_client() {
    let client = &[("SdkDefault", true), ("SdkDefault", true)];
    check_twice("no-such-flag", Typed::Text("default"), client).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_disabled_flag_and_a_null_value_are_no_failures() {
    let client = &[("SdkDefault", false), ("SdkDefault", false)];
    check_twice("disabled_string", Typed::Text("default"), client).await;
    let client = &[("absent", false), ("absent", false)];
    check_twice("null_value_key", Typed::Text("default"), client).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_type_mismatch_and_a_missing_bucketing_key_are_failures() {
    let client = &[("SdkDefault", true), ("SdkDefault", true)];
    check_twice("static_key", Typed::Bool(true), client).await;
    check_twice("bucketing_key", Typed::Text("default"), client).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn another_hook_that_fails_changes_nothing() {
    let relay = relay(Instance::Open);
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

/// The flag's rule reads an attribute without a JSON form.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_unreadable_context_is_a_failure_of_the_client() {
    let relay = relay(Instance::Open);
    let flag = "boolean_semver_targeting_match";
    let options =
        GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(EvaluationType::InProcess);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let user = User::new("counted in process, not a number");
    let context = goff_provider::native::EvaluationContext::builder()
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

/// Makes flags unreadable, as those of a later relay proxy might be, so that the client falls back.
fn unreadable(mut configuration: Value) -> Value {
    for flag in configuration["flags"].as_object_mut().unwrap().values_mut() {
        flag["disable"] = json!("from 2030 on");
    }
    configuration
}

/// Whether it falls back to the relay proxy; [`LocalFlags`](goff_provider::LocalFlags) never does.
fn falls_back(surface: &Surface) -> bool {
    !surface.name.ends_with("LocalFlags")
}

/// GOFF-FALLBACK-001, GOFF-FALLBACK-004, GOFF-FALLBACK-006, GOFF-FALLBACK-007: each fallback is a request over OFREP,
/// and the relay proxy alone records it.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_relay_proxy_records_a_fallback() {
    let relay = relay(Instance::Open);
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| options.http_transport(transport.clone());
    let cases = [
        ("static_key", Typed::Text("default"), "ok", ("A", false)),
        (
            "disabled_string",
            Typed::Text("default"),
            "disabled",
            ("SdkDefault", false),
        ),
        (
            "null_value_key",
            Typed::Text("default"),
            "null",
            ("absent", false),
        ),
        // The relay proxy records its value, which the client cannot use.
        (
            "static_key",
            Typed::Bool(true),
            "TYPE_MISMATCH",
            ("A", false),
        ),
        // The relay proxy answers TARGETING_KEY_MISSING; the first error stays.
        (
            "bucketing_key",
            Typed::Text("default"),
            "PARSE_ERROR",
            ("SdkDefault", true),
        ),
    ];
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        for (flag, default, outcome, server) in &cases {
            let place = format!("{flag}, {default:?}, {}", surface.name);
            let user = surface.user(&format!("fallback {flag} {default:?}"));
            let fallbacks = surface.goff.stats().fallbacks;
            for _ in 0..2 {
                let seen = surface.evaluate(flag, default.clone(), &user).await;
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
            let requested = surface.goff.stats().fallbacks - fallbacks;
            let (server, client): (Recorded<'_>, Recorded<'_>) = match falls_back(&surface) {
                true => (&[*server, *server], &[]),
                false => (&[], &[("SdkDefault", true), ("SdkDefault", true)]),
            };
            assert_eq!(requested, server.len() as u64, "{place}");
            check(&place, &surface.goff, relay, &user, server, client).await;
        }
    }
}

/// GOFF-COLL-020, GOFF-IP-016: an unreadable flag still has a readable `trackEvents`.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_untracked_flag_is_not_recorded_after_a_fallback_either() {
    let relay = relay(Instance::Open);
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| options.http_transport(transport.clone());
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        let user = surface.user("fallback, not tracked");
        surface.evaluate("untracked_key", "default", &user).await;
        check(&surface.name, &surface.goff, relay, &user, &[], &[]).await;
    }
}

/// GOFF-FALLBACK-005: without an answer it is a failure of the client.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_fallback_without_a_relay_proxy_is_a_failure_of_the_client() {
    let (relay, collector) = (own_relay(Instance::Open), relay(Instance::Open));
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| {
        options
            .http_transport(transport.clone())
            .data_collector_base_url(collector.endpoint())
    };
    let surfaces = in_process_surfaces(relay.endpoint(), over).await;
    drop(relay);
    for surface in surfaces {
        // Requests on pooled connections have an unknown fate until the connections are known to be dead.
        let earlier = User::new("earlier");
        let mut unknown = None;
        while unknown != Some(surface.goff.stats().usage.unknown) {
            unknown = Some(surface.goff.stats().usage.unknown);
            surface.evaluate("static_key", "default", &earlier).await;
        }
        let user = surface.user("fallback, unreachable");
        let seen = surface.evaluate("static_key", "default", &user).await;
        assert_eq!(seen.outcome(), "PARSE_ERROR", "{}", surface.name);
        let client = &[("SdkDefault", true)];
        let events = check(&surface.name, &surface.goff, collector, &user, &[], client).await;
        assert_eq!(
            events[0]["value"],
            default_value(&surface, &"default".into())
        );
    }
}

/// The relay proxy is suspended with the request, and may record it when it resumes.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_fallback_with_an_unknown_fate_is_counted_and_not_recorded() {
    let relay = own_relay(Instance::Open);
    let transport = RecordingTransport::new(unreadable);
    let over = |options: GoFeatureFlagOptions| {
        options
            .http_transport(transport.clone())
            .timeout(Duration::from_millis(500))
    };
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        let user = surface.user("fallback, unknown");
        relay.signal("STOP").unwrap();
        let seen = surface.evaluate("static_key", "default", &user).await;
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
        // An answer shows that the relay proxy has resumed.
        let answer = request(relay.address(), "/info", &[], None).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}
