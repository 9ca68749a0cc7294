//! Scenario 8: API keys, except those of the change stream.

use goff_provider::GoFeatureFlagOptions;
use goff_tests_integration::{EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, relay};

use crate::surfaces::{User, remote_surfaces, surfaces};

/// GOFF-AUTH-001.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_key_of_the_relay_proxy_is_accepted() {
    let relay = relay(Instance::Authenticated);
    for key in [EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE] {
        let with_key = |options: GoFeatureFlagOptions| options.api_key(key);
        for surface in surfaces(relay.endpoint(), with_key).await {
            surface.serves("string_key", &User::john(), "CC0000").await;
            let all = surface.evaluate_all(&User::john()).await.unwrap();
            assert!(all["string_key"].error().is_none(), "{surface}: {key}");
        }
    }
}

/// In process such a client cannot start, see [`super::in_process_starting`].
/// GOFF-ERR-004.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn without_a_key_or_with_a_wrong_one_every_request_is_refused() {
    let relay = relay(Instance::Authenticated);
    // An empty key is no key: as `Bearer ` it would be refused even by a relay proxy that requires none.
    for key in [None, Some(""), Some("wrong-key-0815")] {
        let with_key = |options: GoFeatureFlagOptions| match key {
            Some(key) => options.api_key(key),
            None => options,
        };
        for surface in remote_surfaces(relay.endpoint(), with_key).await {
            let place = format!("{surface}: {key:?}");
            let seen = surface.fails("string_key", &User::john(), "GENERAL").await;
            assert!(seen.message.contains("401"), "{place}: {seen:?}");
            assert!(!seen.message.contains("wrong-key"), "{place}: {seen:?}");
            let error = surface.evaluate_all(&User::john()).await.unwrap_err();
            assert!(error.to_string().contains("401"), "{place}: {error}");
        }
    }
}

/// GOFF-AUTH-004.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_custom_header_can_carry_the_key_and_the_option_overrides_it() {
    let relay = relay(Instance::Authenticated);
    let in_header =
        |options: GoFeatureFlagOptions| options.custom_header("x-api-key", EVALUATION_KEY);
    for surface in surfaces(relay.endpoint(), in_header).await {
        surface.serves("string_key", &User::john(), "CC0000").await;
    }
    // The relay proxy would read `X-API-Key` alone.
    let in_both = |options: GoFeatureFlagOptions| {
        options
            .custom_header("x-api-key", "wrong")
            .api_key(EVALUATION_KEY)
    };
    for surface in surfaces(relay.endpoint(), in_both).await {
        surface.serves("string_key", &User::john(), "CC0000").await;
    }
    let wrong = |options: GoFeatureFlagOptions| options.custom_header("x-api-key", "wrong");
    for surface in remote_surfaces(relay.endpoint(), wrong).await {
        let seen = surface
            .evaluate("string_key", "default", &User::john())
            .await;
        assert!(seen.message.contains("401"), "{surface}: {seen:?}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn two_clients_with_different_keys_and_endpoints_share_nothing() {
    let open = relay(Instance::Open);
    let authenticated = relay(Instance::Authenticated);
    let one = surfaces(open.endpoint(), |options| {
        options.exporter_metadata("client", "one")
    })
    .await;
    let other = surfaces(authenticated.endpoint(), |options| {
        options
            .api_key(EVALUATION_KEY)
            .exporter_metadata("client", "other")
    });
    for (one, other) in one.iter().zip(&other.await) {
        let user = one.user("two clients");
        let (seen, seen_by_other) = tokio::join!(
            one.evaluate("static_key", "default", &user),
            other.evaluate("static_key", "default", &user),
        );
        assert_eq!(
            (seen.outcome(), seen_by_other.outcome()),
            ("ok", "ok"),
            "{one}"
        );
        for (surface, relay, name) in [(one, open, "one"), (other, authenticated, "other")] {
            let events = surface.events(relay, &user, 1).await;
            assert_eq!(events.len(), 1, "{one}");
            assert_eq!(events[0]["metadata"]["client"], name, "{one}");
        }
    }
}
