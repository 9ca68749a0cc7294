//! A relay proxy on a Unix socket is asked like any other.

use std::time::Duration;

use goff_tests_integration::{EventKind, Instance, RelayProxy, relay_source, relay_under_control};

use crate::following::{change_of, stream_opens};
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
        let all = surface.ask_all(&user).await.unwrap();
        assert!(all["static_key"].error().is_none(), "{}", surface.name);
        let events = surface.events(relay, &user, 3).await;
        assert_eq!(events.len(), 3, "{}", surface.name);
        assert_eq!(
            events[0]["metadata"]["provider"], "rust",
            "{}",
            surface.name
        );
    }
}

#[tokio::test]
async fn a_unix_socket_carries_changes_and_usage_data() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::UnixSocket, &source).unwrap();
    let surfaces = surfaces(relay.endpoint(), plain).await;
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        let user = User::of(surface, "unix stream");
        for reason in ["STATIC", surface.again("STATIC")] {
            let seen = surface.ask("team:x", Asked::Text("default"), &user).await;
            assert_eq!(seen.reason, reason, "{}: {}", surface.name, seen.message);
        }
        let report = surface.goff.flush(Duration::from_secs(10)).await;
        let own = if surface.is_in_process() { 2 } else { 1 };
        assert_eq!(report.delivered, own, "{}: {report:?}", surface.name);
        let events = relay
            .recorded_events(EventKind::Feature)
            .of_user(user.key(), 2)
            .await;
        assert_eq!(events.len(), 2, "{}: {events:?}", surface.name);
        subscriptions.push(surface.goff.subscribe());
    }
    relay.edit_flags("\n\"team:x\": *keyed\n", "\n").unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        change_of("team:x", subscription).await;
        let seen = surface
            .ask(
                "team:x",
                Asked::Text("default"),
                &User::of(surface, "unix stream"),
            )
            .await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
    }
}
