//! Scenario 8, without the stream: API keys.

use goff_provider::GoFeatureFlagOptions;
use goff_tests_integration::{
    EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, relay, relay_under_control,
};

use crate::surfaces::{Asked, User, plain, remote_surfaces, surfaces};

/// GOFF-AUTH-001.
#[tokio::test]
async fn a_key_of_the_relay_proxy_is_accepted() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    for key in [EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE] {
        let with_key = |options: GoFeatureFlagOptions| options.api_key(key);
        for surface in surfaces(relay.endpoint(), with_key).await {
            let seen = surface
                .ask("string_key", Asked::Text("default"), &User::john())
                .await;
            assert_eq!(
                (seen.outcome(), seen.value.as_str()),
                ("ok", Some("CC0000")),
                "{}: {key}",
                surface.name
            );
            let all = surface.ask_all(&User::john()).await.unwrap();
            assert!(
                all["string_key"].error().is_none(),
                "{}: {key}",
                surface.name
            );
        }
    }
}

/// Whoever evaluates in process cannot even start so, see [`crate::in_process_starting`].
/// GOFF-ERR-004.
#[tokio::test]
async fn without_a_key_or_with_a_wrong_one_every_request_is_refused() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    // An empty key is none: sent as `Bearer ` it would be refused where no key is needed, too.
    for key in [None, Some(""), Some("wrong-key-0815")] {
        let with_key = |options: GoFeatureFlagOptions| match key {
            Some(key) => options.api_key(key),
            None => options,
        };
        for surface in remote_surfaces(relay.endpoint(), with_key).await {
            let place = format!("{}: {key:?}", surface.name);
            let seen = surface
                .ask("string_key", Asked::Text("default"), &User::john())
                .await;
            assert_eq!(seen.outcome(), "GENERAL", "{place}");
            assert_eq!(seen.value, "default", "{place}");
            assert!(seen.message.contains("401"), "{place}: {}", seen.message);
            assert!(
                !seen.message.contains("wrong-key"),
                "{place}: {}",
                seen.message
            );
            let error = surface.ask_all(&User::john()).await.unwrap_err();
            assert!(error.to_string().contains("401"), "{place}: {error}");
        }
    }
}

/// GOFF-AUTH-003.
#[tokio::test]
async fn an_empty_key_is_no_key_where_none_is_needed() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), |options| options.api_key("")).await {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    }
}

/// GOFF-AUTH-004.
#[tokio::test]
async fn a_custom_header_can_carry_the_key_and_the_option_wins_over_it() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    let in_header =
        |options: GoFeatureFlagOptions| options.custom_header("x-api-key", EVALUATION_KEY);
    for surface in surfaces(relay.endpoint(), in_header).await {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    }
    // The relay proxy would look at `X-API-Key` alone.
    let in_both = |options: GoFeatureFlagOptions| {
        options
            .custom_header("x-api-key", "wrong")
            .api_key(EVALUATION_KEY)
    };
    for surface in surfaces(relay.endpoint(), in_both).await {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    }
    let wrong = |options: GoFeatureFlagOptions| options.custom_header("x-api-key", "wrong");
    for surface in remote_surfaces(relay.endpoint(), wrong).await {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert!(
            seen.message.contains("401"),
            "{}: {}",
            surface.name,
            seen.message
        );
    }
}

#[tokio::test]
async fn two_clients_with_different_keys_and_endpoints_share_nothing() {
    let Some(open) = relay_under_control(Instance::Open) else {
        return;
    };
    let Some(authenticated) = relay_under_control(Instance::Authenticated) else {
        return;
    };
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
        let user = User::of(one, "two clients");
        let (seen, seen_by_other) = tokio::join!(
            one.ask("static_key", Asked::Text("default"), &user),
            other.ask("static_key", Asked::Text("default"), &user),
        );
        assert_eq!(
            (seen.outcome(), seen_by_other.outcome()),
            ("ok", "ok"),
            "{}",
            one.name
        );
        for (surface, relay, name) in [(one, open, "one"), (other, authenticated, "other")] {
            let events = surface.events(relay, &user, 1).await;
            assert_eq!(events.len(), 1, "{}", one.name);
            assert_eq!(events[0]["metadata"]["client"], name, "{}", one.name);
        }
    }
}

/// The relay proxy asks for no key, so a wrong one does no harm.
#[tokio::test]
async fn an_open_relay_proxy_ignores_a_key() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), |options| {
        plain(options).api_key("anything")
    })
    .await
    {
        let seen = surface
            .ask("string_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    }
}
