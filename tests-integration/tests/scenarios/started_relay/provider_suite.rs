//! What OpenFeature's provider suite (appendix F of the specification, a draft) expects of a provider, and what the
//! SDK's suites (appendix B: evaluation, hooks, metadata) expect that a provider decides. The flags are those of
//! `relay/canonical-flags.yaml`. The feature files themselves are run by `cargo xtask tck`.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use goff_provider::{
    ClientEvent, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider,
    PROVIDER_NAME, RemoteProtocol, State,
};
use goff_tests_integration::{
    BreakableProxy, CANONICAL_FLAGS, Instance, RelayProxy, own_relay_with_flags,
};
use open_feature::{EvaluationContextFieldValue, OpenFeature};
use serde_json::{Value, json};

use crate::following::{change_of, event, stream_opens};
use crate::recording_hook::Recording;
use crate::surfaces::{Seen, Surface, Typed, User, open_feature_client, plain, surfaces};

/// Flag, the caller's default, value and variant.
type Row = (&'static str, Typed, Value, &'static str);

fn template() -> Value {
    json!({"showImages": true, "title": "Check out these pics!", "imagesPerPage": 100})
}

/// Values that are easily taken for absent ones, numbers that not every type holds, and whole numbers that are read
/// as the other type without loss.
fn values() -> Vec<Row> {
    use Typed::{Bool, Float, Int, Object, Text};
    vec![
        ("boolean-flag", Bool(false), json!(true), "on"),
        ("string-flag", Text("bye"), json!("hi"), "greeting"),
        ("integer-flag", Int(1), json!(10), "ten"),
        ("float-flag", Float(0.1), json!(0.5), "half"),
        ("object-flag", Object(json!({})), template(), "template"),
        ("boolean-zero-flag", Bool(true), json!(false), "zero"),
        ("string-zero-flag", Text("hi"), json!(""), "zero"),
        ("integer-zero-flag", Int(1), json!(0), "zero"),
        ("float-zero-flag", Float(0.1), json!(0.0), "zero"),
        (
            "object-zero-flag",
            Object(json!({"a": 1})),
            json!({}),
            "zero",
        ),
        (
            "large-integer-flag",
            Int(1),
            json!(2_147_483_647),
            "max-int32",
        ),
        (
            "huge-integer-flag",
            Int(1),
            json!(9_007_199_254_740_991_u64),
            "max-safe",
        ),
        ("integral-float-flag", Float(0.1), json!(10.0), "ten"),
        ("integral-float-flag", Int(1), json!(10), "ten"),
        ("integer-flag", Float(0.1), json!(10.0), "ten"),
    ]
}

fn targeted_zeros() -> Vec<Row> {
    use Typed::{Bool, Float, Int, Object, Text};
    vec![
        (
            "boolean-targeted-zero-flag",
            Bool(true),
            json!(false),
            "zero",
        ),
        ("string-targeted-zero-flag", Text("hi"), json!(""), "zero"),
        ("integer-targeted-zero-flag", Int(1), json!(0), "zero"),
        ("float-targeted-zero-flag", Float(0.1), json!(0.0), "zero"),
        (
            "object-targeted-zero-flag",
            Object(json!({"a": 1})),
            json!({}),
            "zero",
        ),
    ]
}

async fn check(surface: &Surface, user: &User, reason: &str, rows: Vec<Row>) {
    for (flag, default, value, variant) in rows {
        let place = format!("{surface}: `{flag}` with default {default:?}");
        let seen = surface.expect(flag, default, user, value).await;
        let answer = (seen.variant.as_deref(), &*seen.reason);
        assert_eq!(answer, (Some(variant), reason), "{place}");
        assert_eq!(seen.message, "", "{place}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn each_type_has_its_value_variant_and_reason() {
    for surface in uncached_surfaces().await {
        // A context changes nothing about flags without rules, and neither does its absence.
        for user in [User::new("a-user"), User::without_key()] {
            check(&surface, &user, "STATIC", values()).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn rules_decide_by_the_context() {
    const HIT: &str = "5c3d8535-f81a-4478-a6d3-afaa4d51199e";
    const MISS: &str = "f20bd32d-703b-48b6-bc8e-79d53c85134a";
    let text = Typed::Text("fallback");
    let by_key = |value: &'static str| {
        let flag = "targeting-key-flag";
        vec![(flag, text.clone(), json!(value), value)]
    };
    let complex = |value: &str, variant| {
        let flag = "complex-targeted";
        vec![(flag, text.clone(), json!(value), variant)]
    };
    let (matched, default) = ("TARGETING_MATCH", "DEFAULT");
    for surface in uncached_surfaces().await {
        check(&surface, &User::new(HIT), matched, by_key("hit")).await;
        check(&surface, &User::new(MISS), default, by_key("miss")).await;
        let seen = surface.evaluate_without_context("targeting-key-flag").await;
        let answer = (seen.outcome(), &seen.value, &*seen.reason);
        assert_eq!(answer, ("ok", &json!("miss"), default), "{surface}");

        let email = |email: &str| User::without_key().with("email", email);
        let ballmer = email("ballmer@macrosoft.com");
        check(&surface, &ballmer, matched, targeted_zeros()).await;
        for user in [email("ballmer@none.com"), User::without_key()] {
            check(&surface, &user, default, targeted_zeros()).await;
        }
        let insider = ballmer.with("age", 65).with("customer", false);
        let insider = insider.with("role", "admin");
        check(&surface, &insider, matched, complex("INTERNAL", "internal")).await;
        check(
            &surface,
            &email("a@b.c"),
            default,
            complex("EXTERNAL", "external"),
        )
        .await;
    }
}

/// SDK 0.3 gives a provider no default to return, so through OpenFeature a disabled flag is an error.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_disabled_flag_leaves_the_caller_its_default() {
    use Typed::{Bool, Float, Int, Object, Text};
    for surface in uncached_surfaces().await {
        for (kind, default) in [
            ("boolean", Bool(false)),
            ("string", Text("bye")),
            ("integer", Int(1)),
            ("float", Float(0.1)),
            ("object", Object(json!({"a": 1}))),
        ] {
            let user = User::new("a-user");
            let flag = format!("{kind}-disabled-flag");
            let seen = surface.evaluate(&flag, default.clone(), &user).await;
            let expected = match surface.is_native() {
                true => ("ok", "DISABLED"),
                false => ("FLAG_DISABLED", "ERROR"),
            };
            let answer = (seen.outcome(), &*seen.reason);
            assert_eq!(answer, expected, "{surface}: `{flag}`: {seen:?}");
            assert_eq!(seen.value, default.to_json(), "{surface}: `{flag}`");
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_wrong_type_or_an_unknown_flag_is_an_error_with_the_default() {
    use Typed::{Bool, Float, Int, Object, Text};
    let (bool, text, int, float) = (Bool(false), Text("fallback"), Int(1), Float(0.1));
    let object = Object(json!({"a": 1}));
    let mismatches: [(&str, &[&Typed]); 6] = [
        ("string-flag", &[&bool, &int, &float, &object]),
        ("wrong-flag", &[&bool]),
        ("boolean-flag", &[&text, &int, &float, &object]),
        ("integer-flag", &[&bool, &text]),
        // Never rounded.
        ("float-flag", &[&bool, &text, &int]),
        ("object-flag", &[&bool, &text, &int, &float]),
    ];
    for surface in uncached_surfaces().await {
        // Natively any JSON is asked for as an object, so there only the SDK has that mismatch.
        let is_asked = |default: &Typed| !surface.is_native() || !matches!(default, Object(_));
        for (flag, defaults) in mismatches {
            for default in defaults.iter().filter(|default| is_asked(default)) {
                fails(&surface, flag, default, "TYPE_MISMATCH").await;
            }
        }
        for default in [&bool, &text, &int, &float, &object] {
            for flag in ["missing-flag", "non-existent-flag"] {
                fails(&surface, flag, default, "FLAG_NOT_FOUND").await;
            }
        }
    }
}

async fn fails(surface: &Surface, flag: &str, default: &Typed, code: &str) {
    let user = User::new("a-user");
    let seen = surface
        .expect_error(flag, default.clone(), &user, code)
        .await;
    let place = format!("{surface}: `{flag}` with default {default:?}: {seen:?}");
    assert_eq!(seen.reason, "ERROR", "{place}");
    assert_eq!(seen.variant, None, "{place}");
    assert_ne!(seen.message, "", "{place}");
}

/// Only the SDK's context can hold a value that is no JSON. In process only what a rule reads matters.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_context_that_cannot_be_read_is_invalid() {
    struct Opaque;
    for (mode, options) in modes(canonical().endpoint()) {
        let goff = GoFeatureFlag::new(options).unwrap();
        let (_registry, client) = open_feature_client(&goff).await;
        let opaque = EvaluationContextFieldValue::new_struct(Opaque);
        let context = open_feature::EvaluationContext::default()
            .with_targeting_key("a-user")
            .with_custom_field("email", opaque);
        let flag = "boolean-targeted-zero-flag";
        let details = client.get_bool_details(flag, Some(&context), None).await;
        let error = details.expect_err(mode);
        assert_eq!(
            error.code.to_string(),
            "INVALID_CONTEXT",
            "{mode}: {error:?}"
        );
    }
}

/// The relay proxy adds it to each answer of OFREP.
const CACHEABLE: &str = "gofeatureflag_cacheable";

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flag_metadata_is_passed_on_and_absent_metadata_is_empty() {
    let user = User::new("a-user");
    for surface in uncached_surfaces().await {
        let of = |mut seen: Seen| {
            let cacheable = seen.metadata.remove(CACHEABLE);
            let is_ofrep = surface.name.starts_with("Ofrep");
            assert_eq!(cacheable, is_ofrep.then_some(json!(true)), "{surface}");
            Value::Object(seen.metadata)
        };
        let seen = surface.expect("metadata-flag", false, &user, true).await;
        let metadata = json!({"string": "1.0.2", "integer": 2, "float": 0.1, "boolean": true});
        assert_eq!(of(seen), metadata, "{surface}");
        for (flag, default, ..) in values() {
            let seen = surface.evaluate(flag, default, &user).await;
            assert_eq!(of(seen), json!({}), "{surface}: `{flag}`");
        }
    }
}

/// After a failure the SDK gives `finally` the zero value of the type, because it does not know the default, and no
/// error code; `error` has the code.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn hooks_get_what_the_provider_resolved() {
    let resolved = Seen {
        value: json!(true),
        reason: "STATIC".to_owned(),
        variant: Some("on".to_owned()),
        ..Seen::default()
    };
    let failed = |code: Option<&str>, value| Seen {
        value,
        reason: "ERROR".to_owned(),
        error_code: code.map(str::to_owned),
        ..Seen::default()
    };
    let stages = |code: &'static str| match code {
        "ok" => [("after", resolved.clone()), ("finally", resolved.clone())],
        code => [
            ("error", failed(Some(code), Value::Null)),
            ("finally", failed(None, json!(false))),
        ],
    };
    for (mode, options) in modes(canonical().endpoint()) {
        let goff = GoFeatureFlag::new(options).unwrap();
        for (flag, code) in [
            ("boolean-flag", "ok"),
            ("missing-flag", "FLAG_NOT_FOUND"),
            ("wrong-flag", "TYPE_MISMATCH"),
        ] {
            let hook = Recording::default();
            let surface = Surface::through_open_feature(mode, &goff).await;
            let surface = surface.with_hook(hook.clone());
            surface.evaluate(flag, false, &User::new("a-user")).await;
            let expected = [("before", Seen::default())]
                .into_iter()
                .chain(stages(code));
            let seen = hook.seen().into_iter().map(|(stage, of_flag, mut got)| {
                assert_eq!(of_flag, flag, "{mode}: {stage}");
                // The text is of no interest here.
                got.message.clear();
                got.metadata.remove(CACHEABLE);
                (stage, got)
            });
            assert!(seen.eq(expected), "{mode}: `{flag}`: {:?}", hook.seen());
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_provider_becomes_ready_stops_twice_and_starts_again() {
    for (mode, options) in modes(canonical().endpoint()) {
        let goff = GoFeatureFlag::new(options).unwrap();
        let surface = Surface::over(mode, &goff);
        let default = Typed::Bool(false);
        assert_eq!(goff.status().state, State::NotReady, "{mode}");
        fails(&surface, "boolean-flag", &default, "PROVIDER_NOT_READY").await;

        let mut events = goff.subscribe();
        let mut registry = OpenFeature::default();
        let provider = GoFeatureFlagProvider::from(&goff);
        registry.set_provider(provider).await;
        event(&mut events, |event| *event == ClientEvent::Ready).await;
        assert_eq!(goff.status().state, State::Ready, "{mode}");
        assert_eq!(
            registry.provider_metadata().await.name,
            PROVIDER_NAME,
            "{mode}"
        );

        for _ in 0..2 {
            goff.shutdown(PROMPT).await;
            assert_eq!(goff.status().state, State::Closed, "{mode}");
            fails(&surface, "boolean-flag", &default, "PROVIDER_NOT_READY").await;
            let client = registry.create_client();
            let refused = client.get_bool_details("boolean-flag", None, None).await;
            let code = refused.unwrap_err().code.to_string();
            assert_eq!(code, "PROVIDER_NOT_READY", "{mode}");
        }

        goff.initialize().await.unwrap();
        let client = registry.create_client();
        let served = client.get_bool_details("boolean-flag", None, None).await;
        assert!(served.unwrap().value, "{mode}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn without_a_relay_proxy_the_provider_says_so_answers_and_stops() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let endpoint = format!("http://{}", port.unwrap());
    for (mode, options) in modes(&endpoint) {
        let start = Instant::now();
        let goff = GoFeatureFlag::new(options).unwrap();
        let mut events = goff.subscribe();
        let (_registry, client) = open_feature_client(&goff).await;
        event(&mut events, |event| matches!(event, ClientEvent::Error(_))).await;
        assert!(start.elapsed() < PROMPT, "{mode}: {:?}", start.elapsed());
        assert_eq!(goff.status().state, State::Error, "{mode}");

        let code = match goff.evaluation_type() {
            EvaluationType::Remote => "GENERAL",
            EvaluationType::InProcess => "PROVIDER_NOT_READY",
        };
        let surface = Surface::over(mode, &goff);
        fails(&surface, "boolean-flag", &Typed::Bool(false), code).await;
        let failed = client.get_bool_details("boolean-flag", None, None).await;
        assert_eq!(failed.unwrap_err().code.to_string(), code, "{mode}");

        let start = Instant::now();
        goff.shutdown(PROMPT).await;
        assert!(start.elapsed() < PROMPT, "{mode}: {:?}", start.elapsed());
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_change_is_announced_with_the_flag_and_applied() {
    let relay = own_relay_with_flags(Instance::Open, CANONICAL_FLAGS);
    let surfaces = surfaces(relay.endpoint(), plain).await;
    let user = User::new("a-user");
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        surface.serves("changing-flag", &user, "foo").await;
        subscriptions.push(surface.goff.subscribe());
    }
    let foo = "{ foo: foo, bar: bar }\n  defaultRule: { variation: foo }";
    relay
        .edit_flags(foo, &foo.replace("variation: foo", "variation: bar"))
        .unwrap();
    for (surface, events) in surfaces.iter().zip(&mut subscriptions) {
        change_of("changing-flag", events).await;
        surface.serves("changing-flag", &user, "bar").await;
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_outage_makes_the_provider_stale_and_its_end_makes_it_ready() {
    let relay = own_relay_with_flags(Instance::Open, CANONICAL_FLAGS);
    let mut proxy = BreakableProxy::start(&relay).await.unwrap();
    let mut following = Vec::new();
    for (mode, options) in modes(&proxy.endpoint()) {
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        stream_opens(&goff, 0).await;
        let events = goff.subscribe();
        following.push((mode, goff, events));
    }
    proxy.break_off().await;
    for (mode, goff, events) in &mut following {
        event(events, |event| *event == ClientEvent::Stale).await;
        assert_eq!(goff.status().state, State::Stale, "{mode}");
    }
    proxy.repair().await.unwrap();
    for (mode, goff, events) in &mut following {
        event(events, |event| *event == ClientEvent::Ready).await;
        assert_eq!(goff.status().state, State::Ready, "{mode}");
    }
}

/// The same answer again is CACHED in remote mode only: in process nothing is cached.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_repeated_answer_says_that_it_is_cached() {
    let user = User::new("a-user");
    for surface in surfaces(canonical().endpoint(), plain).await {
        surface.serves("string-flag", &user, "hi").await;
        let reason = surface.again("STATIC");
        surface
            .expect_reason("string-flag", &user, "hi", reason)
            .await;
    }
}

/// A relay proxy with the canonical flags, for tests that change nothing.
fn canonical() -> &'static RelayProxy {
    static RELAY: OnceLock<RelayProxy> = OnceLock::new();
    RELAY.get_or_init(|| own_relay_with_flags(Instance::Open, CANONICAL_FLAGS))
}

/// Without a cache, so that a repeated answer keeps its reason.
async fn uncached_surfaces() -> Vec<Surface> {
    surfaces(canonical().endpoint(), |options| {
        options.disable_cache(true)
    })
    .await
}

/// Options for each mode, with waits that suit a test.
fn modes(endpoint: &str) -> [(&'static str, GoFeatureFlagOptions); 3] {
    const SECOND: Duration = Duration::from_secs(1);
    let options = || {
        GoFeatureFlagOptions::new(endpoint)
            .cache_ttl(SECOND)
            .reconnect_interval(SECOND)
    };
    let in_process = options().evaluation_type(EvaluationType::InProcess);
    [
        ("remote", options()),
        ("OFREP", options().remote_protocol(RemoteProtocol::Ofrep)),
        (
            "in process",
            in_process.flag_change_polling_interval(SECOND),
        ),
    ]
}

/// The suite's limit for a start or stop without a relay proxy.
const PROMPT: Duration = Duration::from_secs(10);
