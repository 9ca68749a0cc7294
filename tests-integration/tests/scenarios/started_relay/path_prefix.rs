//! Scenario 14: an endpoint below a path prefix, behind a gateway that strips it (docs/python-parity.md A.6, row 33).

use goff_tests_integration::{EVALUATION_KEY, Instance, StrippingProxy, own_relay, relay};

use super::changes_and_usage::changes_and_usage_data_arrive;
use crate::surfaces::{User, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_prefix_is_kept_with_or_without_a_final_slash() {
    let proxy = StrippingProxy::start(relay(Instance::Authenticated), "/team/flags");
    let proxy = proxy.await.unwrap();
    let john = User::john();
    for end in ["", "/"] {
        let endpoint = format!("{}{end}", proxy.endpoint());
        for surface in surfaces(&endpoint, |options| options.api_key(EVALUATION_KEY)).await {
            for flag in ["my flag!", "team:x", "é"] {
                surface.serves(flag, &john, "found").await;
            }
            let unknown = "no-such-flag";
            surface.fails(unknown, &john, "FLAG_NOT_FOUND").await;
            let all = surface.evaluate_all(&john).await.unwrap();
            let error = all["static_key"].error();
            assert!(error.is_none(), "{surface} at {endpoint}");
        }
    }
}

/// The change stream and the data collector are below the prefix too.
/// GOFF-COLL-001, GOFF-IP-003.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn changes_and_usage_data_pass_below_the_prefix() {
    let relay = own_relay(Instance::Authenticated);
    let proxy = StrippingProxy::start(&relay, "/team/flags").await.unwrap();
    let surfaces = surfaces(proxy.endpoint(), |options| options.api_key(EVALUATION_KEY)).await;
    changes_and_usage_data_arrive(&relay, &surfaces, "my flag!").await;
}
