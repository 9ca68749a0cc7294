//! Endpoints by scheme: errors of builds without a feature, and Unix sockets.

#[cfg(all(unix, feature = "unix"))]
use goff_core::{RelayClient, RelayError};
#[cfg(not(all(feature = "tls", feature = "unix")))]
use goff_http::HttpRelayClient;
use goff_http::TlsOptions;
#[cfg(all(unix, feature = "unix"))]
use goff_testkit::Answer;

use crate::fixture::*;

/// The error of a client with this endpoint.
#[cfg(not(all(feature = "tls", feature = "unix")))]
fn refused(url: &str) -> String {
    let error = HttpRelayClient::new(options(url)).unwrap_err();
    assert_eq!(error.option(), "endpoint");
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

#[test]
fn invalid_tls_options_are_ignored_for_plain_endpoints() {
    let tls = TlsOptions::new().certificate_authority("no PEM");
    client(options("http://localhost").tls(tls));
}

#[cfg(all(unix, feature = "unix"))]
#[tokio::test]
async fn unix_socket_works_like_any_other_endpoint() {
    let server = server([Answer::new(200, STATIC), Answer::new(200, "{}")]).await;
    let (directory, process) = (env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let path = format!("{directory}/relay-{process}.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let address = server.address();
    let forwarding = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let over_socket = client(options(&format!("unix://{path}")));
    evaluate(&over_socket).await.unwrap();
    over_socket.evaluate_all(&context()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].path, "/v1/feature/flag/eval");
    assert_eq!(requests[0].header("host"), Some("localhost"));
    drop(over_socket);
    forwarding.await.unwrap();
    std::fs::remove_file(&path).unwrap();

    let client = client(options(&format!("unix://{path}")));
    let error = evaluate(&client).await.unwrap_err();
    assert_matches!(error, RelayError::NotConnected(_));
    let expected = format!("unix://{path} does not exist");
    assert!(error.to_string().contains(&expected), "{error}");
}
