//! Neither `Debug` nor an error contains a key or a header value.

use std::fmt::{Debug, Write};

use goff_core::ApiKey;
use goff_http::HttpRelayClient;
use goff_testkit::Answer;

use crate::fixture::*;

const KEY: &str = "k3y-of-team-a";
const HEADER: &str = "header-s3cret";

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
