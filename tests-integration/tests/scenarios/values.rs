//! Scenario 3: values at the edge of a type, as a real server writes them.

use goff_tests_integration::{Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{Asked, User, plain, surfaces};

/// GOFF-EVAL-003.
#[tokio::test]
async fn a_whole_number_is_an_integer_and_a_float() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        // The file says 100.0, the server 100.
        for (asked, value) in [
            (Asked::Float(0.5), json!(100.0)),
            (Asked::Int(1), json!(100)),
        ] {
            let seen = surface.ask("whole_float_key", asked, &User::john()).await;
            assert_eq!(
                (seen.outcome(), &seen.value),
                ("ok", &value),
                "{}",
                surface.name
            );
        }
        let seen = surface
            .ask("integer_key", Asked::Float(0.5), &User::john())
            .await;
        assert_eq!(
            (seen.outcome(), &seen.value),
            ("ok", &json!(100.0)),
            "{}",
            surface.name
        );
    }
}

/// GOFF-EVAL-005.
#[tokio::test]
async fn an_integer_is_exact_or_a_mismatch() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        // Beyond the integers that a double holds.
        let seen = surface
            .ask("beyond_f64_key", Asked::Int(1), &User::john())
            .await;
        let value = match surface.is_in_process() {
            true => json!(9_007_199_254_740_992_i64),
            false => json!(9_007_199_254_740_993_i64),
        };
        assert_eq!(
            (seen.outcome(), &seen.value),
            ("ok", &value),
            "{}",
            surface.name
        );

        let seen = surface
            .ask("beyond_i64_key", Asked::Int(1), &User::john())
            .await;
        assert_eq!(
            (seen.outcome(), &seen.value),
            ("TYPE_MISMATCH", &json!(1)),
            "{}",
            surface.name
        );
        if surface.is_native() {
            let seen = surface
                .ask("beyond_i64_key", Asked::Object(Value::Null), &User::john())
                .await;
            let value = match surface.is_in_process() {
                true => json!(2_f64.powi(64)),
                false => json!(u64::MAX),
            };
            assert_eq!(seen.value, value, "{}", surface.name);
        }
    }
}

/// Row 27 of the Python provider's tests; the SDK's struct cannot be a list.
/// GOFF-EVAL-002.
#[tokio::test]
async fn a_list_is_a_value_natively_and_a_mismatch_through_open_feature() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .ask("list_key", Asked::Object(json!({})), &User::john())
            .await;
        if surface.is_native() {
            let value = json!(["test", "test1", "test2", "false", "test3"]);
            assert_eq!(
                (seen.outcome(), &seen.value),
                ("ok", &value),
                "{}",
                surface.name
            );
        } else {
            assert_eq!(
                (seen.outcome(), &seen.value),
                ("TYPE_MISMATCH", &json!({})),
                "{}",
                surface.name
            );
        }
    }
}

#[tokio::test]
async fn an_empty_string_is_a_value() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .ask("empty_string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(
            (seen.outcome(), &seen.value),
            ("ok", &json!("")),
            "{}",
            surface.name
        );
    }
}

/// GOFF-EVAL-006.
#[tokio::test]
async fn null_leaves_the_caller_its_default() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        for asked in [
            Asked::Bool(true),
            Asked::Int(7),
            Asked::Text("default"),
            Asked::Object(json!({"a": 1})),
        ] {
            let default = asked.default_value();
            let seen = surface.ask("null_value_key", asked, &User::john()).await;
            assert_eq!(seen.value, default, "{}", surface.name);
            if surface.is_native() {
                assert_eq!(seen.outcome(), "ok", "{}", surface.name);
                assert_eq!(seen.reason, "STATIC", "{}", surface.name);
                assert_eq!(seen.variant.as_deref(), Some("absent"), "{}", surface.name);
                assert_eq!(
                    seen.metadata["description"], "this is a test",
                    "{}",
                    surface.name
                );
            } else {
                assert_eq!(seen.outcome(), "NULL_VALUE", "{}", surface.name);
            }
        }
    }
}

/// GOFF-EVAL-009.
#[tokio::test]
async fn metadata_keep_their_types_and_natively_their_depth() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .ask("nested_metadata_key", Asked::Text("default"), &User::john())
            .await;
        let expected = [
            ("text", json!("words")),
            ("whole", json!(3)),
            ("fraction", json!(0.5)),
            ("truth", json!(true)),
        ];
        for (name, value) in expected {
            assert_eq!(seen.metadata[name], value, "{}: {name}", surface.name);
        }
        let nested = json!({"team": "checkout", "channels": ["a", "b"]});
        let expected = surface.is_native().then_some(&nested);
        assert_eq!(seen.metadata.get("owner"), expected, "{}", surface.name);
    }
}

/// GOFF-EVAL-007.
#[tokio::test]
async fn every_way_of_choosing_has_its_reason() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        for (flag, user, reason) in [
            ("static_key", User::john(), "STATIC"),
            ("default_key", User::john(), "DEFAULT"),
            ("default_key", User::new("nobody"), "TARGETING_MATCH"),
            ("split_key", User::john(), "SPLIT"),
            (
                "targeting_split_key",
                User::john().with("group", "testers"),
                "TARGETING_MATCH_SPLIT",
            ),
            ("scheduled_key", User::john(), "STATIC"),
            ("experiment_key", User::john(), "STATIC"),
        ] {
            let seen = surface.ask(flag, Asked::Text("default"), &user).await;
            assert_eq!(
                (seen.outcome(), seen.reason.as_str()),
                ("ok", reason),
                "{}: {flag}",
                surface.name
            );
        }
    }
}

#[tokio::test]
async fn nested_attributes_reach_the_rules() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .ask("labels_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.value, "b", "{}", surface.name);
        let small = User::new("small").with("company_info", json!({"size": 3}));
        let seen = surface
            .ask("labels_key", Asked::Text("default"), &small)
            .await;
        assert_eq!(seen.value, "a", "{}", surface.name);
    }
}

#[tokio::test]
async fn an_object_becomes_a_type_of_the_caller_s_own() {
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
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let details = surface
            .ask_as("object_key", fixture("default"), &User::john())
            .await;
        assert_eq!(details.value, fixture("test1"), "{}", surface.name);
        let details = surface
            .ask_as("string_key", fixture("default"), &User::john())
            .await;
        assert_eq!(details.value, fixture("default"), "{}", surface.name);
        let code = details
            .error()
            .map(|error| error.code().as_str().to_owned());
        assert_eq!(code.as_deref(), Some("TYPE_MISMATCH"), "{}", surface.name);
    }
}
