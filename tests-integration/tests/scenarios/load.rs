//! Many evaluations at once over one client, and an answer for each asker.

use std::sync::Arc;

use goff_tests_integration::{Instance, relay};
use tokio::task::JoinSet;

use crate::surfaces::{Asked, User, plain, surfaces};

/// GOFF-LIFE-007.
#[tokio::test]
async fn two_hundred_at_once_each_get_their_own_answer() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let surface = Arc::new(surface);
        let mut asking = JoinSet::new();
        for number in 0..200 {
            let surface = Arc::clone(&surface);
            asking.spawn(async move {
                let anonymous = number % 2 == 0;
                let user = User::new(format!("load-{number}")).with("anonymous", anonymous);
                let seen = surface
                    .ask("named_rule_key", Asked::Text("default"), &user)
                    .await;
                (seen, if anonymous { "b" } else { "a" })
            });
        }
        while let Some(answer) = asking.join_next().await {
            let (seen, value) = answer.unwrap();
            assert_eq!(
                (seen.outcome(), seen.value.as_str()),
                ("ok", Some(value)),
                "{}: {}",
                surface.name,
                seen.message
            );
        }
    }
}
