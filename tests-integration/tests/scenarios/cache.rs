//! Scenario 10: what the cache keeps, and in whose words it answers.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{Asked, User, plain, remote_surfaces};

#[tokio::test]
async fn an_unknown_flag_is_asked_for_every_time() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "unknown flag");
        for asked in 1..=3 {
            let seen = surface
                .ask("no-such-flag", Asked::Text("default"), &user)
                .await;
            assert_eq!(
                (seen.outcome(), seen.value.as_str()),
                ("FLAG_NOT_FOUND", Some("default")),
                "{}",
                surface.name
            );
            let stats = surface.goff.stats();
            assert_eq!((stats.misses, stats.hits), (asked, 0), "{}", surface.name);
        }
    }
}

/// The caller's default is not part of the answer, so neither its value nor its type is kept.
#[tokio::test]
async fn a_disabled_flag_gives_every_caller_its_own_default() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = User::of(&surface, "disabled");
        for asked in [
            Asked::Text("one"),
            Asked::Text("another"),
            Asked::Int(7),
            Asked::Bool(true),
        ] {
            let seen = surface.ask("disabled_string", asked.clone(), &user).await;
            let place = format!("{}, {asked:?}: {}", surface.name, seen.message);
            assert_eq!(seen.value, asked.default_value(), "{place}");
            // The SDK has no other way than an error to make its caller use the default.
            if surface.is_native() {
                assert_eq!(
                    (seen.outcome(), seen.reason.as_str()),
                    ("ok", "DISABLED"),
                    "{place}"
                );
            } else {
                assert!(seen.message.contains("disabled"), "{place}");
            }
        }
        let stats = surface.goff.stats();
        assert_eq!(stats.misses + stats.hits, 4, "{}", surface.name);
    }
}
