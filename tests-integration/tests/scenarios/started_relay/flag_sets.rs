//! Scenario 9: the API key selects the flag set.

use goff_tests_integration::{Instance, KEY_WITHOUT_FLAG_SET, TEAM_A_KEY, TEAM_B_KEY, relay};

use crate::surfaces::{Options, User, plain, remote_surfaces, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_has_a_value_in_each_set_and_each_set_its_own_flags() {
    let (relay, user) = (relay(Instance::FlagSets), User::john());
    for (key, value, own, foreign) in [
        (TEAM_A_KEY, "from team a", "only_in_a", "only_in_b"),
        (TEAM_B_KEY, "from team b", "only_in_b", "only_in_a"),
    ] {
        let with_key = |options: Options| options.api_key(key);
        for surface in surfaces(relay.endpoint(), with_key).await {
            surface.serves("shared_key", &user, value).await;
            surface.expect(own, false, &user, true).await;
            let code = "FLAG_NOT_FOUND";
            surface.expect_error(foreign, false, &user, code).await;
            let all = surface.evaluate_all(&user).await.unwrap();
            let keys: Vec<_> = all.keys().map(String::as_str).collect();
            assert_eq!(keys, [own, "shared_key"], "{surface}: {key}");
        }
    }
}

/// In process: [`super::in_process_starting`].
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_key_without_a_set_is_no_error_of_the_context() {
    let (relay, user) = (relay(Instance::FlagSets), User::john());
    let with_key = |options: Options| options.api_key(KEY_WITHOUT_FLAG_SET);
    for surface in remote_surfaces(relay.endpoint(), with_key).await {
        let seen = surface.fails("shared_key", &user, "GENERAL").await;
        assert!(seen.message.contains("flagset not found"), "{seen:?}");
        let error = surface.evaluate_all(&user).await.unwrap_err().to_string();
        assert!(error.contains("flagset not found"), "{surface}: {error}");
    }
}

/// In process: [`super::in_process_starting`].
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn without_a_key_no_set_is_served() {
    let relay = relay(Instance::FlagSets);
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let seen = surface.fails("shared_key", &User::john(), "GENERAL").await;
        assert!(seen.message.contains("401"), "{surface}: {seen:?}");
    }
}
