//! Scenario 14: a wrong path prefix.

use goff_tests_integration::{Instance, StrippingProxy, relay};

use crate::surfaces::{User, plain, remote_surfaces};

/// In process: [`crate::started_relay::in_process_starting`].
/// docs/python-parity.md C7: only an answer that says so means that a flag does not exist.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_wrong_prefix_is_a_wrong_endpoint_and_not_a_missing_flag() {
    let relay = relay(Instance::Open);
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    let beside_the_prefix = proxy.endpoint().replace("/team/flags", "/team/other");
    let below_the_relay_proxy = format!("{}/v9", relay.endpoint());
    let john = User::john();
    for endpoint in [beside_the_prefix, below_the_relay_proxy] {
        for surface in remote_surfaces(&endpoint, plain).await {
            let place = format!("{surface} at {endpoint}");
            let seen = surface.fails("static_key", &john, "GENERAL").await;
            assert!(seen.message.contains("404"), "{place}: {seen:?}");
            let error = surface.evaluate_all(&john).await.unwrap_err();
            assert!(error.to_string().contains("404"), "{place}: {error}");
        }
    }
}
