//! No secret appears in a log line of any level, in an error, or in `Debug`.
//!
//! A separate test binary: it captures everything that the process logs, through `tracing` and
//! through `log`, dependencies included.
#![cfg(feature = "http")]

mod captured;

use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{
    GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, ProxyOptions, RemoteProtocol,
};
use goff_testkit::{Answer, ConnectProxy, FaultyServer, ProxyFault, RecordingLog};
use open_feature::OpenFeature;

use crate::captured::{capture, capture_log, captured};

const API_KEY: &str = "s3cret-key+with/odd&parts";
const ESCAPED_API_KEY: &str = "s3cret-key%2Bwith%2Fodd%26parts";
const HEADER_VALUE: &str = "s3cret-header-value";
const PROVIDED_VALUE: &str = "s3cret-provided-value";
const NEW_API_KEY: &str = "s3cret-new-key";
const PROXY_USER: &str = "s3cret-user";
const PROXY_PASSWORD: &str = "s3cret-password";
/// Both in `Proxy-Authorization`.
const PROXY_CREDENTIALS: &str = "czNjcmV0LXVzZXI6czNjcmV0LXBhc3N3b3Jk";
const ATTRIBUTE: &str = "s3cret-attribute";

fn options(endpoint: String) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new(endpoint)
        .api_key(API_KEY)
        .custom_header("x-gateway-token", HEADER_VALUE)
        .custom_header("authorization", format!("Basic {HEADER_VALUE}"))
        .header_provider(|| vec![("x-token".to_owned(), PROVIDED_VALUE.to_owned())])
        .timeout(Duration::from_millis(300))
        .debug(true)
}

/// Answers of servers and gateways; the last ones echo the request.
fn answers() -> Vec<Answer> {
    let echo =
        format!(r#"{{"message":"{API_KEY}, {HEADER_VALUE} and {PROVIDED_VALUE} are unknown"}}"#);
    vec![
        Answer::new(200, r#"{"value":true,"reason":"STATIC"}"#),
        Answer::new(200, r#"{"value":1,"reason":"STATIC"}"#),
        Answer::new(200, "{"),
        Answer::new(500, "<html>"),
        Answer::nothing().then_reset(),
        Answer::nothing().then_silence(),
        Answer::new(401, echo.clone()),
        Answer::new(400, echo.clone()),
        Answer::new(
            200,
            format!(
                r#"{{"value":null,"reason":"ERROR","errorCode":"GENERAL","errorDetails":"{API_KEY}"}}"#
            ),
        ),
    ]
}

#[tokio::test]
async fn no_secret_reaches_a_log_an_error_or_debug() {
    let tracing = RecordingLog::default();
    tracing::subscriber::set_global_default(tracing.clone()).unwrap();
    capture_log();
    log::trace!("capturing log works");
    tracing::trace!("capturing tracing works");

    // Refused options, with the secret in each possible place.
    for options in [
        options("http://localhost?key=s3cret".to_owned()),
        options("http://user:s3cret-password@localhost".to_owned()),
        options(String::new()).api_key("s3cret\r\nx: y"),
        options("http://localhost".to_owned()).api_key("s3cret\n"),
        options("http://localhost".to_owned()).custom_header("x", "s3cret\r\n"),
        options("http://localhost".to_owned()).custom_header("x: s3cret", "v"),
    ] {
        capture(&format!("{options:?}"));
        let error = GoFeatureFlag::new(options).unwrap_err();
        capture(&format!("{error} {error:?}"));
    }

    let context = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("token", ATTRIBUTE)
        .build();
    for protocol in [RemoteProtocol::FeatureEval, RemoteProtocol::Ofrep] {
        let server = FaultyServer::start(answers()).await.unwrap();
        let options = options(server.url()).remote_protocol(protocol);
        capture(&format!("{options:?}"));
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        capture(&format!("{goff:?}"));
        for _ in answers() {
            let details = goff.evaluate("flag", &context, false).await;
            capture(&format!("{:?}", details.error()));
            if let Some(error) = details.error() {
                capture(&error.to_string());
                let mut source = std::error::Error::source(error);
                while let Some(cause) = source {
                    capture(&format!("{cause} {cause:?}"));
                    source = cause.source();
                }
            }
        }
        // One more than the evaluations: the change stream, whose URL holds the key.
        let requests = server.wait_for_requests(answers().len() + 1);
        tokio::time::timeout(Duration::from_secs(20), requests)
            .await
            .unwrap();
        capture(&format!("{:?} {:?}", goff.status(), goff.stats()));
        let requests = server.requests();
        let evaluation = requests.iter().find(|request| request.method == "POST");
        assert_eq!(
            evaluation.unwrap().header("x-api-key"),
            Some(API_KEY),
            "without the key in the request the test proves nothing"
        );
        assert_eq!(
            evaluation.unwrap().header("authorization"),
            Some(format!("Basic {HEADER_VALUE}").as_str())
        );
        assert_eq!(
            evaluation.unwrap().header("x-gateway-token"),
            Some(HEADER_VALUE)
        );
        let stream = requests.iter().find(|request| request.method == "GET");
        let target = &stream.unwrap().path;
        assert!(target.ends_with(ESCAPED_API_KEY), "{target}");
        capture(&format!(
            "{:?}",
            goff.shutdown(Duration::from_secs(5)).await
        ));
    }

    // Another key, to a server that echoes it.
    let echo = Answer::new(
        401,
        format!(r#"{{"message":"{NEW_API_KEY}, {PROVIDED_VALUE}"}}"#),
    );
    let server = FaultyServer::start([echo]).await.unwrap();
    let goff = GoFeatureFlag::connect(options(server.url())).await.unwrap();
    let error = goff.set_api_key("s3cret\n").await.unwrap_err();
    capture(&format!("{error} {error:?}"));
    goff.set_api_key(NEW_API_KEY).await.unwrap();
    let details = goff.evaluate("flag", &context, false).await;
    let error = details.error().unwrap();
    capture(&format!("{error} {error:?} {goff:?} {:?}", goff.status()));
    let requests = server.requests();
    let sent = |value: &str| {
        requests
            .iter()
            .any(|request| format!("{request:?}").contains(value))
    };
    assert!(sent(NEW_API_KEY) && sent(PROVIDED_VALUE));

    // A refused connection, and an unknown name.
    for endpoint in [
        FaultyServer::refusing_url().await.unwrap(),
        "http://name.invalid".to_owned(),
    ] {
        let goff = GoFeatureFlag::connect(options(endpoint)).await.unwrap();
        let details = goff.evaluate("flag", &context, false).await;
        capture(&format!(
            "{} {:?}",
            details.error().unwrap(),
            details.error()
        ));
    }

    // Through an HTTP proxy that refuses, and one that fails.
    let proxy = ConnectProxy::start_with_credentials(PROXY_USER, "another").await;
    let proxy = proxy.unwrap();
    for fault in [
        None,
        Some(ProxyFault::Garbage),
        Some(ProxyFault::Status(503)),
    ] {
        let through = ProxyOptions::new(proxy.url()).credentials(PROXY_USER, PROXY_PASSWORD);
        let options = options("http://relay.invalid".to_owned()).proxy(through);
        proxy.set_fault(fault);
        capture(&format!("{options:?}"));
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let details = goff.evaluate("flag", &context, false).await;
        let error = details.error().unwrap();
        capture(&format!("{error} {error:?} {goff:?} {:?}", goff.status()));
    }
    assert!(
        proxy.unauthorized() > 0,
        "without a request the test proves nothing"
    );

    // Through the SDK.
    let server = FaultyServer::start(answers()).await.unwrap();
    let provider = GoFeatureFlagProvider::new(options(server.url())).unwrap();
    capture(&format!("{provider:?}"));
    let mut api = OpenFeature::default();
    api.set_provider(provider).await;
    let client = api.create_client();
    let context = open_feature::EvaluationContext::default()
        .with_targeting_key("user-1")
        .with_custom_field("token", ATTRIBUTE);
    for _ in answers() {
        let result = client.get_bool_details("flag", Some(&context), None).await;
        capture(&format!("{result:?}"));
    }

    for (_, line) in tracing.lines() {
        capture(&line);
    }
    let captured = captured();
    assert!(captured.contains("capturing log works"));
    assert!(captured.contains("capturing tracing works"));
    assert!(captured.contains("relay proxy request"), "{captured}");
    for secret in [
        API_KEY,
        ESCAPED_API_KEY,
        HEADER_VALUE,
        PROXY_CREDENTIALS,
        ATTRIBUTE,
        "s3cret",
    ] {
        let found = captured.lines().find(|line| line.contains(secret));
        assert_eq!(found, None, "`{secret}` was shown");
    }
}
