//! Scenario 8: API keys, except those of the change stream.

use goff_tests_integration::{
    EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, StrippingProxy, own_relay, relay,
};

use super::changes_and_usage::changes_and_usage_data_arrive;
use crate::following::stream_opens;
use crate::surfaces::{Options, User, remote_surfaces, surfaces};

/// GOFF-AUTH-001.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_key_of_the_relay_proxy_is_accepted() {
    let relay = relay(Instance::Authenticated);
    for key in [EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE] {
        let with_key = |options: Options| options.api_key(key);
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
        let with_key = |options: Options| match key {
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
    let in_header = |options: Options| options.custom_header("x-api-key", EVALUATION_KEY);
    let mut accepted = surfaces(relay.endpoint(), in_header).await;
    let wrong = |options: Options| options.custom_header("x-api-key", "wrong");
    // The relay proxy would read `X-API-Key` alone.
    let in_both = |options: Options| wrong(options).api_key(EVALUATION_KEY);
    accepted.extend(surfaces(relay.endpoint(), in_both).await);
    for surface in accepted {
        surface.serves("string_key", &User::john(), "CC0000").await;
    }
    for surface in remote_surfaces(relay.endpoint(), wrong).await {
        let seen = surface.fails("string_key", &User::john(), "GENERAL").await;
        assert!(seen.message.contains("401"), "{surface}: {seen:?}");
    }
}

/// A gateway has its own credentials in `Authorization`, and the relay proxy behind it wants its
/// key: evaluations, configuration, usage data and the change stream pass both.
/// GOFF-AUTH-004.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn credentials_of_a_gateway_stand_beside_the_key() {
    const BASIC: &str = "Basic Z2F0ZXdheTpwYXNz";
    let relay = own_relay(Instance::Authenticated);
    let gateway = StrippingProxy::requiring(&relay, "/team/flags", BASIC);
    let gateway = gateway.await.unwrap();
    let basic = |options: Options| options.custom_header("Authorization", BASIC);
    let in_header = |options| basic(options).custom_header("X-API-Key", EVALUATION_KEY);
    for surface in surfaces(gateway.endpoint(), in_header).await {
        surface.serves("string_key", &User::john(), "CC0000").await;
        stream_opens(&surface.goff, 0).await;
    }
    let in_option = |options| basic(options).api_key(EVALUATION_KEY);
    let passing = surfaces(gateway.endpoint(), in_option).await;
    changes_and_usage_data_arrive(&relay, &passing, "my flag!").await;
    // Each alone is refused: by the gateway, and by the relay proxy.
    let key = |options: Options| options.api_key(EVALUATION_KEY);
    let mut refused = remote_surfaces(gateway.endpoint(), key).await;
    refused.extend(remote_surfaces(gateway.endpoint(), basic).await);
    for surface in refused {
        let seen = surface.fails("string_key", &User::john(), "GENERAL").await;
        assert!(seen.message.contains("401"), "{surface}: {seen:?}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn two_clients_with_different_keys_and_endpoints_share_nothing() {
    let open = relay(Instance::Open);
    let authenticated = relay(Instance::Authenticated);
    let named_one = |options: Options| options.exporter_metadata("client", "one");
    let named_other = |options: Options| options.exporter_metadata("client", "other");
    let one = surfaces(open.endpoint(), named_one).await;
    let other = surfaces(authenticated.endpoint(), |options| {
        named_other(options.api_key(EVALUATION_KEY))
    });
    for (one, other) in one.iter().zip(&other.await) {
        let user = one.user("two clients");
        tokio::join!(
            one.serves("static_key", &user, "a"),
            other.serves("static_key", &user, "a"),
        );
        for (surface, relay, name) in [(one, open, "one"), (other, authenticated, "other")] {
            let events = surface.events(relay, &user, 1).await;
            assert_eq!(events.len(), 1, "{one}");
            assert_eq!(events[0]["metadata"]["client"], name, "{one}");
        }
    }
}
