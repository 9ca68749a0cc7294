//! Scenario 15: a relay proxy at log level debug indents every body and says more in error bodies.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{Asked, User, plain, remote_surfaces, surfaces};

#[tokio::test]
async fn indented_bodies_say_the_same() {
    let Some(relay) = relay(Instance::Debug) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(
            (seen.outcome(), seen.value.as_str()),
            ("ok", Some("CC0000")),
            "{}",
            surface.name
        );
        assert_eq!(seen.reason, "TARGETING_MATCH", "{}", surface.name);
        assert_eq!(
            seen.metadata["description"], "this is a test",
            "{}",
            surface.name
        );

        let seen = surface
            .ask("no-such-flag", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
        let seen = surface
            .ask("split_key", Asked::Text("default"), &User::nobody())
            .await;
        assert_eq!(seen.outcome(), "TARGETING_KEY_MISSING", "{}", surface.name);

        let all = surface.ask_all(&User::john()).await.unwrap();
        assert_eq!(all["string_key"].value, "CC0000", "{}", surface.name);
    }
    // Another shape of error body, with one member more; in process there would be no flags.
    let elsewhere = format!("{}/v9", relay.endpoint());
    for surface in remote_surfaces(&elsewhere, plain).await {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        assert!(
            seen.message.contains("404"),
            "{}: {}",
            surface.name,
            seen.message
        );
    }
}
