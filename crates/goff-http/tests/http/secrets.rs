//! No key and no header value in anything that is shown.

use std::fmt::{Debug, Write};

use goff_core::{ApiKey, RelayClient};

use crate::*;

const KEY: &str = "k3y-of-team-a";
const HEADER: &str = "header-s3cret";

fn shown(texts: &mut String, thing: &dyn Debug) {
    write!(texts, "{thing:?}{thing:#?}").unwrap();
}

#[tokio::test]
async fn secrets_are_in_no_debug_and_no_error() {
    // A gateway that quotes what it was sent, in every place that is read.
    let quoted = format!("Bearer {KEY} {HEADER}");
    let server = server([
        Answer::new(401, format!(r#"{{"message":"bad {quoted}"}}"#)),
        Answer::new(400, format!(r#"{{"errorDetails":"bad {quoted}"}}"#)),
        Answer::new(
            200,
            format!(r#"{{"errorCode":"X","errorDetails":"{quoted}"}}"#),
        ),
        Answer::new(
            200,
            format!(r#"{{"value":1,"reason":"S","cacheable":"{quoted}"}}"#),
        ),
        Answer::new(502, format!("<html>{quoted}</html>")),
        Answer::new(200, &quoted),
        Answer::raw(format!("{quoted}\r\n\r\n")).then_close(),
        Answer::nothing().then_reset(),
    ])
    .await;
    let builder = builder(&server.url())
        .api_key(ApiKey::new(KEY).unwrap())
        .custom_header("x-tenant-token", HEADER);
    let mut texts = String::new();
    shown(&mut texts, &builder);
    let client = builder.build().unwrap();
    shown(&mut texts, &client);
    assert!(texts.contains("x-tenant-token"), "{texts}");
    for _ in 0..8 {
        let error = client.evaluate("flag", &context()).await.unwrap_err();
        shown(&mut texts, &error);
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            write!(texts, "{error}").unwrap();
            shown(&mut texts, &error);
            cause = error.source();
        }
    }
    assert_eq!(server.requests().len(), 8);
    assert!(server.requests().iter().all(|request| {
        request.header("authorization").unwrap().contains(KEY)
            && request.header("x-tenant-token") == Some(HEADER)
    }));
    let refused = crate::builder(&server.url())
        .api_key(ApiKey::new(KEY).unwrap())
        .custom_header("x-a", format!("{HEADER}\r\n"))
        .build();
    shown(&mut texts, &refused.unwrap_err());
    for secret in [KEY, HEADER] {
        assert!(!texts.contains(secret), "{secret} in {texts}");
    }
}
