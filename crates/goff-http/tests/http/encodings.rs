//! Responses with a content encoding, which gateways add.

use goff_core::{BodyProblem, RelayClient, RelayError};
use goff_testkit::Answer;

use crate::fixture::*;

fn encoded(status: u16, encoding: &str, body: impl AsRef<[u8]>) -> Answer {
    Answer::with_headers(status, &[("content-encoding", encoding)], body)
}

/// An encoding that was not requested is named, with what to do about it.
#[tokio::test]
async fn unrequested_encoding_is_named() {
    for encoding in ["br", "deflate", "zstd", "gzip, br", "k3y"] {
        let body = [0x8b, 0x02, 0x80];
        let (_server, client) = serving([encoded(200, encoding, body)]).await;
        let error = evaluate(&client).await.unwrap_err();
        let RelayError::Body {
            problem,
            status: 200,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_matches!(problem, BodyProblem::Encoded { .. });
        assert!(
            error.to_string().contains(&format!("`{encoding}`")),
            "{error}"
        );
        // For a failure the status comes first.
        let (_server, client) = serving([encoded(502, encoding, body)]).await;
        let error = evaluate(&client).await.unwrap_err();
        assert_eq!(error.status(), Some(502));
        assert!(
            error.to_string().contains(&format!("`{encoding}`")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn plain_responses_may_say_so() {
    for encoding in ["identity", "", "Identity"] {
        let (_server, client) = serving([encoded(200, encoding, STATIC)]).await;
        evaluate(&client).await.unwrap();
    }
    // A 304 describes a body that it does not have.
    let (_server, client) = serving([encoded(304, "br", "")]).await;
    let held = goff_core::Etag::from_bytes(b"\"1\"").unwrap();
    client.flag_configuration(&[], Some(&held)).await.unwrap();
}

#[cfg(not(feature = "gzip"))]
#[tokio::test]
async fn without_the_feature_gzip_is_not_requested_and_named() {
    let (server, client) = serving([encoded(200, "gzip", [0x1f, 0x8b, 8])]).await;
    let error = evaluate(&client).await.unwrap_err();
    assert!(error.to_string().contains("feature `gzip`"), "{error}");
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}

#[cfg(feature = "gzip")]
mod gzip {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use goff_core::ErrorCode;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn gzip_is_requested_and_decoded() {
        let flags = br#"{"flags":{"a":{"version":"1"}}}"#;
        let (server, client) = serving([
            encoded(200, "gzip", gzip(STATIC.as_bytes())),
            encoded(200, "X-GZIP", gzip(STATIC.as_bytes())),
            encoded(200, "gzip", gzip(flags)),
            encoded(401, "gzip", gzip(br#"{"message":"invalid key"}"#)),
            Answer::new(200, STATIC),
        ])
        .await;
        for _ in 0..2 {
            assert_eq!(evaluate(&client).await.unwrap().value, true);
        }
        let update = client.flag_configuration(&[], None).await.unwrap();
        assert!(format!("{update:?}").contains("version"), "{update:?}");
        let error = evaluate(&client).await.unwrap_err();
        assert!(error.to_string().contains("invalid key"), "{error}");
        evaluate(&client).await.unwrap();
        let seen = server.requests();
        assert!(
            seen.iter()
                .all(|r| r.header("accept-encoding") == Some("gzip"))
        );
    }

    /// A small body can become a very large one: only the limit is decoded.
    #[tokio::test]
    async fn decoded_size_is_bounded() {
        let limit = goff_http::DEFAULT_MAX_RESPONSE_SIZE;
        for (size, is_read) in [(limit, true), (limit + 1, false), (100 * limit, false)] {
            let mut text = STATIC.as_bytes().to_vec();
            text.resize(size, b' ');
            let body = gzip(&text);
            assert!(body.len() < limit);
            let (_server, client) = serving([encoded(200, "gzip", body)]).await;
            match evaluate(&client).await {
                Ok(_) => assert!(is_read, "{size}"),
                Err(error) => {
                    assert!(!is_read, "{size}: {error}");
                    assert!(error.to_string().contains("bytes"), "{error}");
                }
            }
        }
    }

    #[tokio::test]
    async fn damaged_gzip_is_unreadable() {
        let whole = gzip(STATIC.as_bytes());
        let (half, _) = whole.split_at(whole.len() / 2);
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        for body in [half, &wrong, b"nonsense", STATIC.as_bytes()] {
            let (_server, client) = serving([encoded(200, "gzip", body)]).await;
            let error = evaluate(&client).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::ParseError);
            assert!(error.to_string().contains("gzip"), "{error}");
        }
    }
}
