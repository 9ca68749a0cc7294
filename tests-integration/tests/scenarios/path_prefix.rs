//! Scenario 14, for evaluation: an endpoint below a path prefix, behind a gateway that strips it (row 33 of the
//! Python provider's tests).

use goff_tests_integration::{EVALUATION_KEY, Instance, StrippingProxy, relay};

use crate::surfaces::{Asked, User, plain, surfaces};

#[tokio::test]
async fn the_prefix_is_kept_with_or_without_a_final_slash() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    for endpoint in [
        proxy.endpoint().to_owned(),
        format!("{}/", proxy.endpoint()),
    ] {
        for surface in surfaces(&endpoint, |options| options.api_key(EVALUATION_KEY)).await {
            let place = format!("{} at {endpoint}", surface.name);
            for flag in ["my flag!", "team:x", "é"] {
                let seen = surface
                    .ask(flag, Asked::Text("default"), &User::john())
                    .await;
                assert_eq!(
                    (seen.outcome(), seen.value.as_str()),
                    ("ok", Some("found")),
                    "{place}: {}",
                    seen.message
                );
            }
            let seen = surface
                .ask("no-such-flag", Asked::Text("default"), &User::john())
                .await;
            assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{place}");
            let all = surface
                .goff
                .evaluate_all(&User::john().native())
                .await
                .unwrap();
            assert!(all["static_key"].error().is_none(), "{place}");
        }
    }
}

/// C7 of the Python provider: only an answer that says so means that a flag does not exist.
#[tokio::test]
async fn a_wrong_prefix_is_a_wrong_endpoint_and_not_a_missing_flag() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    let beside_the_prefix = proxy.endpoint().replace("/team/flags", "/team/other");
    let below_the_relay_proxy = format!("{}/v9", relay.endpoint());
    for endpoint in [beside_the_prefix, below_the_relay_proxy] {
        for surface in surfaces(&endpoint, plain).await {
            let place = format!("{} at {endpoint}", surface.name);
            let seen = surface
                .ask("static_key", Asked::Text("default"), &User::john())
                .await;
            assert_eq!(seen.outcome(), "GENERAL", "{place}");
            assert!(seen.message.contains("404"), "{place}: {}", seen.message);
            let error = surface
                .goff
                .evaluate_all(&User::john().native())
                .await
                .unwrap_err();
            assert!(error.to_string().contains("404"), "{place}: {error}");
        }
    }
}
