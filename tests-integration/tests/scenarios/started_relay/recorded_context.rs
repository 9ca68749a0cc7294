//! Scenarios 4 and 7: the evaluation context in rules and in the events that the relay proxy records.

use goff_tests_integration::{Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{plain, surfaces};

/// docs/python-parity.md C1. GOFF-EVAL-010: the metadata has the name of the rule.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_anonymous_user_is_anonymous_to_rules_and_in_events() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        for (anonymous, kind, value) in [
            (json!(true), "anonymousUser", "b"),
            (json!(false), "user", "a"),
            (json!("true"), "user", "a"),
        ] {
            let user = surface
                .user(&format!("anonymous {anonymous}"))
                .with("anonymous", anonymous);
            let seen = surface.evaluate("named_rule_key", "default", &user).await;
            assert_eq!(seen.value, value, "{}", user.key());
            let rule = seen
                .metadata
                .get("evaluatedRuleName")
                .and_then(Value::as_str);
            let expected = (value == "b").then_some("anonymous visitors");
            assert_eq!(rule, expected, "{}", user.key());
            let events = surface.events(relay, &user, 1).await;
            assert_eq!(events[0]["contextKind"], kind, "{}", user.key());
        }
    }
}

/// docs/python-parity.md C43.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_attribute_called_targeting_key_does_not_replace_the_targeting_key() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = surface
            .user("real key")
            .with("targetingKey", "special-user");
        surface.serves("default_key", &user, "a").await;
        let events = surface.events(relay, &user, 1).await;
        assert_eq!(events.len(), 1, "{surface}");
    }
}
