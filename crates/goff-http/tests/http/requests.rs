//! Requests as the server receives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use goff_core::{ApiKey, RelayClient, RelayError};
use goff_http::RemoteProtocol;
use goff_testkit::Answer;
use serde_json::json;

use crate::fixture::*;

/// docs/python-parity.md C1, C18; GOFF-AUTH-001, GOFF-AUTH-004, GOFF-REM-001, GOFF-REM-002, GOFF-CTX-001,
/// GOFF-CTX-002.
#[tokio::test]
async fn requests_match_the_protocols_exactly() {
    let nested = json!({"key": "user-1", "custom": {"plan": "pro"}});
    let flat = json!({"context": {"targetingKey": "user-1", "plan": "pro"}});
    for (protocol, single, bulk, single_body, bulk_body) in [
        (
            RemoteProtocol::FeatureEval,
            "/gw/goff/v1/feature/my%20flag%21/eval",
            "/gw/goff/v1/allflags",
            json!({"evaluationContext": nested, "defaultValue": null}),
            json!({"evaluationContext": nested}),
        ),
        (
            RemoteProtocol::Ofrep,
            "/gw/goff/ofrep/v1/evaluate/flags/my%20flag%21",
            "/gw/goff/ofrep/v1/evaluate/flags",
            flat.clone(),
            flat.clone(),
        ),
    ] {
        let server = server([Answer::new(200, STATIC), Answer::new(200, "{}")]).await;
        let options = options(&format!("{}/gw/goff//", server.url()))
            .protocol(protocol)
            .api_key(ApiKey::new("s3cret+&=").unwrap())
            .custom_header("X-Tenant", "blue")
            .custom_header("Authorization", "Basic abc");
        let client = client(options);
        client.evaluate("my flag!", &context()).await.unwrap();
        client.evaluate_all(&context()).await.unwrap();
        let requests = server.requests();
        for (request, path, body) in [
            (&requests[0], single, single_body),
            (&requests[1], bulk, bulk_body),
        ] {
            assert_eq!((&*request.method, &*request.path), ("POST", path));
            assert_eq!(self::body(request), body);
            let host = server.address().to_string();
            let length = request.body.len().to_string();
            let headers = request
                .headers
                .iter()
                .map(|(name, value)| (&**name, &**value));
            let mut headers: BTreeMap<_, _> = headers.collect();
            assert_eq!(headers.len(), request.headers.len());
            let encoding = cfg!(feature = "gzip").then_some("gzip");
            assert_eq!(headers.remove("accept-encoding"), encoding);
            assert!(headers.remove("user-agent").is_some());
            let expected = [
                ("authorization", "Basic abc"),
                ("content-length", &*length),
                ("content-type", "application/json"),
                ("host", &*host),
                ("x-api-key", "s3cret+&="),
                ("x-tenant", "blue"),
            ];
            assert_eq!(headers, BTreeMap::from(expected));
        }
    }
}

/// Without asking the header provider either. docs/relay-protocol.md 5; docs/python-parity.md C6, C42.
#[tokio::test]
async fn unreachable_keys_are_refused_without_a_request() {
    let server = server([Answer::new(200, STATIC)]).await;
    let long = "x".repeat(100_000);
    for protocol in [RemoteProtocol::FeatureEval, RemoteProtocol::Ofrep] {
        let provider = || -> Vec<(String, String)> { panic!("asked for headers") };
        let options = options(&server.url()).header_provider(Arc::new(provider));
        let client = client(options.protocol(protocol));
        for key in ["", ".", "..", "a/b", "/", &long] {
            let error = client.evaluate(key, &context()).await.unwrap_err();
            assert_matches!(error, RelayError::UnreachableFlagKey { .. }, key);
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn every_other_key_arrives() {
    let (server, client) = serving([Answer::new(200, STATIC)]).await;
    for (key, escaped) in [
        ("a?b#c", "a%3Fb%23c"),
        ("a b:c+d!e%f-g_h", "a%20b:c+d%21e%25f-g_h"),
        ("ключ", "%D0%BA%D0%BB%D1%8E%D1%87"),
        ("a\r\nx-injected: 1", "a%0D%0Ax-injected:%201"),
        ("\\..\\", "%5C..%5C"),
        ("http:@evil", "http:@evil"),
    ] {
        client.evaluate(key, &context()).await.unwrap();
        let last = server.requests().pop().unwrap();
        assert_eq!(last.path, format!("/v1/feature/{escaped}/eval"));
        assert_eq!(last.header("x-injected"), None);
    }
}
