//! The status of remote evaluation, from requests and from the change stream.

use std::time::Instant;

use goff_client::{ClientError, ClientEvent, State, StreamState};
use goff_testkit::{Answer, EmbeddedRelay, FaultyServer};

use super::*;

fn options(url: String) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new(url)
        .reconnect_interval(millis(200))
        .timeout(secs(2))
}

/// Refused, unknown host, no answer, and no TLS: Error until the relay proxy is there, with an error that
/// has an age and goes with the recovery.
#[tokio::test]
async fn listener_that_never_reached_the_relay_proxy_is_an_error() {
    let silent = FaultyServer::start([]).await.unwrap();
    #[cfg(feature = "tls-bundled-roots")]
    let plain = FaultyServer::start([Answer::new(400, "").on_connect().then_close()])
        .await
        .unwrap();
    for url in [
        FaultyServer::refusing_url().await.unwrap(),
        "http://host.invalid:1031".to_owned(),
        silent.url(),
        #[cfg(feature = "tls-bundled-roots")]
        plain.url().replace("http://", "https://"),
    ] {
        let goff = GoFeatureFlag::new(options(url.clone()).timeout(millis(300))).unwrap();
        let mut events = goff.subscribe();
        goff.initialize().await.unwrap();
        assert_eq!(events.next().await, Some(ClientEvent::Ready), "{url}");
        let Some(ClientEvent::Error(ClientError::Stream(_))) = events.next().await else {
            panic!("no error: {url}");
        };
        until(async || goff.status().state == State::Error).await;
        let status = goff.status();
        assert!(
            status.last_error.is_some() && status.last_error_age.is_some(),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn relay_proxy_that_starts_later_is_ready() {
    let url = FaultyServer::refusing_url().await.unwrap();
    let address: std::net::SocketAddr = url.trim_start_matches("http://").parse().unwrap();
    let goff = connect(options(url)).await;
    until(async || goff.status().state == State::Error).await;
    assert!(!goff.wait_until_ready(millis(10)).await);
    let mut events = goff.subscribe();
    let _relay = EmbeddedRelay::builder().listen_at(address).start().unwrap();
    assert_eq!(events.next().await, Some(ClientEvent::Ready));
    until(async || goff.stats().stream == StreamState::Open).await;
    until(async || goff.status().last_error.is_none()).await;
    assert_eq!(
        (goff.status().state, goff.status().last_error_age),
        (State::Ready, None)
    );
}

/// The cache's time limit is also how long a lost stream leaves the answers current.
#[tokio::test]
async fn stream_that_is_down_for_cache_ttl_is_stale_until_it_is_open_again() {
    let relay = EmbeddedRelay::builder().start().unwrap();
    let ttl = millis(300);
    let goff = connect(options(relay.endpoint()).cache_ttl(ttl)).await;
    until(async || goff.stats().stream == StreamState::Open).await;
    let mut events = goff.subscribe();
    relay.stop().unwrap();
    let Some(ClientEvent::Error(ClientError::Stream(_))) = events.next().await else {
        panic!("no error");
    };
    let lost = Instant::now();
    assert_eq!(events.next().await, Some(ClientEvent::Stale));
    // The event of the loss may be noticed late.
    assert!(lost.elapsed() >= ttl / 2, "{:?}", lost.elapsed());
    assert_eq!(goff.status().state, State::Stale);
    relay.start().unwrap();
    assert_eq!(events.next().await, Some(ClientEvent::Ready));
    assert_eq!(goff.status().last_error, None);
}

/// A gateway without WebSocket, and a refused key: Ready, and the statistics say it.
#[tokio::test]
async fn handshake_with_another_status_is_ready() {
    for status in [200, 400, 401, 404, 426, 501, 502] {
        let server = FaultyServer::start([Answer::new(status, "{}")])
            .await
            .unwrap();
        let goff = connect(options(server.url())).await;
        let mut events = goff.subscribe();
        until(async || goff.stats().stream == StreamState::Refused).await;
        server.wait_for_requests(4).await;
        assert_eq!(goff.status().state, State::Ready, "{status}");
        let text = serde_json::to_value(goff.stats()).unwrap();
        assert_eq!(text["stream"], "Refused");
        goff.shutdown(TIMEOUT).await;
        assert_eq!(events.next().await, Some(ClientEvent::Closed), "{status}");
    }
}

/// Without a stream that works, a request that is answered is enough.
#[tokio::test]
async fn answered_request_makes_ready_without_a_stream() {
    let server = FaultyServer::start([Answer::raw("nonsense").then_close()])
        .await
        .unwrap();
    let goff = connect(options(server.url())).await;
    until(async || goff.status().state == State::Error).await;
    server.push(Answer::new(200, r#"{"value":true,"reason":"STATIC"}"#));
    until(async || goff.status().state == State::Ready).await;
}
