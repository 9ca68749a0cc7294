//! Scenario 1: flag keys that a URL has to escape, or must not, reach the relay proxy; keys that cannot are
//! refused without asking it.

use goff_tests_integration::{EventKind, Instance, relay, relay_under_control};

use crate::surfaces::{Asked, User, in_process_surfaces, plain, remote_surfaces, surfaces};

#[tokio::test]
async fn every_key_that_can_be_reached_is_found() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "keys");
        for key in [
            "my-flag_v1.2~x",
            "my flag",
            "team:x",
            "a+b",
            "flag!",
            "my flag!",
            "é",
            "a%b",
            "a?b",
            "a#b",
            "a'b",
            "a(b)*",
            "a$b&c,d;e=f@g",
            "a%2Fb|[c]\"d\\e",
            "日本 語",
        ] {
            let seen = surface.ask(key, Asked::Text("default"), &user).await;
            assert_eq!(seen.outcome(), "ok", "{}: `{key}`", surface.name);
            assert_eq!(seen.value, "found", "{}: `{key}`", surface.name);
            assert_eq!(
                seen.variant.as_deref(),
                Some("found"),
                "{}: `{key}`",
                surface.name
            );
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_reached_is_not_found_and_not_asked_for() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "unreachable keys");
        for key in ["a/b", "", ".", "..", "../static_key", "/static_key"] {
            let seen = surface.ask(key, Asked::Text("default"), &user).await;
            assert_eq!(
                seen.outcome(),
                "FLAG_NOT_FOUND",
                "{}: `{key}`",
                surface.name
            );
            assert_eq!(seen.value, "default", "{}: `{key}`", surface.name);
            assert!(
                seen.message.contains("in-process"),
                "{}: `{key}`: {}",
                surface.name,
                seen.message
            );
        }
        // The relay proxy records unknown flags too, in order: this one alone arrived.
        surface
            .ask("static_key", Asked::Text("default"), &user)
            .await;
        let events = relay
            .recorded_events(EventKind::Feature)
            .of_user(user.key(), 1)
            .await;
        let keys: Vec<_> = events.iter().map(|event| &event["key"]).collect();
        assert_eq!(keys, ["static_key"], "{}", surface.name);
    }
}

#[tokio::test]
async fn in_process_every_key_is_reached() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in in_process_surfaces(relay.endpoint(), plain).await {
        for key in ["a/b", "", ".", "..", "../static_key"] {
            let seen = surface
                .ask(key, Asked::Text("default"), &User::john())
                .await;
            assert_eq!(
                (seen.outcome(), &seen.value),
                ("ok", &"found".into()),
                "{}: `{key}`",
                surface.name
            );
        }
        let seen = surface
            .ask("/static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
    }
}

#[tokio::test]
async fn a_key_with_a_slash_is_reached_by_the_bulk_evaluation() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let all = surface.ask_all(&User::of(&surface, "slash")).await.unwrap();
        assert_eq!(all["a/b"].value, "found", "{}", surface.name);
    }
}
