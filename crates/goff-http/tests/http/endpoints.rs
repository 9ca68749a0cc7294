//! Endpoints by scheme: what a build without a feature says, and Unix sockets.

#[cfg(all(unix, feature = "unix"))]
use goff_core::{RelayClient, RelayError};
use goff_http::TlsOptions;

use crate::*;

/// What keeps a client of this endpoint from being built.
#[cfg(not(all(feature = "tls", feature = "unix")))]
fn refused(url: &str) -> String {
    let error = builder(url).build().unwrap_err();
    assert_eq!(error.option, "endpoint");
    error.to_string()
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_names_it() {
    let message = refused("https://relay.example");
    assert!(message.contains("feature `tls`"), "{message}");
}

#[cfg(not(feature = "unix"))]
#[test]
fn unix_socket_without_the_feature_names_it() {
    let message = refused("unix:///run/relay.sock");
    assert!(message.contains("feature `unix`"), "{message}");
}

/// TLS options that nothing can use are no error for an endpoint without TLS.
#[test]
fn tls_options_do_not_matter_to_plain_endpoints() {
    let tls = TlsOptions::new().certificate_authority("no PEM");
    builder("http://localhost").tls(tls).build().unwrap();
}

#[cfg(all(unix, feature = "unix"))]
#[tokio::test]
async fn unix_socket_is_a_relay_proxy_like_any_other() {
    let server = server([Answer::new(200, STATIC), Answer::new(200, "{}")]).await;
    let path = format!(
        "{}/relay-{}.sock",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let address = server.address();
    let forwarding = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let client = builder(&format!("unix://{path}")).build().unwrap();
    client.evaluate("flag", &context()).await.unwrap();
    client.evaluate_all(&context()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].path, "/v1/feature/flag/eval");
    assert_eq!(requests[0].header("host"), Some("localhost"));
    drop(client);
    forwarding.await.unwrap();
    std::fs::remove_file(&path).unwrap();

    let client = builder(&format!("unix://{path}")).build().unwrap();
    let error = client.evaluate("flag", &context()).await.unwrap_err();
    assert!(matches!(error, RelayError::NotConnected(_)), "{error:?}");
}
