//! Scenario 1: flag keys reach the relay proxy whether or not a URL must escape them.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{User, in_process_surfaces, plain, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn every_key_that_a_url_can_hold_is_found() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let user = surface.user("keys");
        let with_spaces = ["my flag", "my flag!", "日本 語"];
        let keys = r#"my-flag_v1.2~x team:x a+b flag! é a%b a?b a#b a'b a(b)* a$b&c,d;e=f@g a%2Fb|[c]"d\e"#;
        for key in keys.split(' ').chain(with_spaces) {
            let seen = surface.serves(key, &user, "found").await;
            assert_eq!(seen.variant.as_deref(), Some("found"), "`{key}`: {seen:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn in_process_every_key_is_found() {
    for surface in in_process_surfaces(relay(Instance::Open).endpoint(), plain).await {
        let john = User::john();
        for key in ["a/b", "", ".", "..", "../static_key"] {
            surface.serves(key, &john, "found").await;
        }
        surface.fails("/static_key", &john, "FLAG_NOT_FOUND").await;
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_bulk_evaluation_has_keys_with_a_slash() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let all = surface.evaluate_all(&surface.user("slash")).await.unwrap();
        assert_eq!(all["a/b"].value, "found", "{surface}");
    }
}
