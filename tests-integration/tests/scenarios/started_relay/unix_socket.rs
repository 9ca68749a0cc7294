//! A relay proxy on a Unix socket.

use goff_tests_integration::{Instance, own_relay, relay};

use super::changes_and_usage::changes_and_usage_data_arrive;
use crate::surfaces::{plain, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_unix_socket_serves_every_kind_of_evaluation() {
    let relay = relay(Instance::UnixSocket);
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = surface.user("unix");
        for flag in ["my flag!", "team:x"] {
            surface.serves(flag, &user, "found").await;
        }
        surface.fails("no-such-flag", &user, "FLAG_NOT_FOUND").await;
        let all = surface.evaluate_all(&user).await.unwrap();
        assert!(all["static_key"].error().is_none(), "{surface}");
        let events = surface.events(relay, &user, 3).await;
        assert_eq!(events.len(), 3, "{surface}");
        assert_eq!(events[0]["metadata"]["provider"], "rust", "{surface}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_unix_socket_carries_changes_and_usage_data() {
    let relay = own_relay(Instance::UnixSocket);
    let surfaces = surfaces(relay.endpoint(), plain).await;
    changes_and_usage_data_arrive(&relay, &surfaces, "team:x").await;
}
