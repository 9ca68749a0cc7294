//! Many concurrent evaluations over one client, each with its answer.

use std::sync::Arc;

use goff_tests_integration::{Instance, relay};
use tokio::task::JoinSet;

use crate::surfaces::{User, plain, surfaces};

/// GOFF-LIFE-007.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn two_hundred_concurrent_evaluations_each_get_their_answer() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        let surface = Arc::new(surface);
        let mut evaluations = JoinSet::new();
        for number in 0..200 {
            let surface = Arc::clone(&surface);
            evaluations.spawn(async move {
                let anonymous = number % 2 == 0;
                let user = User::new(format!("load-{number}")).with("anonymous", anonymous);
                let seen = surface.evaluate("named_rule_key", "default", &user).await;
                (seen, if anonymous { "b" } else { "a" })
            });
        }
        while let Some(answer) = evaluations.join_next().await {
            let (seen, value) = answer.unwrap();
            let answer = (seen.outcome(), seen.value.as_str());
            assert_eq!(answer, ("ok", Some(value)), "{surface}: {seen:?}");
        }
    }
}
