//! A relay proxy behind an HTTP proxy.

use goff_provider::ProxyOptions;
use goff_testkit::{ConnectProxy, ProxyFault};
use goff_tests_integration::{EVALUATION_KEY, Instance, own_relay};

use super::changes_and_usage::changes_and_usage_data_arrive;
use crate::surfaces::{Options, User, remote_surfaces, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_http_proxy_carries_evaluations_changes_and_usage_data() {
    let relay = own_relay(Instance::Authenticated);
    let proxy = ConnectProxy::start_with_credentials("flags", "s3cret");
    let proxy = proxy.await.unwrap();
    let through = |options: Options| {
        let proxy = ProxyOptions::new(proxy.url()).credentials("flags", "s3cret");
        options.api_key(EVALUATION_KEY).proxy(proxy)
    };
    let surfaces = surfaces(relay.endpoint(), through).await;
    changes_and_usage_data_arrive(&relay, &surfaces, "team:x").await;
    let tunnels = proxy.tunnels();
    // One for requests and one for the stream of each client.
    assert!(tunnels.len() >= 2 * surfaces.len(), "{tunnels:?}");
    let target = relay.port().to_string();
    assert!(
        tunnels.iter().all(|tunnel| *tunnel == target),
        "{tunnels:?}"
    );
    assert_eq!(proxy.unauthorized(), 0);
    for surface in surfaces {
        surface
            .goff
            .shutdown(std::time::Duration::from_secs(5))
            .await;
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_http_proxy_that_refuses_is_named_and_used_again_once_it_does_not() {
    let relay = own_relay(Instance::Open);
    let proxy = ConnectProxy::start().await.unwrap();
    let through = |options: Options| {
        let options = options.disable_cache(true).disable_cache_invalidation(true);
        options.proxy(ProxyOptions::new(proxy.url()))
    };
    for surface in remote_surfaces(relay.endpoint(), through).await {
        for fault in [ProxyFault::Status(503), ProxyFault::Garbage] {
            proxy.set_fault(fault);
            let seen = surface.fails("string_key", &User::john(), "GENERAL").await;
            let named = format!("the proxy {}", proxy.url());
            assert!(seen.message.contains(&named), "{surface}: {seen:?}");
        }
        proxy.set_fault(None);
        surface.serves("string_key", &User::john(), "CC0000").await;
    }
}
