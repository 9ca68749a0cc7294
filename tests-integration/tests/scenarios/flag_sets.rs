//! Scenario 9: the API key selects the flag set.

use goff_provider::GoFeatureFlagOptions;
use goff_tests_integration::{Instance, KEY_WITHOUT_FLAG_SET, TEAM_A_KEY, TEAM_B_KEY, relay};

use crate::surfaces::{Asked, User, remote_surfaces, surfaces};

#[tokio::test]
async fn one_flag_has_two_values_and_each_set_its_own_flags() {
    let Some(relay) = relay(Instance::FlagSets) else {
        return;
    };
    for (key, value, own, foreign) in [
        (TEAM_A_KEY, "from team a", "only_in_a", "only_in_b"),
        (TEAM_B_KEY, "from team b", "only_in_b", "only_in_a"),
    ] {
        let with_key = |options: GoFeatureFlagOptions| options.api_key(key);
        for surface in surfaces(relay.endpoint(), with_key).await {
            let place = format!("{}: {key}", surface.name);
            let user = User::john();
            let seen = surface
                .ask("shared_key", Asked::Text("default"), &user)
                .await;
            assert_eq!(
                (seen.outcome(), seen.value.as_str()),
                ("ok", Some(value)),
                "{place}"
            );
            let seen = surface.ask(own, Asked::Bool(false), &user).await;
            assert_eq!(
                (seen.outcome(), seen.value.as_bool()),
                ("ok", Some(true)),
                "{place}"
            );
            let seen = surface.ask(foreign, Asked::Bool(false), &user).await;
            assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{place}");
            let all = surface.ask_all(&user).await.unwrap();
            let mut keys: Vec<_> = all.keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(keys, [own, "shared_key"], "{place}");
        }
    }
}

/// In process: [`crate::in_process_starting`].
#[tokio::test]
async fn a_key_without_a_set_is_no_fault_of_the_context() {
    let Some(relay) = relay(Instance::FlagSets) else {
        return;
    };
    let with_key = |options: GoFeatureFlagOptions| options.api_key(KEY_WITHOUT_FLAG_SET);
    for surface in remote_surfaces(relay.endpoint(), with_key).await {
        let seen = surface
            .ask("shared_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        assert!(
            seen.message.contains("flagset not found"),
            "{}: {}",
            surface.name,
            seen.message
        );
        let error = surface.ask_all(&User::john()).await.unwrap_err();
        assert!(
            error.to_string().contains("flagset not found"),
            "{}: {error}",
            surface.name
        );
    }
}

/// In process: [`crate::in_process_starting`].
#[tokio::test]
async fn without_a_key_no_set_is_served() {
    let Some(relay) = relay(Instance::FlagSets) else {
        return;
    };
    for surface in remote_surfaces(relay.endpoint(), |options| options).await {
        let seen = surface
            .ask("shared_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "GENERAL", "{}", surface.name);
        assert!(
            seen.message.contains("401"),
            "{}: {}",
            surface.name,
            seen.message
        );
    }
}
