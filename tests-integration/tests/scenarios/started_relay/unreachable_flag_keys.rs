//! Scenario 1: flag keys that no URL can hold are refused without a request.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{plain, remote_surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_key_that_no_url_can_hold_is_not_found_without_a_request() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = surface.user("unreachable keys");
        for key in ["a/b", "", ".", "..", "../static_key", "/static_key"] {
            let seen = surface.fails(key, &user, "FLAG_NOT_FOUND").await;
            assert!(seen.message.contains("in-process"), "`{key}`: {seen:?}");
        }
        // The relay proxy records unknown flags too, and in order, so only this request arrived.
        surface.evaluate("static_key", "default", &user).await;
        let events = surface.events(relay, &user, 1).await;
        let keys: Vec<_> = events.iter().map(|event| &event["key"]).collect();
        assert_eq!(keys, ["static_key"], "{surface}");
    }
}
