//! Scenario 5: exporter metadata arrive in the events that the server records, beside what the caller put under
//! `gofeatureflag` (C3 of the Python provider, whose metadata no server ever read).

use goff_provider::GoFeatureFlagOptions;
use goff_tests_integration::{Instance, relay_under_control};
use serde_json::json;

use crate::surfaces::{Asked, User, plain, surfaces};

/// GOFF-CTX-007.
#[tokio::test]
async fn the_server_records_the_metadata_of_the_options_and_ours() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    let options = |options: GoFeatureFlagOptions| {
        options
            .exporter_metadata("version", "1.0.0")
            .exporter_metadata("name", "myapp")
            .exporter_metadata("id", 123)
            .exporter_metadata("ratio", 0.5)
            .exporter_metadata("canary", true)
    };
    for surface in surfaces(relay.endpoint(), options).await {
        let user = User::of(&surface, "metadata");
        surface
            .ask("static_key", Asked::Text("default"), &user)
            .await;
        let events = surface.events(relay, &user, 1).await;
        let expected = json!({
            "version": "1.0.0", "name": "myapp", "id": 123, "ratio": 0.5, "canary": true,
            "provider": "rust", "openfeature": true,
        });
        assert_eq!(events[0]["metadata"], expected, "{}", surface.name);
        let source = match surface.is_in_process() {
            true => "INPROCESS",
            false => "SERVER",
        };
        assert_eq!(events[0]["source"], source, "{}", surface.name);
    }
}

/// GOFF-CTX-006, GOFF-CTX-009.
#[tokio::test]
async fn the_caller_s_own_members_are_kept() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let specifics = json!({
            "currentDateTime": "2031-01-01T00:00:00Z",
            "exporterMetadata": {"provider": "spoofed", "request": "r-1"},
        });
        let user = User::of(&surface, "siblings").with("gofeatureflag", specifics);
        // Scheduled to change in 2030.
        let seen = surface
            .ask("scheduled_key", Asked::Text("default"), &user)
            .await;
        assert_eq!(seen.value, "b", "{}", surface.name);
        let events = surface.events(relay, &user, 1).await;
        // Theirs under this one name is replaced (GOFF-CTX-006).
        let expected = json!({"provider": "rust", "openfeature": true});
        assert_eq!(events[0]["metadata"], expected, "{}", surface.name);
    }
}

/// GOFF-CTX-008.
#[tokio::test]
async fn a_gofeatureflag_attribute_that_is_no_object_is_replaced() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "no object").with("gofeatureflag", "text");
        surface
            .ask("static_key", Asked::Text("default"), &user)
            .await;
        let events = surface.events(relay, &user, 1).await;
        let expected = json!({"provider": "rust", "openfeature": true});
        assert_eq!(events[0]["metadata"], expected, "{}", surface.name);
    }
}

#[tokio::test]
async fn a_flag_list_restricts_the_bulk_evaluation() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let list = json!({"flagList": ["static_key", "split_key", "no-such-flag"]});
        let user = User::of(&surface, "list").with("gofeatureflag", list);
        let all = surface.ask_all(&user).await.unwrap();
        let keys: Vec<_> = all.keys().collect();
        assert_eq!(keys, ["split_key", "static_key"], "{}", surface.name);
    }
}
