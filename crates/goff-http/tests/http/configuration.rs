//! Requests for the flag configuration.

use goff_core::ConfigurationUpdate::{Loaded, NotModified};
use goff_core::{ApiKey, Etag, RelayClient};
use goff_http::RemoteProtocol;
use goff_testkit::Answer;
use serde_json::json;

use crate::fixture::*;

const ETAG: &str = "\"667-5f0c\"";

/// GOFF-IP-001 to GOFF-IP-003, GOFF-IP-005, GOFF-IP-015, GOFF-AUTH-002: path below the prefix,
/// body, key, and the ETag verbatim in the request that names it and in no other.
#[tokio::test]
async fn etag_is_sent_verbatim_and_only_with_its_request() {
    let server = server([
        Answer::with_headers(200, &[("etag", ETAG)], r#"{"flags":{"a":{}}}"#),
        Answer::with_headers(304, &[("etag", "\"another\"")], ""),
        Answer::new(200, STATIC),
    ])
    .await;
    let options = options(&format!("{}/gw", server.url()));
    let client = client(options.api_key(ApiKey::new("s3cret").unwrap()));
    let update = client.flag_configuration(&[], None).await.unwrap();
    let Loaded(configuration) = update else {
        panic!("nothing loaded");
    };
    assert_eq!(configuration.flags.as_deref(), Some(r#"{"a":{}}"#));
    let etag = configuration.etag.unwrap();
    let flags = ["a".to_owned()];
    let update = client.flag_configuration(&flags, Some(&etag)).await;
    assert_eq!(update.unwrap(), NotModified);
    evaluate(&client).await.unwrap();
    let requests = server.requests();
    for (request, flags, tag) in [
        (&requests[0], json!([]), None),
        (&requests[1], json!(["a"]), Some(ETAG)),
    ] {
        assert_eq!(&*request.method, "POST");
        assert_eq!(&*request.path, "/gw/v1/flag/configuration");
        assert_eq!(body(request), json!({"flags": flags}));
        assert_eq!(request.header("if-none-match"), tag);
        assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    }
    assert_eq!(requests[2].header("if-none-match"), None);
}

/// The fallback of in-process evaluation uses this (GOFF-FALLBACK-001, GOFF-FALLBACK-009).
#[tokio::test]
async fn other_protocol_shares_connections_key_and_rate_limit() {
    let limited = Answer::with_headers(429, &[("retry-after", "30")], "");
    let server = server([Answer::new(200, STATIC), limited]).await;
    let client = client(options(&server.url()).api_key(ApiKey::new("s3cret").unwrap()));
    let fallback = client.with_protocol(RemoteProtocol::Ofrep);
    fallback.evaluate("a", &context()).await.unwrap();
    client.evaluate("a", &context()).await.unwrap_err();
    fallback.evaluate("a", &context()).await.unwrap_err();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(&*requests[0].path, "/ofrep/v1/evaluate/flags/a");
    assert_eq!(&*requests[1].path, "/v1/feature/a/eval");
    assert_eq!(requests[0].header("authorization"), Some("Bearer s3cret"));
}

/// Which of the requests for the configuration name the ETag, when they get these answers.
async fn named_etags(answers: impl IntoIterator<Item = Answer>) -> Vec<bool> {
    let answers: Vec<_> = answers.into_iter().collect();
    let count = answers.len();
    let (server, client) = serving(answers).await;
    let held = Etag::from_bytes(ETAG.as_bytes()).unwrap();
    for _ in 0..count {
        let _ = client.flag_configuration(&[], Some(&held)).await;
    }
    let requests = server.requests();
    let named = requests.iter().map(|r| r.header("if-none-match").is_some());
    named.collect()
}

/// A gateway can refuse the tag itself: it is left out once after a 4xx, and after three other
/// failures.
#[tokio::test]
async fn refused_etag_is_left_out_once() {
    let status = |status| Answer::new(status, "");
    let loaded = || Answer::with_headers(200, &[("etag", ETAG)], r#"{"flags":{}}"#);
    for refusal in [400, 412, 431] {
        let named = named_etags([status(refusal), loaded(), status(304)]).await;
        assert_eq!(named, [true, false, true], "{refusal}");
    }
    // Once, whatever comes of it.
    let named = named_etags([status(431), status(502), status(304)]).await;
    assert_eq!(named, [true, false, true]);
    for failure in [status(502), Answer::new(200, "{"), status(301)] {
        let three = [failure.clone(), failure.clone(), failure.clone()];
        let named = named_etags(three.into_iter().chain([loaded(), status(304)])).await;
        assert_eq!(named, [true, true, true, false, true]);
        // Only failures in a row count.
        let parted = [&failure, &failure, &status(304), &failure, &failure].map(Answer::clone);
        assert_eq!(named_etags(parted).await, [true; 5]);
    }
}

/// GOFF-IP-008.
#[tokio::test]
async fn incomplete_body_is_an_error() {
    let body = r#"{"flags":{"a":{"variations":{"A":"#;
    let truncated = format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{body}");
    for answer in [
        Answer::new(200, body),
        Answer::with_headers(200, &[("etag", ETAG)], body),
        Answer::raw(truncated).then_close(),
    ] {
        let (_server, client) = serving([answer]).await;
        client.flag_configuration(&[], None).await.unwrap_err();
    }
}
