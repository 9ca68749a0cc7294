//! Scenarios 6 and 7: the evaluation context in rules and rollouts.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{User, plain, surfaces};

/// GOFF-CTX-003.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn only_a_flag_that_buckets_needs_a_targeting_key() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        for user in [User::without_key(), User::new("")] {
            surface.serves("static_key", &user, "a").await;
            surface
                .fails("split_key", &user, "TARGETING_KEY_MISSING")
                .await;
        }
        let seen = surface.evaluate_without_context("static_key").await;
        let answer = (seen.outcome(), seen.value.as_str());
        assert_eq!(answer, ("ok", Some("a")), "{surface}: {seen:?}");
        let seen = surface.evaluate_without_context("split_key").await;
        assert_eq!(seen.outcome(), "TARGETING_KEY_MISSING", "{seen:?}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_with_a_bucketing_key_needs_that_attribute_instead() {
    let team = User::without_key().with("teamId", "team-1");
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let code = "TARGETING_KEY_MISSING";
        surface.fails("bucketing_key", &User::john(), code).await;
        let seen = surface.evaluate("bucketing_key", "default", &team).await;
        let answer = (seen.outcome(), &*seen.reason);
        assert_eq!(answer, ("ok", "SPLIT"), "{surface}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_s_enrichment_reaches_the_rules_and_overrides_the_caller_s() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let flag = "flag-use-evaluation-context-enrichment";
        for user in [User::john(), User::john().with("environment", "elsewhere")] {
            surface
                .expect_reason(flag, &user, "A", "TARGETING_MATCH")
                .await;
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn semantic_versions_are_compared_as_versions() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        for (version, value) in [("10.1.0", true), ("9.9.9", false)] {
            let user = User::john().with("version", version);
            let flag = "boolean_semver_targeting_match";
            surface.expect(flag, !value, &user, value).await;
        }
    }
}
