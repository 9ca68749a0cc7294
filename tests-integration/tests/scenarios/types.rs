//! Scenario 2: each type of the fixture that the project's providers share, matching, disabled, asked as another
//! type, and unknown (rows 9 to 11 and 14 to 25 of the Python provider's tests, against a real server).

use goff_tests_integration::{Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{Asked, Surface, User, plain, surfaces};

/// GOFF-EVAL-001, GOFF-REM-003, GOFF-EVAL-010.
#[tokio::test]
async fn a_matching_flag_gives_value_variant_reason_and_metadata() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let cases = [
            ("bool_targeting_match", Asked::Bool(false), json!(true)),
            ("string_key", Asked::Text("default"), json!("CC0000")),
            (
                "string_key_with_version",
                Asked::Text("default"),
                json!("CC0000"),
            ),
            ("integer_key", Asked::Int(1200), json!(100)),
            ("double_key", Asked::Float(1200.25), json!(100.25)),
            ("object_key", Asked::Object(json!({})), object_key(&surface)),
        ];
        for (flag, asked, value) in cases {
            let seen = surface.ask(flag, asked, &User::john()).await;
            let place = format!("{}: {flag}", surface.name);
            assert_eq!(seen.outcome(), "ok", "{place}");
            assert_eq!(seen.value, value, "{place}");
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
async fn a_disabled_flag_leaves_the_caller_its_default_whatever_type_is_asked() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    let flags = [
        "disabled_bool",
        "disabled_string",
        "disabled_int",
        "disabled_float",
        "disabled_interface",
        "disabled_list",
    ];
    for surface in surfaces(relay.endpoint(), plain).await {
        for flag in flags {
            // Twice, with other defaults and types: what one caller gave never reaches another.
            for asked in [
                Asked::Bool(true),
                Asked::Bool(false),
                Asked::Text("default"),
                Asked::Int(1225),
                Asked::Float(1200.25),
                Asked::Object(json!({"default": true})),
            ] {
                let default = asked.default_value();
                let seen = surface.ask(flag, asked, &User::john()).await;
                let place = format!("{}: {flag} for {default}", surface.name);
                assert_eq!(seen.value, default, "{place}");
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
async fn a_flag_of_another_type_is_a_mismatch_that_names_both_types() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    let cases = [
        ("string_key", Asked::Bool(false), "a boolean"),
        ("object_key", Asked::Text("default"), "a string"),
        ("string_key", Asked::Int(200), "integer"),
        ("double_key", Asked::Int(200), "integer"),
        ("bool_targeting_match", Asked::Int(200), "integer"),
        ("bool_targeting_match", Asked::Float(1.5), "a number"),
        ("bool_targeting_match", Asked::Text("default"), "a string"),
        ("integer_key", Asked::Bool(false), "a boolean"),
        ("integer_key", Asked::Text("default"), "a string"),
    ];
    for surface in surfaces(relay.endpoint(), plain).await {
        for (flag, asked, wanted) in &cases {
            mismatch(&surface, flag, asked.clone(), wanted).await;
        }
        if !surface.is_native() {
            // A native caller asks for any JSON.
            for flag in [
                "string_key",
                "integer_key",
                "bool_targeting_match",
                "list_key",
            ] {
                mismatch(&surface, flag, Asked::Object(json!({})), "an object").await;
            }
        }
    }
}

/// GOFF-EVAL-011, GOFF-ERR-001.
#[tokio::test]
async fn an_unknown_flag_is_not_found_and_leaves_the_default() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        for asked in [
            Asked::Bool(true),
            Asked::Text("default"),
            Asked::Int(3),
            Asked::Float(0.5),
            Asked::Object(json!({"a": 1})),
        ] {
            let default = asked.default_value();
            let seen = surface.ask("no-such-flag", asked, &User::john()).await;
            assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
            assert_eq!(seen.value, default, "{}", surface.name);
            assert_eq!(seen.reason, "ERROR", "{}", surface.name);
        }
    }
}

/// The SDK's struct cannot hold null (row 24).
fn object_key(surface: &Surface) -> Value {
    if surface.is_native() {
        json!({"test": "test1", "test2": false, "test3": 123.3, "test4": 1, "test5": null})
    } else {
        json!({"test": "test1", "test2": false, "test3": 123.3, "test4": 1})
    }
}

async fn mismatch(surface: &Surface, flag: &str, asked: Asked, wanted: &str) {
    let default = asked.default_value();
    let seen = surface.ask(flag, asked, &User::john()).await;
    let place = format!("{}: {flag} for {default}: {}", surface.name, seen.message);
    assert_eq!(seen.outcome(), "TYPE_MISMATCH", "{place}");
    assert_eq!(seen.value, default, "{place}");
    assert!(seen.message.contains(flag), "{place}");
    assert!(seen.message.contains(wanted), "{place}");
}
