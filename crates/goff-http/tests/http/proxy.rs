//! Requests through an HTTP proxy.

use std::time::{Duration, Instant};

use goff_core::{Origin, RelayError};
use goff_http::{HttpRelayClient, HttpRelayClientOptions, ProxyOptions};
use goff_testkit::{Answer, ConnectProxy, FaultyServer, ProxyFault};

use crate::fixture::*;

const USER: &str = "flags";
const PASSWORD: &str = "pa55:word";
const ENCODED: &str = "ZmxhZ3M6cGE1NTp3b3Jk";

async fn proxy() -> ConnectProxy {
    ConnectProxy::start_with_credentials(USER, PASSWORD)
        .await
        .unwrap()
}

fn credentials(url: &str) -> ProxyOptions {
    ProxyOptions::new(url).credentials(USER, PASSWORD)
}

fn through(proxy: ProxyOptions, url: &str) -> HttpRelayClientOptions {
    options(url).timeout(Duration::from_secs(20)).proxy(proxy)
}

/// Whether the page for operators has a row for an error.
fn is_documented(text: &str, url: &str, target: &str) -> bool {
    let page = include_str!("../../../../docs/operating/networks.md");
    let text = text
        .replace(url, "http://proxy.example:3128")
        .replace(target, "relay.example:443")
        .replace("within 3000 ms", "within 7500 ms")
        .replace("status 302", "status 403");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let shown = rows
        .filter_map(|row| row.split_once("` |"))
        .map(|(error, _)| error);
    let mut errors = shown.map(|error| error.trim_start_matches("… ").trim_end_matches('…'));
    errors.any(|error| error.contains(' ') && text.contains(error))
}

/// The text of the error, which is documented, names the proxy and shows no secret.
async fn refused(client: &HttpRelayClient, url: &str, endpoint: &str) -> String {
    let error = evaluate(client).await.unwrap_err();
    assert_matches!(error, RelayError::NotConnected(_));
    assert_eq!(error.origin(), Origin::NotEvaluated);
    let (text, target) = (error.to_string(), endpoint.split_once("://").unwrap().1);
    assert!(text.contains(&format!("the proxy {url} ")), "{text}");
    assert!(is_documented(&text, url, target), "{text}");
    for shown in [text.clone(), format!("{error:?} {client:?}")] {
        assert!(
            !shown.contains("pa55") && !shown.contains(ENCODED),
            "{shown}"
        );
    }
    text
}

#[tokio::test]
async fn requests_share_a_tunnel_and_credentials_stay_with_the_proxy() {
    let (proxy, server) = (proxy().await, server([Answer::new(200, STATIC)]).await);
    let client = client(through(credentials(&proxy.url()), &server.url()));
    for _ in 0..3 {
        evaluate(&client).await.unwrap();
    }
    assert_eq!(proxy.tunnels(), [server.address().to_string()]);
    assert_eq!(server.connections(), 1);
    for request in server.requests() {
        assert_eq!(request.path, "/v1/feature/flag/eval");
        assert_eq!(request.header("proxy-authorization"), None);
        let host = server.address().to_string();
        assert_eq!(request.header("host"), Some(&*host));
    }
    drop(client);
    proxy.wait_for_open_tunnels(0).await;
}

#[tokio::test]
async fn refusals_say_what_to_do_and_the_next_request_tries_again() {
    let (proxy, server) = (proxy().await, server([Answer::new(200, STATIC)]).await);
    let (url, with) = (proxy.url(), credentials(&proxy.url()));
    let wrong = ProxyOptions::new(&url).credentials(USER, "wrong-pa55word");
    for (options, part) in [
        (ProxyOptions::new(&url), "requires credentials"),
        (wrong, "refused the credentials"),
    ] {
        let client = client(through(options, &server.url()));
        let text = refused(&client, &url, &server.url()).await;
        assert!(text.contains(part) && text.contains("407"), "{text}");
    }
    assert_eq!(proxy.unauthorized(), 2);

    let client = client(through(with, &server.url()));
    let began = Instant::now();
    for (fault, part) in [
        (ProxyFault::Status(403), "status 403"),
        (ProxyFault::Status(502), "status 502"),
        (ProxyFault::Status(302), "status 302"),
        (ProxyFault::Garbage, "no valid answer"),
        (ProxyFault::EndlessHead, "head is too large"),
        (ProxyFault::Close, "no valid answer"),
        (ProxyFault::Chatter, "before the tunnel was used"),
    ] {
        proxy.set_fault(fault);
        let text = refused(&client, &url, &server.url()).await;
        assert!(text.contains(part), "{fault:?}: {text}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "a refusal waits");
    assert_eq!(server.requests().len(), 0);
    proxy.set_fault(None);
    evaluate(&client).await.unwrap();
}

#[tokio::test]
async fn silent_proxy_is_reported_before_the_request_times_out() {
    let (proxy, server) = (proxy().await, server([]).await);
    proxy.set_fault(ProxyFault::Silence);
    let options = through(credentials(&proxy.url()), &server.url());
    let client = client(options.timeout(Duration::from_secs(4)));
    let text = refused(&client, &proxy.url(), &server.url()).await;
    assert!(text.contains("within 3000 ms"), "{text}");
}

#[tokio::test]
async fn proxy_that_is_down_is_named() {
    let url = FaultyServer::refusing_url().await.unwrap();
    let client = client(through(credentials(&url), "http://relay.example"));
    let text = refused(&client, &url, "http://relay.example").await;
    assert!(
        text.contains("cannot be reached") && text.contains("refused"),
        "{text}"
    );
}

/// The proxy resolves the name of the endpoint, and reports that it cannot reach it.
#[tokio::test]
async fn endpoint_that_the_proxy_does_not_reach_is_named() {
    let proxy = proxy().await;
    proxy.set_fault(ProxyFault::Status(502));
    let unknown = client(through(credentials(&proxy.url()), "http://relay.invalid"));
    let text = refused(&unknown, &proxy.url(), "http://relay.invalid:80").await;
    assert!(text.contains("no tunnel to relay.invalid:80"), "{text}");
    proxy.set_fault(None);
    let endpoint = FaultyServer::refusing_url().await.unwrap();
    let client = client(through(credentials(&proxy.url()), &endpoint));
    let text = refused(&client, &proxy.url(), &endpoint).await;
    let target = endpoint.strip_prefix("http://").unwrap();
    assert!(
        text.contains(&format!("no tunnel to {target}: status 502")),
        "{text}"
    );
}

#[cfg(all(unix, feature = "unix"))]
#[test]
fn unix_socket_takes_no_proxy() {
    let options = through(credentials("http://proxy"), "unix:///run/relay.sock");
    let error = HttpRelayClient::new(options).unwrap_err();
    assert_eq!(error.option(), "proxy");
    assert!(error.reason().contains("Unix socket"), "{error}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_proxy_without_the_feature_names_it() {
    let options = through(credentials("https://proxy"), "http://relay");
    let error = HttpRelayClient::new(options).unwrap_err();
    assert!(error.reason().contains("feature `tls`"), "{error}");
}

#[cfg(feature = "tls-ring")]
mod tls {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::tls::{Gateway, authority, server_config, terminate_tls, trusting};

    #[tokio::test]
    async fn https_endpoint_is_reached_through_http_and_https_proxies() {
        let (authority, proxy_authority) = (authority(), authority());
        let gateway = Gateway::at_localhost(&authority).await;
        let proxy = proxy().await;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = server_config(provider, "localhost", &proxy_authority, None);
        let mut tasks = JoinSet::new();
        let https_url = terminate_tls(config, proxy.address(), &mut tasks).await;
        let trusted = credentials(&https_url).tls(trusting(&proxy_authority));
        for proxy in [credentials(&proxy.url()), trusted] {
            let options = through(proxy, &gateway.url).tls(trusting(&authority));
            evaluate(&client(options)).await.unwrap();
        }
        let target = gateway.url.strip_prefix("https://").unwrap();
        assert_eq!(proxy.tunnels(), [target, target]);
        assert_eq!(gateway.server.requests().len(), 2);

        let untrusted = credentials(&https_url).tls(trusting(&authority));
        let options = through(untrusted, &gateway.url).tls(trusting(&authority));
        let text = refused(&client(options), &https_url, &gateway.url).await;
        assert!(
            text.contains("over TLS") && text.contains("certificate"),
            "{text}"
        );
        // The certificate of the endpoint is verified at the other end of the tunnel.
        let options = through(credentials(&proxy.url()), &gateway.url);
        let client = client(options.tls(trusting(&proxy_authority)));
        let error = evaluate(&client).await.unwrap_err();
        assert_matches!(error, RelayError::NotConnected(_));
        assert!(!error.to_string().contains("the proxy"), "{error}");
        assert_eq!(gateway.server.requests().len(), 2);
    }
}
