//! Scenario 2: each type of the fixture that the project's providers share, matching, disabled, of another type, and
//! unknown (docs/python-parity.md A.6, rows 9 to 11 and 14 to 25).

use goff_tests_integration::{Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{Surface, Typed, User, plain, surfaces};

/// GOFF-EVAL-001, GOFF-REM-003, GOFF-EVAL-010.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_matching_flag_gives_value_variant_reason_and_metadata() {
    let relay = relay(Instance::Open);
    let text = Typed::Text("default");
    for surface in surfaces(relay.endpoint(), plain).await {
        let cases = [
            ("bool_targeting_match", Typed::Bool(false), json!(true)),
            ("string_key", text.clone(), json!("CC0000")),
            ("string_key_with_version", text.clone(), json!("CC0000")),
            ("integer_key", Typed::Int(1200), json!(100)),
            ("double_key", Typed::Float(1200.25), json!(100.25)),
            ("object_key", Typed::Object(json!({})), object_key(&surface)),
        ];
        for (flag, default, value) in cases {
            let seen = surface.expect(flag, default, &User::john(), value).await;
            let place = format!("{surface}: {flag}");
            assert_eq!(seen.reason, "TARGETING_MATCH", "{place}");
            assert_eq!(seen.variant.as_deref(), Some("True"), "{place}");
            assert_eq!(seen.metadata["description"], "this is a test", "{place}");
            let link = "https://github.com/thomaspoignant/go-feature-flag/pull/916";
            assert_eq!(seen.metadata["pr_link"], link, "{place}");
        }
    }
}

/// GOFF-EVAL-008.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_disabled_flag_leaves_the_caller_its_default_of_any_type() {
    let relay = relay(Instance::Open);
    let types = ["bool", "string", "int", "float", "interface", "list"];
    let flags = types.map(|of_type| format!("disabled_{of_type}"));
    for surface in surfaces(relay.endpoint(), plain).await {
        for flag in &flags {
            // With other defaults and types: the default of one caller never reaches another.
            for default in [
                Typed::Bool(true),
                Typed::Bool(false),
                Typed::Text("default"),
                Typed::Int(1225),
                Typed::Float(1200.25),
                Typed::Object(json!({"default": true})),
            ] {
                let value = default.to_json();
                let seen = surface.evaluate(flag, default, &User::john()).await;
                let place = format!("{surface}: {flag} for {value}");
                assert_eq!(seen.value, value, "{place}");
                if surface.is_native() {
                    assert_eq!(seen.outcome(), "ok", "{place}");
                    assert_eq!(seen.reason, "DISABLED", "{place}");
                    assert_eq!(seen.variant.as_deref(), Some("SdkDefault"), "{place}");
                    assert_eq!(seen.metadata["description"], "this is a test", "{place}");
                } else {
                    assert_eq!(seen.outcome(), "FLAG_DISABLED", "{place}");
                }
            }
        }
    }
}

/// GOFF-EVAL-002, GOFF-EVAL-004, GOFF-EVAL-005.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_of_another_type_is_a_mismatch_that_names_both_types() {
    let relay = relay(Instance::Open);
    let cases = [
        ("string_key", Typed::Bool(false), "a boolean"),
        ("object_key", Typed::Text("default"), "a string"),
        ("string_key", Typed::Int(200), "integer"),
        ("double_key", Typed::Int(200), "integer"),
        ("bool_targeting_match", Typed::Int(200), "integer"),
        ("bool_targeting_match", Typed::Float(1.5), "a number"),
        ("bool_targeting_match", Typed::Text("default"), "a string"),
        ("integer_key", Typed::Bool(false), "a boolean"),
        ("integer_key", Typed::Text("default"), "a string"),
    ];
    for surface in surfaces(relay.endpoint(), plain).await {
        for (flag, default, wanted) in &cases {
            mismatch(&surface, flag, default.clone(), wanted).await;
        }
        if !surface.is_native() {
            // A native caller accepts any JSON.
            for flag in "string_key integer_key bool_targeting_match list_key".split(' ') {
                mismatch(&surface, flag, Typed::Object(json!({})), "an object").await;
            }
        }
    }
}

/// GOFF-EVAL-011, GOFF-ERR-001.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_unknown_flag_is_not_found_and_leaves_the_default() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        for default in [
            Typed::Bool(true),
            Typed::Text("default"),
            Typed::Int(3),
            Typed::Float(0.5),
            Typed::Object(json!({"a": 1})),
        ] {
            let (flag, john) = ("no-such-flag", User::john());
            let code = "FLAG_NOT_FOUND";
            let seen = surface.expect_error(flag, default, &john, code).await;
            assert_eq!(seen.reason, "ERROR", "{surface}");
        }
    }
}

/// The SDK's struct cannot hold null (docs/python-parity.md A.6, row 24).
fn object_key(surface: &Surface) -> Value {
    let mut object = json!({"test": "test1", "test2": false, "test3": 123.3, "test4": 1});
    if surface.is_native() {
        object["test5"] = Value::Null;
    }
    object
}

async fn mismatch(surface: &Surface, flag: &str, default: Typed, wanted: &str) {
    let (john, code) = (User::john(), "TYPE_MISMATCH");
    let seen = surface.expect_error(flag, default, &john, code).await;
    let place = format!("{surface}: {flag}: {seen:?}");
    assert!(seen.message.contains(flag), "{place}");
    assert!(seen.message.contains(wanted), "{place}");
}
