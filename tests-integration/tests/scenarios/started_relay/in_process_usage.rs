//! Usage data of in-process evaluation: every evaluation is recorded once, by the client, or by the relay proxy after a
//! fallback. Each test counts the events of both sides, natively, through OpenFeature and without `async`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
use goff_tests_integration::{Instance, RelayProxy, own_relay, relay, request};
use open_feature::EvaluationContext;
use serde_json::{Value, json};

use crate::counting::{Recorded, check, check_twice};
use crate::failing_hook::Failing;
use crate::recording_transport::RecordingTransport;
use crate::surfaces::{Options, Typed, User, in_process_surfaces, open_feature_client, plain};

/// GOFF-COLL-010, GOFF-COLL-021, GOFF-COLL-022, GOFF-IP-012, GOFF-IP-016.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_client_records_every_evaluation_of_a_tracked_flag() {
    let relay = relay(Instance::Open);
    let surfaces = in_process_surfaces(relay.endpoint(), plain).await;
    let text = |flag| (flag, Typed::Text("default"));
    let check = async |case, client: Recorded<'_>| {
        check_twice(&surfaces, relay, case, &[], client).await;
    };
    check(text("static_key"), &[("A", false); 2]).await;
    check(text("untracked_key"), &[]).await;
    // A disabled flag and a null value are no failures.
    check(text("disabled_string"), &[("SdkDefault", false); 2]).await;
    check(text("null_value_key"), &[("absent", false); 2]).await;
    // An unknown flag, a type mismatch and a missing bucketing key are failures.
    let failures = &[("SdkDefault", true); 2];
    check(text("no-such-flag"), failures).await;
    check(("static_key", Typed::Bool(true)), failures).await;
    check(text("bucketing_key"), failures).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn another_hook_that_fails_changes_nothing() {
    let relay = relay(Instance::Open);
    for (flag, code, client) in [
        ("static_key", None, ("A", false)),
        ("disabled_string", Some("FLAG_DISABLED"), DISABLED),
        ("no-such-flag", Some("FLAG_NOT_FOUND"), FAILURE),
    ] {
        let goff = connect(relay).await;
        let (_registry, sdk) = open_feature_client(&goff).await;
        let failing = Failing::default();
        let sdk = sdk.with_hook(failing.clone());
        let user = User::new(format!("counted in process, another hook fails, {flag}"));
        let context = EvaluationContext::default().with_targeting_key(user.key());
        for failed in 1..=3 {
            let details = sdk.get_string_details(flag, Some(&context), None).await;
            let found = details.err().map(|error| error.code.to_string());
            assert_eq!(found.as_deref(), code, "{flag}");
            assert_eq!(failing.0.load(Ordering::Relaxed), failed, "runs of `error`");
        }
        check("a failing hook", &goff, relay, &user, &[], &[client; 3]).await;
    }
}

const VALUE: (&str, bool) = ("A", false);
const DISABLED: (&str, bool) = ("SdkDefault", false);
const FAILURE: (&str, bool) = ("SdkDefault", true);

async fn connect(relay: &RelayProxy) -> GoFeatureFlag {
    let options = GoFeatureFlagOptions::new(relay.endpoint());
    let options = options.evaluation_type(EvaluationType::InProcess);
    GoFeatureFlag::connect(options).await.unwrap()
}

/// The flag's rule reads an attribute without a JSON form.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_unreadable_context_is_a_failure_of_the_client() {
    let relay = relay(Instance::Open);
    let flag = "boolean_semver_targeting_match";
    let goff = connect(relay).await;
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

    let (_registry, client) = open_feature_client(&goff).await;
    let context = EvaluationContext::default().with_targeting_key(user.key());
    let context = context.with_custom_field("version", f64::NAN);
    let details = client.get_bool_details(flag, Some(&context), None).await;
    assert_eq!(details.unwrap_err().code.to_string(), "INVALID_CONTEXT");
    check("not a number", &goff, relay, &user, &[], &[FAILURE; 3]).await;
    assert_eq!(goff.stats().fallbacks, 0);
}

/// Makes flags unreadable, as those of a later relay proxy might be, so that the client falls back.
fn unreadable(mut configuration: Value) -> Value {
    for flag in configuration["flags"].as_object_mut().unwrap().values_mut() {
        flag["disable"] = json!("from 2030 on");
    }
    configuration
}

/// GOFF-FALLBACK-001, GOFF-FALLBACK-004, GOFF-FALLBACK-006, GOFF-FALLBACK-007: each fallback is a request over OFREP,
/// and the relay proxy alone records it.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_relay_proxy_records_a_fallback() {
    let relay = relay(Instance::Open);
    let transport = RecordingTransport::new(unreadable);
    let over = |options: Options| options.http_transport(transport.clone());
    let text = Typed::Text("default");
    let cases = [
        ("static_key", &text, "ok", VALUE),
        ("disabled_string", &text, "disabled", DISABLED),
        ("null_value_key", &text, "null", ("absent", false)),
        // The relay proxy records its value, which the client cannot use.
        ("static_key", &Typed::Bool(true), "TYPE_MISMATCH", VALUE),
        // The relay proxy answers TARGETING_KEY_MISSING; the first error stays.
        ("bucketing_key", &text, "PARSE_ERROR", FAILURE),
    ];
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        for (flag, default, outcome, server) in cases {
            let place = format!("{flag}, {default:?}, {surface}");
            let user = surface.user(&format!("fallback {flag} {default:?}"));
            let fallbacks = surface.goff.stats().fallbacks;
            for _ in 0..2 {
                let seen = surface.evaluate(flag, default.clone(), &user).await;
                if !surface.falls_back() {
                    assert_eq!(seen.outcome(), "PARSE_ERROR", "{place}");
                    continue;
                }
                let expected = match (outcome, surface.is_native()) {
                    ("disabled" | "null", true) => "ok",
                    ("disabled", false) => "FLAG_DISABLED",
                    ("null", false) => "NULL_VALUE",
                    (outcome, _) => outcome,
                };
                assert_eq!(seen.outcome(), expected, "{place}: {seen:?}");
                if expected == "ok" {
                    let mark = &seen.metadata["gofeatureflag_evaluated_remotely"];
                    assert_eq!(mark, true, "{place}");
                }
            }
            let requested = surface.goff.stats().fallbacks - fallbacks;
            let (server, client): (Recorded<'_>, Recorded<'_>) = match surface.falls_back() {
                true => (&[server; 2], &[]),
                false => (&[], &[FAILURE; 2]),
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
    let over = |options: Options| options.http_transport(transport.clone());
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
    let over = |options: Options| {
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
        assert_eq!(seen.outcome(), "PARSE_ERROR", "{surface}");
        let client = &[("SdkDefault", true)];
        let events = check(&surface.name, &surface.goff, collector, &user, &[], client).await;
        let expected = surface.recorded_default(&"default".into());
        assert_eq!(events[0]["value"], expected, "{surface}");
    }
}

/// The relay proxy is suspended with the request, and may record it when it resumes.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_fallback_with_an_unknown_fate_is_counted_and_not_recorded() {
    let relay = own_relay(Instance::Open);
    let transport = RecordingTransport::new(unreadable);
    let over = |options: Options| {
        options
            .http_transport(transport.clone())
            .timeout(Duration::from_millis(500))
    };
    for surface in in_process_surfaces(relay.endpoint(), over).await {
        let user = surface.user("fallback, unknown");
        relay.signal("STOP").unwrap();
        let seen = surface.evaluate("static_key", "default", &user).await;
        relay.signal("CONT").unwrap();
        assert_eq!(seen.outcome(), "PARSE_ERROR", "{surface}");
        let usage = surface.goff.stats().usage;
        let expected = if surface.falls_back() { (1, 0) } else { (0, 1) };
        let counted = (usage.unknown, usage.recorded);
        assert_eq!(counted, expected, "{surface}");
        // An answer shows that the relay proxy has resumed.
        let answer = request(relay.address(), "/info", &[], None).await.unwrap();
        assert_eq!(answer.status, 200);
    }
}
