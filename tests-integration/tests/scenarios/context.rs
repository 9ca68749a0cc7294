//! Scenarios 4, 6 and 7: what the relay proxy makes of the evaluation context.

use goff_tests_integration::{Instance, relay, relay_under_control};

use crate::surfaces::{Asked, User, plain, surfaces};

/// C1 of the Python provider: its form of the context turned anonymous users into known ones.
/// GOFF-EVAL-010: the rule has its name in the metadata.
#[tokio::test]
async fn an_anonymous_user_is_anonymous_to_rules_and_in_events() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        for (anonymous, kind, value) in [
            (serde_json::json!(true), "anonymousUser", "b"),
            (serde_json::json!(false), "user", "a"),
            (serde_json::json!("true"), "user", "a"),
        ] {
            let user =
                User::of(&surface, &format!("anonymous {anonymous}")).with("anonymous", anonymous);
            let seen = surface
                .ask("named_rule_key", Asked::Text("default"), &user)
                .await;
            assert_eq!(seen.value, value, "{}", user.key());
            let rule = seen
                .metadata
                .get("evaluatedRuleName")
                .map(|name| name == "anonymous visitors");
            assert_eq!(rule, (value == "b").then_some(true), "{}", user.key());
            let events = surface.events(relay, &user, 1).await;
            assert_eq!(events[0]["contextKind"], kind, "{}", user.key());
        }
    }
}

/// GOFF-CTX-003.
#[tokio::test]
async fn only_a_flag_that_buckets_needs_a_targeting_key() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        for user in [User::nobody(), User::new("")] {
            let seen = surface
                .ask("static_key", Asked::Text("default"), &user)
                .await;
            assert_eq!(
                (seen.outcome(), seen.value.as_str()),
                ("ok", Some("a")),
                "{}",
                surface.name
            );
            let seen = surface
                .ask("split_key", Asked::Text("default"), &user)
                .await;
            assert_eq!(
                seen.outcome(),
                "TARGETING_KEY_MISSING",
                "{}: {}",
                surface.name,
                seen.message
            );
            assert_eq!(seen.value, "default", "{}", surface.name);
        }
        let seen = surface.ask_without_context("static_key", "default").await;
        assert_eq!(
            (seen.outcome(), seen.value.as_str()),
            ("ok", Some("a")),
            "{}",
            surface.name
        );
        let seen = surface.ask_without_context("split_key", "default").await;
        assert_eq!(
            seen.outcome(),
            "TARGETING_KEY_MISSING",
            "{}: {}",
            surface.name,
            seen.message
        );
    }
}

#[tokio::test]
async fn a_flag_with_a_bucketing_key_needs_that_attribute_instead() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .ask("bucketing_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "TARGETING_KEY_MISSING", "{}", surface.name);
        let team = User::nobody().with("teamId", "team-1");
        let seen = surface
            .ask("bucketing_key", Asked::Text("default"), &team)
            .await;
        assert_eq!(
            (seen.outcome(), seen.reason.as_str()),
            ("ok", "SPLIT"),
            "{}",
            surface.name
        );
    }
}

/// C43 of the Python provider.
#[tokio::test]
async fn an_attribute_called_targeting_key_does_not_replace_the_targeting_key() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "real key").with("targetingKey", "nobody");
        let seen = surface
            .ask("default_key", Asked::Text("default"), &user)
            .await;
        assert_eq!(seen.value, "a", "{}", surface.name);
        let events = surface.events(relay, &user, 1).await;
        assert_eq!(events.len(), 1, "{}", surface.name);
    }
}

#[tokio::test]
async fn the_server_s_enrichment_reaches_the_rules_and_wins() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let flag = "flag-use-evaluation-context-enrichment";
        for user in [User::john(), User::john().with("environment", "elsewhere")] {
            let seen = surface.ask(flag, Asked::Text("default"), &user).await;
            assert_eq!(seen.value, "A", "{}", surface.name);
            assert_eq!(seen.reason, "TARGETING_MATCH", "{}", surface.name);
        }
    }
}

#[tokio::test]
async fn a_semantic_version_is_compared_as_one() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        for (version, value) in [("10.1.0", true), ("9.9.9", false)] {
            let user = User::john().with("version", version);
            let seen = surface
                .ask("boolean_semver_targeting_match", Asked::Bool(!value), &user)
                .await;
            assert_eq!(
                (seen.outcome(), &seen.value),
                ("ok", &value.into()),
                "{}: {version}",
                surface.name
            );
        }
    }
}
