//! The option `proxy`, with embedded relay proxies behind an HTTP proxy.

use goff_client::{EvaluationType, ProxyOptions, StreamState, TlsOptions};
use goff_testkit::{ConnectProxy, EmbeddedRelay};

use super::*;

fn flag(value: i64) -> String {
    format!("flag: {{variations: {{on: {value}}}, defaultRule: {{variation: on}}}}")
}

fn relay() -> EmbeddedRelay {
    EmbeddedRelay::builder().flags(flag(7)).start().unwrap()
}

#[tokio::test]
async fn everything_goes_through_the_proxy_in_both_modes() {
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let (relay, collector) = (relay(), relay());
        let proxy = ConnectProxy::start_with_credentials("flags", "s3cret").await;
        let proxy = proxy.unwrap();
        let through = ProxyOptions::new(proxy.url()).credentials("flags", "s3cret");
        let options = GoFeatureFlagOptions::new(relay.endpoint())
            .evaluation_type(mode)
            .data_collector_base_url(collector.endpoint())
            .proxy(through);
        assert!(!format!("{options:?}").contains("s3cret"));
        let goff = connect(options).await;
        assert!(!format!("{goff:?}").contains("s3cret"));
        until(async || goff.stats().stream == StreamState::Open).await;
        for _ in 0..2 {
            assert_eq!(evaluate(&goff, 0_i64).await.value, 7, "{mode:?}");
        }
        // Only the stream reveals this change before a minute has passed.
        relay.set_flags(&flag(8)).unwrap();
        until(async || evaluate(&goff, 0_i64).await.value == 8).await;
        let report = goff.shutdown(secs(10)).await;
        assert!(report.delivered > 0, "{report:?}");
        assert!(!collector.feature_events().is_empty());

        let tunnels = proxy.tunnels();
        let to = |relay: &EmbeddedRelay| {
            let target = relay.socket_address().unwrap().to_string();
            tunnels.iter().filter(|tunnel| **tunnel == target).count()
        };
        assert!(to(&relay) >= 2 && to(&collector) >= 1, "{tunnels:?}");
        drop(goff);
        proxy.wait_for_open_tunnels(0).await;
        assert_eq!(proxy.unauthorized(), 0);
    }
}

/// A proxy that refuses has no way around it.
#[tokio::test]
async fn without_a_tunnel_there_is_no_answer() {
    let (relay, proxy) = (
        relay(),
        ConnectProxy::start_with_credentials("flags", "s3cret"),
    );
    let proxy = proxy.await.unwrap();
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let wrong = ProxyOptions::new(proxy.url()).credentials("flags", "wrong-s3cret");
        let options = GoFeatureFlagOptions::new(relay.endpoint());
        let goff = connect(options.evaluation_type(mode).proxy(wrong)).await;
        let details = evaluate(&goff, 0_i64).await;
        assert_eq!(details.value, 0);
        let (error, status) = (details.error().unwrap(), goff.status());
        let shown = format!("{error} {error:?} {status:?}");
        let expected = format!("the proxy {} refused the credentials", proxy.url());
        assert!(shown.contains(&expected), "{mode:?}: {shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert_eq!(proxy.tunnels(), Vec::<String>::new());
}

/// GOFF-CFG-009.
#[test]
fn options_of_the_connector_need_one() {
    let proxy = || ProxyOptions::new("http://proxy");
    let (endpoint, socket) = ("http://localhost", "unix:///run/relay.sock");
    let new = GoFeatureFlagOptions::new;
    let double = || options(&ScriptedRelay::new());
    let collector = |url: &str| new(endpoint).data_collector_base_url(url);
    for (option, reason, options) in [
        ("proxy", "`with_relay_client`", double().proxy(proxy())),
        (
            "tls",
            "`with_relay_client`",
            double().tls(TlsOptions::new()),
        ),
        ("proxy", "Unix socket", new(socket).proxy(proxy())),
        (
            "proxy",
            "user information",
            new(endpoint).proxy(ProxyOptions::new("http://u:p@h")),
        ),
        (
            "data_collector_base_url",
            "Unix socket",
            collector(socket).proxy(proxy()),
        ),
    ] {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.option(), option, "{error}");
        assert!(error.reason().contains(reason), "{error}");
    }
}
