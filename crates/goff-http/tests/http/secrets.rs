//! Neither `Debug` nor an error contains a key or a header value.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use goff_core::{
    ApiKey, ContextKind, Etag, EvaluationContext, Event, EventBatch, ExporterMetadata, RelayClient,
    TrackingEvent,
};
use goff_http::{HttpRelayClient, HttpRequest, HttpResponse, HttpTransport, TransportError};
use goff_testkit::Answer;
use http::StatusCode;

use crate::fixture::*;

const KEY: &str = "k3y-of-team-a";
const HEADER: &str = "header-s3cret";
const USER: &str = "ada@example.com";

fn add(texts: &mut String, thing: &dyn Debug) {
    write!(texts, "{thing:?}{thing:#?}").unwrap();
}

#[tokio::test]
async fn secrets_appear_in_no_debug_text_and_no_error() {
    // A gateway quotes the request in every part of the response that is read.
    let quoted = format!("Bearer {KEY} {HEADER}");
    let code = format!(r#"{{"errorCode":"X","errorDetails":"{quoted}"}}"#);
    let success = format!(r#"{{"value":1,"reason":"S","cacheable":"{quoted}"}}"#);
    let server = server([
        Answer::new(401, format!(r#"{{"message":"bad {quoted}"}}"#)),
        Answer::new(400, format!(r#"{{"errorDetails":"bad {quoted}"}}"#)),
        Answer::new(200, code),
        Answer::new(200, success),
        Answer::new(502, format!("<html>{quoted}</html>")),
        Answer::new(200, &quoted),
        Answer::raw(format!("{quoted}\r\n\r\n")).then_close(),
        Answer::nothing().then_reset(),
    ])
    .await;
    let with_secrets = options(&server.url())
        .api_key(ApiKey::new(KEY).unwrap())
        .custom_header("x-tenant-token", HEADER);
    let mut texts = String::new();
    add(&mut texts, &with_secrets);
    let client = client(with_secrets);
    add(&mut texts, &client);
    assert!(texts.contains("x-tenant-token"), "{texts}");
    for _ in 0..8 {
        let error = evaluate(&client).await.unwrap_err();
        add(&mut texts, &error);
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            write!(texts, "{error}").unwrap();
            add(&mut texts, &error);
            cause = error.source();
        }
    }
    assert_eq!(server.requests().len(), 8);
    for request in server.requests() {
        assert!(request.header("authorization").unwrap().contains(KEY));
        assert_eq!(request.header("x-tenant-token"), Some(HEADER));
    }
    let unsendable = options(&server.url())
        .api_key(ApiKey::new(KEY).unwrap())
        .custom_header("x-a", format!("{HEADER}\r\n"));
    add(&mut texts, &HttpRelayClient::new(unsendable).unwrap_err());
    for secret in [KEY, HEADER] {
        assert!(!texts.contains(secret), "{secret} in {texts}");
    }
}

/// Notes how requests and responses look in a log.
#[derive(Debug, Default)]
struct Noting(Mutex<String>);

#[async_trait]
impl HttpTransport for Noting {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let body = format!("{KEY} {HEADER} {USER}");
        let headers = (*request.headers).clone();
        let response = HttpResponse::new(StatusCode::OK, body).with_headers(headers);
        let mut texts = self.0.lock().unwrap();
        add(&mut texts, &request);
        add(&mut texts, &response);
        Ok(response)
    }
}

/// What a custom transport gets can be logged: the key in either of its headers, the header of a
/// gateway, and the user in the body, of requests of each kind.
#[tokio::test]
async fn requests_and_responses_show_neither_secrets_nor_users() {
    for header in ["x-tenant-token", "authorization", "x-api-key"] {
        let noting = Arc::new(Noting::default());
        let options = options("https://relay.example")
            .transport(noting.clone())
            .api_key(ApiKey::new(KEY).unwrap())
            .custom_header(header, HEADER);
        let client = client(options);
        let user = EvaluationContext::builder().targeting_key(USER).build();
        client.evaluate("flag", &user).await.unwrap_err();
        client.evaluate_all(&user).await.unwrap_err();
        let etag = Etag::from_bytes(b"\"1\"");
        let _ = client.flag_configuration(&[], etag.as_ref()).await;
        let tracking = TrackingEvent::new("event", ContextKind::User, USER, 0);
        let events = vec![Event::from(tracking)];
        let batch = EventBatch::new(ExporterMetadata::default(), events);
        client.collect(&batch).await.unwrap_err();
        let texts = noting.0.lock().unwrap();
        assert!(texts.contains("/v1/data/collector"), "{texts}");
        for secret in [KEY, HEADER, USER] {
            assert!(!texts.contains(secret), "{secret} in {texts}");
        }
    }
}
