//! Scenario 10: what the cache stores.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{Typed, plain, remote_surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_unknown_flag_is_never_cached() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = surface.user("unknown flag");
        for misses in 1..=3 {
            surface.fails("no-such-flag", &user, "FLAG_NOT_FOUND").await;
            let stats = surface.goff.stats();
            assert_eq!((stats.misses, stats.hits), (misses, 0), "{surface}");
        }
    }
}

/// The default is not part of the answer, so neither its value nor its type is cached.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_disabled_flag_leaves_each_caller_its_default() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = surface.user("disabled");
        for default in [
            Typed::Text("one"),
            Typed::Text("another"),
            Typed::Int(7),
            Typed::Bool(true),
        ] {
            let seen = surface
                .evaluate("disabled_string", default.clone(), &user)
                .await;
            let place = format!("{surface}, {default:?}: {seen:?}");
            assert_eq!(seen.value, default.to_json(), "{place}");
            // Through the SDK only an error makes the caller use its default.
            if surface.is_native() {
                let answer = (seen.outcome(), &*seen.reason);
                assert_eq!(answer, ("ok", "DISABLED"), "{place}");
            } else {
                assert!(seen.message.contains("disabled"), "{place}");
            }
        }
        let stats = surface.goff.stats();
        assert_eq!(stats.misses + stats.hits, 4, "{surface}");
    }
}
