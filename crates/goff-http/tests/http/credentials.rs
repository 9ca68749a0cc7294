//! Keys and headers that change while the client runs, and the check of a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use goff_core::{ApiKey, Etag, EventBatch, ExporterMetadata, RelayClient, RelayError};
use goff_http::RemoteProtocol;
use goff_testkit::Answer;

use crate::fixture::*;

const OLD: &str = "old-k3y";
const NEW: &str = "new-k3y";

fn key(key: &str) -> Option<ApiKey> {
    Some(ApiKey::new(key).unwrap())
}

/// A request keeps the key with which it began, and no message shows it while it runs.
#[tokio::test]
async fn new_key_is_for_requests_that_begin_later() {
    let quoting = format!(r#"{{"message":"{OLD} {NEW} token-0 token-1"}}"#);
    let server = server([
        Answer::new(401, &quoting).held(),
        Answer::new(401, &quoting),
        Answer::new(200, STATIC),
        Answer::new(200, STATIC),
    ])
    .await;
    let calls = AtomicUsize::new(0);
    let provider = move || {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        vec![("X-Token".to_owned(), format!("token-{call}"))]
    };
    let options = options(&server.url())
        .api_key(key(OLD))
        .header_provider(Arc::new(provider));
    assert!(!format!("{options:?}").contains("token-"));
    let client = client(options);
    let evaluating = tokio::spawn({
        let client = client.clone();
        async move { evaluate(&client).await }
    });
    server.wait_for_requests(1).await;
    client.set_api_key(key(NEW)).unwrap();
    let second = evaluate(&client).await.unwrap_err().to_string();
    server.release();
    let first = evaluating.await.unwrap().unwrap_err().to_string();
    for message in [first, second] {
        assert!(message.contains("[redacted]"), "{message}");
        for secret in [OLD, NEW, "token-"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
    // The clients of both protocols have one key.
    let ofrep = client.with_protocol(RemoteProtocol::Ofrep);
    ofrep.set_api_key(None).unwrap();
    evaluate(&client).await.unwrap();
    client.set_api_key(key(NEW)).unwrap();
    evaluate(&ofrep).await.unwrap();
    let sent = server.requests();
    let sent: Vec<_> = sent
        .iter()
        .map(|request| (request.header("authorization"), request.header("x-token")))
        .collect();
    let (old, new) = (Some("Bearer old-k3y"), Some("Bearer new-k3y"));
    let expected = [
        (old, Some("token-0")),
        (new, Some("token-1")),
        (None, Some("token-2")),
        (new, Some("token-3")),
    ];
    assert_eq!(sent, expected);
    assert!(!format!("{client:?}").contains("token-"));
}

/// Every kind of request has the headers of that moment.
#[tokio::test]
async fn headers_are_provided_for_each_request_and_replace_custom_ones() {
    let configuration = r#"{"flags":{}}"#;
    let server = server([
        Answer::new(200, STATIC),
        Answer::new(200, "{}"),
        Answer::new(200, configuration),
        Answer::new(200, r#"{"ingestedContentCount":0}"#),
        Answer::new(200, configuration),
    ])
    .await;
    let calls = AtomicUsize::new(0);
    let provider = move || {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        let gateway = ("authorization".to_owned(), format!("Basic {call}"));
        vec![gateway, ("x-a".to_owned(), call.to_string())]
    };
    let options = options(&server.url())
        .api_key(key(NEW))
        .custom_header("X-A", "custom")
        .custom_header("x-b", "kept")
        .header_provider(Arc::new(provider));
    let client = client(options);
    evaluate(&client).await.unwrap();
    client.evaluate_all(&context()).await.unwrap();
    client.flag_configuration(&[], None).await.unwrap();
    let batch = EventBatch::new(ExporterMetadata::default(), Vec::new());
    client.collect(&batch).await.unwrap();
    client.check(&[], None).await.result.unwrap();
    let sent = server.requests();
    assert_eq!(sent.len(), 5);
    for (call, request) in sent.iter().enumerate() {
        assert_eq!(request.header("x-a"), Some(&*call.to_string()));
        assert_eq!(request.header("x-b"), Some("kept"));
        let basic = format!("Basic {call}");
        assert_eq!(request.header("authorization"), Some(&*basic));
        assert_eq!(request.header("x-api-key"), Some(NEW));
    }
}

#[tokio::test]
async fn headers_that_cannot_be_sent_are_an_error_of_their_request() {
    let server = server([Answer::new(200, STATIC)]).await;
    let calls = AtomicUsize::new(0);
    let provider = move || {
        let given = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("s3cret"),
            1 => given("x-a", "s3cret\r\nx-injected: 1"),
            2 => given("x-a: s3cret", ""),
            3 => given("Host", "s3cret"),
            _ => given("x-a", "s3cret"),
        }
    };
    let client = client(options(&server.url()).header_provider(Arc::new(provider)));
    for part in ["panicked", "`x-a`", "valid HTTP header name", "`host`"] {
        let error = evaluate(&client).await.unwrap_err();
        assert_matches!(error, RelayError::Headers { .. });
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(part), "{shown}");
        assert!(shown.contains("`header_provider`"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    evaluate(&client).await.unwrap();
    assert_eq!(server.requests().len(), 1);
}

/// docs/relay-protocol.md 2.3 and 12.
#[tokio::test]
async fn check_tells_version_and_refusal() {
    let version = ("x-gofeatureflag-version", "1.55.2");
    let long = ("x-gofeatureflag-version", &*"1".repeat(65));
    let server = server([
        Answer::with_headers(200, &[version], r#"{"flags":{}}"#),
        Answer::with_headers(401, &[version], "{}"),
        Answer::with_headers(304, &[long], ""),
        Answer::new(404, "{}"),
    ])
    .await;
    let client = client_of(&server);
    let flags = ["unlikely".to_owned()];
    let etag = Etag::from_bytes(b"\"1\"").unwrap();
    for (held, status, version) in [
        (None, None, Some("1.55.2")),
        (None, Some(401), Some("1.55.2")),
        (Some(&etag), None, None),
        (None, Some(404), None),
    ] {
        let check = client.check(&flags, held).await;
        let failed = check.result.err().and_then(|error| error.status());
        assert_eq!((failed, check.version.as_deref()), (status, version));
    }
    let sent = server.requests();
    assert_eq!(sent[2].header("if-none-match"), Some("\"1\""));
    for request in sent {
        assert_eq!(request.path, "/v1/flag/configuration");
        assert_eq!(body(&request)["flags"][0], "unlikely");
    }
}
