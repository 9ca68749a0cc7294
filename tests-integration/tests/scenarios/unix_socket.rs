//! A relay proxy on a Unix socket is asked like any other.

use goff_tests_integration::{EventKind, Instance, relay_under_control};

use crate::surfaces::{Asked, User, plain, surfaces};

#[tokio::test]
async fn a_unix_socket_serves_every_kind_of_evaluation() {
    let Some(relay) = relay_under_control(Instance::UnixSocket) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "unix");
        for flag in ["my flag!", "team:x"] {
            let seen = surface.ask(flag, Asked::Text("default"), &user).await;
            assert_eq!(
                (seen.outcome(), seen.value.as_str()),
                ("ok", Some("found")),
                "{}: {}",
                surface.name,
                seen.message
            );
        }
        let seen = surface
            .ask("no-such-flag", Asked::Text("default"), &user)
            .await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
        let all = surface.goff.evaluate_all(&user.native()).await.unwrap();
        assert!(all["static_key"].error().is_none(), "{}", surface.name);
        let events = relay
            .recorded_events(EventKind::Feature)
            .of_user(user.key(), 3)
            .await;
        assert_eq!(
            events[0]["metadata"]["provider"], "rust",
            "{}",
            surface.name
        );
    }
}
