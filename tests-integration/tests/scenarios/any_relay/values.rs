//! Scenario 3: values at the edge of a type, as a real server writes them.

use goff_tests_integration::{Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{Typed, User, plain, surfaces};

/// GOFF-EVAL-003.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_whole_number_is_an_integer_and_a_float() {
    let john = User::john();
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        // The file has 100.0, the relay proxy writes 100.
        surface.expect("whole_float_key", 0.5, &john, 100.0).await;
        surface.expect("whole_float_key", 1, &john, 100).await;
        surface.expect("integer_key", 0.5, &john, 100.0).await;
    }
}

/// GOFF-EVAL-005.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_integer_is_exact_or_a_mismatch() {
    let john = User::john();
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        // Beyond the integers that a double holds.
        let (beyond_f64, beyond_i64) = match surface.is_in_process() {
            true => (9_007_199_254_740_992_i64, json!(2_f64.powi(64))),
            false => (9_007_199_254_740_993, json!(u64::MAX)),
        };
        let flag = "beyond_i64_key";
        surface.expect("beyond_f64_key", 1, &john, beyond_f64).await;
        surface.expect_error(flag, 1, &john, "TYPE_MISMATCH").await;
        if surface.is_native() {
            surface.expect(flag, Value::Null, &john, beyond_i64).await;
        }
    }
}

/// docs/python-parity.md A.6, row 27. The SDK's struct cannot be a list.
/// GOFF-EVAL-002.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_list_is_a_value_natively_and_a_mismatch_through_open_feature() {
    let (john, flag) = (User::john(), "list_key");
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        if surface.is_native() {
            let list = json!(["test", "test1", "test2", "false", "test3"]);
            surface.expect(flag, json!({}), &john, list).await;
        } else {
            let code = "TYPE_MISMATCH";
            surface.expect_error(flag, json!({}), &john, code).await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_empty_string_is_a_value() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        surface.serves("empty_string_key", &User::john(), "").await;
    }
}

/// GOFF-EVAL-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn null_leaves_the_caller_its_default() {
    let john = User::john();
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let (flag, object) = ("null_value_key", Typed::Object(json!({"a": 1})));
        for default in [true.into(), 7.into(), "default".into(), object] {
            if surface.is_native() {
                let value = default.to_json();
                let seen = surface.expect(flag, default, &john, value).await;
                assert_eq!(seen.reason, "STATIC", "{surface}");
                assert_eq!(seen.variant.as_deref(), Some("absent"), "{surface}");
                let description = &seen.metadata["description"];
                assert_eq!(description, "this is a test", "{surface}");
            } else {
                let code = "NULL_VALUE";
                surface.expect_error(flag, default, &john, code).await;
            }
        }
    }
}

/// GOFF-EVAL-009.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn metadata_keep_their_types_and_natively_their_depth() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let (flag, john) = ("nested_metadata_key", User::john());
        let seen = surface.evaluate(flag, "default", &john).await;
        let scalars = json!({"text": "words", "whole": 3, "fraction": 0.5, "truth": true});
        for (name, value) in scalars.as_object().unwrap() {
            assert_eq!(seen.metadata[name], *value, "{surface}: {name}");
        }
        let nested = json!({"team": "checkout", "channels": ["a", "b"]});
        let expected = surface.is_native().then_some(&nested);
        assert_eq!(seen.metadata.get("owner"), expected, "{surface}");
    }
}

/// GOFF-EVAL-007.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn every_way_of_choosing_has_its_reason() {
    let tester = User::john().with("group", "testers");
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        for (flag, user, reason) in [
            ("static_key", &User::john(), "STATIC"),
            ("default_key", &User::john(), "DEFAULT"),
            ("default_key", &User::new("special-user"), "TARGETING_MATCH"),
            ("split_key", &User::john(), "SPLIT"),
            ("targeting_split_key", &tester, "TARGETING_MATCH_SPLIT"),
            ("scheduled_key", &User::john(), "STATIC"),
            ("experiment_key", &User::john(), "STATIC"),
        ] {
            let seen = surface.evaluate(flag, "default", user).await;
            let place = format!("{surface}: {flag}");
            assert_eq!((seen.outcome(), &*seen.reason), ("ok", reason), "{place}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn nested_attributes_reach_the_rules() {
    let small = User::new("small").with("company_info", json!({"size": 3}));
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        surface.serves("labels_key", &User::john(), "b").await;
        surface.serves("labels_key", &small, "a").await;
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_object_becomes_a_custom_type() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Fixture {
        test: String,
        test2: bool,
        test3: f64,
        test4: i32,
        test5: Option<String>,
    }
    let fixture = |test: &str| Fixture {
        test: test.to_owned(),
        test2: false,
        test3: 123.3,
        test4: 1,
        test5: None,
    };
    let john = User::john();
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let evaluate = |flag| surface.evaluate_as(flag, fixture("default"), &john);
        let details = evaluate("object_key").await;
        assert_eq!(details.value, fixture("test1"), "{surface}");
        let details = evaluate("string_key").await;
        assert_eq!(details.value, fixture("default"), "{surface}");
        let code = details.error().unwrap().code();
        assert_eq!(code.as_str(), "TYPE_MISMATCH", "{surface}");
    }
}
