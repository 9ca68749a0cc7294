//! Scenario 5: exporter metadata is in the events that the relay proxy records, beside the caller's members of
//! `gofeatureflag` (docs/python-parity.md C3).

use goff_tests_integration::{Instance, relay};
use serde_json::json;

use crate::surfaces::{Options, plain, surfaces};

/// GOFF-CTX-007.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_server_records_the_metadata_of_the_options_and_of_the_client() {
    let relay = relay(Instance::Open);
    let options = |options: Options| {
        options
            .exporter_metadata("version", "1.0.0")
            .exporter_metadata("name", "myapp")
            .exporter_metadata("id", 123)
            .exporter_metadata("ratio", 0.5)
            .exporter_metadata("canary", true)
    };
    for surface in surfaces(relay.endpoint(), options).await {
        let user = surface.user("metadata");
        surface.evaluate("static_key", "default", &user).await;
        let events = surface.events(relay, &user, 1).await;
        let expected = json!({
            "version": "1.0.0", "name": "myapp", "id": 123, "ratio": 0.5, "canary": true,
            "provider": "rust", "openfeature": true,
        });
        assert_eq!(events[0]["metadata"], expected, "{surface}");
        let source = match surface.is_in_process() {
            true => "INPROCESS",
            false => "SERVER",
        };
        assert_eq!(events[0]["source"], source, "{surface}");
    }
}

/// GOFF-CTX-006, GOFF-CTX-009.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_caller_s_own_members_are_kept() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        let specifics = json!({
            "currentDateTime": "2031-01-01T00:00:00Z",
            "exporterMetadata": {"provider": "spoofed", "request": "r-1"},
        });
        let user = surface.user("siblings").with("gofeatureflag", specifics);
        // Scheduled to change in 2030.
        surface.serves("scheduled_key", &user, "b").await;
        let events = surface.events(relay, &user, 1).await;
        // The caller's exporter metadata is replaced (GOFF-CTX-006).
        let expected = json!({"provider": "rust", "openfeature": true});
        assert_eq!(events[0]["metadata"], expected, "{surface}");
    }
}

/// GOFF-CTX-008.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_gofeatureflag_attribute_of_another_type_is_replaced() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = surface.user("no object").with("gofeatureflag", "text");
        surface.evaluate("static_key", "default", &user).await;
        let events = surface.events(relay, &user, 1).await;
        let expected = json!({"provider": "rust", "openfeature": true});
        assert_eq!(events[0]["metadata"], expected, "{surface}");
    }
}
