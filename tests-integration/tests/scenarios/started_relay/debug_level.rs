//! Scenario 15: a relay proxy at log level debug indents every body and adds details to errors.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{User, plain, remote_surfaces, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn indented_bodies_have_the_same_meaning() {
    let (relay, john) = (relay(Instance::Debug), User::john());
    for surface in surfaces(relay.endpoint(), plain).await {
        let seen = surface
            .expect_reason("string_key", &john, "CC0000", "TARGETING_MATCH")
            .await;
        let description = &seen.metadata["description"];
        assert_eq!(description, "this is a test", "{surface}");
        surface.fails("no-such-flag", &john, "FLAG_NOT_FOUND").await;
        let keyless = User::without_key();
        surface
            .fails("split_key", &keyless, "TARGETING_KEY_MISSING")
            .await;
        let all = surface.evaluate_all(&john).await.unwrap();
        assert_eq!(all["string_key"].value, "CC0000", "{surface}");
    }
    // An error body with one member more. In process there would be no flags.
    let elsewhere = format!("{}/v9", relay.endpoint());
    for surface in remote_surfaces(&elsewhere, plain).await {
        let seen = surface.fails("string_key", &john, "GENERAL").await;
        assert!(seen.message.contains("404"), "{surface}: {seen:?}");
    }
}
