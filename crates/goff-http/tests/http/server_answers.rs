//! Every response of a server or gateway, and every failure of the network, has its documented
//! error, without a panic or a hang.

use goff_core::{BodyProblem, ErrorCode, Origin, RelayClient, RelayError};
use goff_testkit::{Answer, FaultyServer};

use crate::fixture::*;

const PATH: &str = "/v1/feature/flag/eval";

/// The errors of an evaluation and of a bulk evaluation with this answer.
async fn errors(answer: Answer) -> [RelayError; 2] {
    let server = server([answer]).await;
    let client = client_of(&server);
    let evaluate = client.evaluate("flag", &context()).await;
    let bulk = client.evaluate_all(&context()).await;
    [evaluate.unwrap_err(), bulk.unwrap_err()]
}

async fn check_status(status: u16, body: &str, message: Option<&str>) {
    for (error, expected_path) in errors(Answer::new(status, body))
        .await
        .into_iter()
        .zip([PATH, "/v1/allflags"])
    {
        let RelayError::Status {
            status: s,
            path,
            message: m,
            code,
        } = &error
        else {
            panic!("{status}: {error:?}");
        };
        assert_eq!(
            (*s, &**path, m.as_deref()),
            (status, expected_path, message)
        );
        assert_eq!(*code, ErrorCode::General);
        let origin = if status < 500 {
            Origin::NotEvaluated
        } else {
            Origin::Unknown
        };
        assert_eq!(error.origin(), origin);
        let shown = error.to_string();
        assert!(
            shown.contains(&status.to_string()) && shown.contains(expected_path),
            "{shown}"
        );
        assert!(!shown.contains("<html>"), "{shown}");
    }
}

/// GOFF-ERR-004; docs/python-parity.md C7; docs/python-parity.md E5, E6, E7, E9.
#[tokio::test]
async fn statuses_are_general_errors_that_name_status_and_path() {
    let html = "<html><body><h1>404 page not found</h1></body></html>";
    check_status(401, r#"{"message":"invalid key"}"#, Some("invalid key")).await;
    check_status(403, html, None).await;
    check_status(404, html, None).await;
    check_status(404, r#"{"message":"Not Found"}"#, Some("Not Found")).await;
    check_status(413, html, None).await;
    check_status(
        415,
        r#"{"message":"Unsupported Media Type"}"#,
        Some("Unsupported Media Type"),
    )
    .await;
    check_status(429, "", None).await;
    check_status(
        500,
        r#"{"message":"Internal Server Error"}"#,
        Some("Internal Server Error"),
    )
    .await;
    check_status(502, html, None).await;
}

/// GOFF-REM-005.
#[tokio::test]
async fn redirect_is_an_error_and_not_followed() {
    let elsewhere = server([Answer::new(200, STATIC)]).await;
    let url = elsewhere.url();
    for status in [301, 302, 303, 307, 308] {
        let moved = Answer::with_headers(status, &[("location", &url)], "");
        for error in errors(moved).await {
            assert_eq!(
                (error.status(), error.code()),
                (Some(status), ErrorCode::General)
            );
            assert!(error.to_string().contains("redirect"), "{error}");
            assert!(!error.to_string().contains(&url), "{error}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// docs/python-parity.md C9.
#[tokio::test]
async fn empty_bodies_are_parse_errors() {
    for (status, answer) in [
        (200, Answer::new(200, "")),
        (204, Answer::new(204, "")),
        (200, Answer::raw("HTTP/1.1 200 \r\n\r\n").then_close()),
    ] {
        for error in errors(answer).await {
            assert_eq!(
                (error.status(), error.code()),
                (Some(status), ErrorCode::ParseError)
            );
            assert!(
                matches!(
                    error,
                    RelayError::Body {
                        problem: BodyProblem::Empty,
                        ..
                    }
                ),
                "{error:?}"
            );
            assert_eq!(error.origin(), Origin::Unknown);
        }
    }
}

#[tokio::test]
async fn bodies_of_another_shape_are_parse_errors() {
    for body in [
        r#"{"value":true,"reason":"STAT"#,
        "<html>welcome to the guest network</html>",
        "[]",
        "true",
        "\u{0}",
    ] {
        for error in errors(Answer::new(200, body)).await {
            assert_eq!(error.code(), ErrorCode::ParseError, "{body}");
            assert!(
                matches!(
                    error,
                    RelayError::Body {
                        problem: BodyProblem::Unreadable { .. },
                        ..
                    }
                ),
                "{body}: {error:?}"
            );
        }
    }
}

/// docs/python-parity.md E6; docs/relay-protocol.md 4.
#[tokio::test]
async fn refused_context_and_unknown_flag_set_have_different_codes() {
    let body = r#"{"message":"Unmarshal type error: field=user.key"}"#;
    for error in errors(Answer::new(400, body)).await {
        assert_eq!(error.code(), ErrorCode::InvalidContext);
        assert!(
            error.to_string().contains("invalid context: Unmarshal"),
            "{error}"
        );
    }
    let body = r#"{"message":"error while getting flagset: flagset not found for API key"}"#;
    for error in errors(Answer::new(400, body)).await {
        assert_eq!(error.code(), ErrorCode::General);
        assert!(error.to_string().contains("flagset not found"), "{error}");
    }
}

#[tokio::test]
async fn body_is_read_up_to_16_mib() {
    const LIMIT: u64 = goff_http::MAX_RESPONSE_SIZE as u64;
    let spaces = vec![b' '; 64 * 1024];
    let announced = |total: u64| format!("HTTP/1.1 200 \r\ncontent-length: {total}\r\n\r\n");
    let large = 100 * 1024 * 1024;
    for too_large in [
        Answer::raw(announced(large)).filled_with(spaces.clone(), large),
        Answer::raw(announced(1 << 60)).filled_with(spaces.clone(), u64::MAX),
        Answer::raw(announced(LIMIT + 1)).filled_with(spaces.clone(), LIMIT + 1),
        // Without a length, until the connection closes; and an endless series of chunks.
        Answer::raw("HTTP/1.1 200 \r\n\r\n")
            .filled_with(spaces.clone(), large)
            .then_close(),
        Answer::raw("HTTP/1.1 200 \r\n\r\n").filled_with(spaces.clone(), u64::MAX),
        Answer::raw("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n")
            .filled_with(format!("10000\r\n{}\r\n", " ".repeat(0x10000)), u64::MAX),
    ] {
        for error in errors(too_large.clone()).await {
            assert!(
                matches!(
                    error,
                    RelayError::Body { problem: BodyProblem::TooLarge { limit }, status: 200 }
                        if limit as u64 == LIMIT
                ),
                "{too_large:?}: {error:?}"
            );
            assert_eq!(error.code(), ErrorCode::ParseError);
        }
    }
    // For a failure the status matters more than the size of its body.
    let page = Answer::raw("HTTP/1.1 502 \r\n\r\n").filled_with(spaces.clone(), u64::MAX);
    for error in errors(page).await {
        assert!(
            matches!(error, RelayError::Status { status: 502, .. }),
            "{error:?}"
        );
    }
    // A body of exactly the limit, in many pieces, is read completely.
    let padding = LIMIT - STATIC.len() as u64;
    let server =
        server([Answer::raw(announced(LIMIT) + STATIC).filled_with(spaces, padding)]).await;
    client_of(&server)
        .evaluate("flag", &context())
        .await
        .unwrap();
}

#[tokio::test]
async fn closed_connections_are_interruptions() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n";
    let (half_head, _) = head.split_at(30);
    let half_body = format!("{head}{{\"value\":");
    for before in ["", half_head, head, &half_body] {
        for answer in [
            Answer::raw(before).then_close(),
            Answer::raw(before).then_reset(),
        ] {
            for error in errors(answer.clone()).await {
                assert!(
                    matches!(error, RelayError::Interrupted(_)),
                    "{answer:?}: {error:?}"
                );
                assert_eq!(error.code(), ErrorCode::General);
                assert_eq!(error.origin(), Origin::Unknown);
                let shown = error.to_string();
                assert!(
                    shown.contains("connection") && !shown.contains("client error"),
                    "{shown}"
                );
            }
        }
    }
}

#[tokio::test]
async fn invalid_http_is_an_interruption() {
    for raw in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 \r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 \r\nbad header\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
    ] {
        for error in errors(Answer::raw(raw).then_close()).await {
            assert!(
                matches!(error, RelayError::Interrupted(_)),
                "{raw}: {error:?}"
            );
        }
    }
    let endless_head = Answer::raw("HTTP/1.1 200 \r\n").filled_with("x-a: 1\r\n", u64::MAX);
    for error in errors(endless_head).await {
        assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
    }
}

#[tokio::test]
async fn refused_connection_and_unknown_host_are_not_connected() {
    let refusing = FaultyServer::refusing_url().await.unwrap();
    for url in [&*refusing, "http://relay-proxy.invalid"] {
        let client = client(options(url));
        let error = client.evaluate("flag", &context()).await.unwrap_err();
        assert!(
            matches!(error, RelayError::NotConnected(_)),
            "{url}: {error:?}"
        );
        assert_eq!(error.code(), ErrorCode::General);
        assert_eq!(error.origin(), Origin::NotEvaluated);
    }
}

#[tokio::test]
async fn valid_responses_are_read_in_every_framing() {
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{STATIC}\r\n0\r\n\r\n",
        STATIC.len()
    );
    let server = server([
        Answer::new(200, STATIC),
        Answer::new(203, STATIC),
        Answer::raw(chunked),
        Answer::raw(format!("HTTP/1.0 200 OK\r\n\r\n{STATIC}")).then_close(),
        Answer::raw(format!(
            "HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\n\r\n{STATIC}"
        ))
        .then_close(),
    ])
    .await;
    let client = client_of(&server);
    for _ in 0..5 {
        let resolution = client.evaluate("flag", &context()).await.unwrap();
        assert_eq!(resolution.variant.as_deref(), Some("on"));
    }
}
