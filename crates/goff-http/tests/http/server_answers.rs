//! Every response of a server or gateway, and every failure of the network, has its documented
//! error, without a panic or a hang.

use goff_core::ErrorCode::{General, InvalidContext, ParseError};
use goff_core::Origin::{NotEvaluated, Unknown};
use goff_core::RelayError::{Body, Interrupted, NotConnected, Status};
use goff_core::{BodyProblem, RelayClient, RelayError};
use goff_http::{DEFAULT_MAX_RESPONSE_SIZE, MAX_BULK_SIZE};
use goff_testkit::{Answer, FaultyServer};

use crate::fixture::*;

const PATH: &str = "/v1/feature/flag/eval";

/// The errors of an evaluation and of a bulk evaluation with this answer.
async fn errors(answer: Answer) -> [RelayError; 2] {
    let (_server, client) = serving([answer]).await;
    let single = evaluate(&client).await;
    let bulk = client.evaluate_all(&context()).await;
    [single.unwrap_err(), bulk.unwrap_err()]
}

async fn check_status(status: u16, body: &str, expected: Option<&str>) {
    let errors = errors(Answer::new(status, body)).await;
    let origin = if status < 500 { NotEvaluated } else { Unknown };
    for (error, expected_path) in errors.into_iter().zip([PATH, "/v1/allflags"]) {
        let Status { path, message, .. } = &error else {
            panic!("{status}: {error:?}");
        };
        assert_eq!((&**path, message.as_deref()), (expected_path, expected));
        assert_eq!((error.status(), error.code()), (Some(status), General));
        assert_eq!(error.origin(), origin);
        let shown = error.to_string();
        for part in [&*status.to_string(), expected_path] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(!shown.contains("<html>"), "{shown}");
    }
}

/// GOFF-ERR-004; docs/python-parity.md C7; docs/python-parity.md E5, E6, E7, E9.
#[tokio::test]
async fn statuses_are_general_errors_that_name_status_and_path() {
    let html = "<html><body><h1>404 page not found</h1></body></html>";
    for (status, body) in [
        (403, html),
        (404, html),
        (413, html),
        (429, ""),
        (502, html),
    ] {
        check_status(status, body, None).await;
    }
    for (status, message) in [
        (401, "invalid key"),
        (404, "Not Found"),
        (415, "Unsupported Media Type"),
        (500, "Internal Server Error"),
    ] {
        let body = format!(r#"{{"message":"{message}"}}"#);
        check_status(status, &body, Some(message)).await;
    }
}

/// GOFF-REM-005.
#[tokio::test]
async fn redirect_is_an_error_and_not_followed() {
    let elsewhere = server([Answer::new(200, STATIC)]).await;
    let url = elsewhere.url();
    for status in [301, 302, 303, 307, 308] {
        let moved = Answer::with_headers(status, &[("location", &url)], "");
        for error in errors(moved).await {
            assert_eq!((error.status(), error.code()), (Some(status), General));
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
            assert_eq!((error.status(), error.code()), (Some(status), ParseError));
            assert_matches!(error, Body { problem, .. } if *problem == BodyProblem::Empty);
            assert_eq!(error.origin(), Unknown);
        }
    }
}

#[tokio::test]
async fn bodies_of_another_shape_are_parse_errors() {
    use BodyProblem::Unreadable;
    for body in [
        r#"{"value":true,"reason":"STAT"#,
        "<html>welcome to the guest network</html>",
        "[]",
        "true",
        "\u{0}",
    ] {
        for error in errors(Answer::new(200, body)).await {
            assert_eq!(error.code(), ParseError, "{body}");
            assert_matches!(
                error,
                Body {
                    problem: Unreadable { .. },
                    ..
                },
                body
            );
        }
    }
}

/// docs/python-parity.md E6; docs/relay-protocol.md 4.
#[tokio::test]
async fn refused_context_and_unknown_flag_set_have_different_codes() {
    let context = r#"{"message":"Unmarshal type error: field=user.key"}"#;
    let flag_set = r#"{"message":"error while getting flagset: flagset not found for API key"}"#;
    for (body, code, part) in [
        (context, InvalidContext, "invalid context: Unmarshal"),
        (flag_set, General, "flagset not found"),
    ] {
        for error in errors(Answer::new(400, body)).await {
            assert_eq!(error.code(), code);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[tokio::test]
async fn body_is_read_up_to_the_limit_of_its_request() {
    use BodyProblem::TooLarge;
    const LIMITS: [usize; 2] = [DEFAULT_MAX_RESPONSE_SIZE, MAX_BULK_SIZE];
    let [limit, bulk_limit] = LIMITS.map(|limit| limit as u64);
    let spaces = vec![b' '; 64 * 1024];
    let filled = |head: &str, total| Answer::raw(head).filled_with(spaces.clone(), total);
    let announced = |total: u64| format!("HTTP/1.1 200 \r\ncontent-length: {total}\r\n\r\n");
    let large = 100 * 1024 * 1024;
    let chunked = Answer::raw("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for too_large in [
        filled(&announced(large), large),
        filled(&announced(1 << 60), u64::MAX),
        filled(&announced(bulk_limit + 1), bulk_limit + 1),
        // Without a length, until the connection closes; and an endless series of chunks.
        filled("HTTP/1.1 200 \r\n\r\n", large).then_close(),
        filled("HTTP/1.1 200 \r\n\r\n", u64::MAX),
        chunked.filled_with(chunk, u64::MAX),
    ] {
        for (error, expected) in errors(too_large.clone()).await.into_iter().zip(LIMITS) {
            let Body {
                problem: TooLarge { limit },
                status: 200,
                ..
            } = error
            else {
                panic!("{too_large:?}: {error:?}");
            };
            assert_eq!((limit, error.code()), (expected, ParseError));
        }
    }
    // For a failure the status matters more than the size of its body.
    for error in errors(filled("HTTP/1.1 502 \r\n\r\n", u64::MAX)).await {
        assert_matches!(error, Status { status: 502, .. });
    }
    // A body of exactly the limit, in many pieces, is read completely.
    let exactly = |total: u64| {
        let padding = total - STATIC.len() as u64;
        filled(&(announced(total) + STATIC), padding)
    };
    let (_server, by_default) = serving([exactly(limit), exactly(limit + 1)]).await;
    evaluate(&by_default).await.unwrap();
    let too_large = evaluate(&by_default).await.unwrap_err();
    assert_matches!(too_large, Body { .. });
    // The option moves the limit of one evaluation, and raises that of all.
    for option in [100_000, bulk_limit + 1] {
        let server = server([exactly(option), exactly(option + 1)]).await;
        let limit = usize::try_from(option).unwrap();
        let client = client(options(&server.url()).max_response_size(limit));
        evaluate(&client).await.unwrap();
        let too_large = evaluate(&client).await.unwrap_err();
        assert_matches!(too_large, Body { problem: TooLarge { limit: l }, .. } if *l == limit);
        let all = client.evaluate_all(&context()).await;
        assert_eq!(all.is_err(), option > bulk_limit, "{all:?}");
    }
}

#[tokio::test]
async fn closed_connections_are_interruptions() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n";
    let (half_head, _) = head.split_at(30);
    let half_body = format!("{head}{{\"value\":");
    for before in ["", half_head, head, &half_body] {
        let answer = Answer::raw(before);
        for answer in [answer.clone().then_close(), answer.then_reset()] {
            for error in errors(answer.clone()).await {
                assert_matches!(error, Interrupted(_), answer);
                assert_eq!((error.code(), error.origin()), (General, Unknown));
                let shown = error.to_string();
                assert!(shown.contains("connection"), "{shown}");
                assert!(!shown.contains("client error"), "{shown}");
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
            assert_matches!(error, Interrupted(_), raw);
        }
    }
    let endless_head = Answer::raw("HTTP/1.1 200 \r\n").filled_with("x-a: 1\r\n", u64::MAX);
    for error in errors(endless_head).await {
        assert_matches!(error, Interrupted(_));
    }
}

#[tokio::test]
async fn refused_connection_and_unknown_host_are_not_connected() {
    let refusing = FaultyServer::refusing_url().await.unwrap();
    for url in [&*refusing, "http://relay-proxy.invalid"] {
        let error = evaluate(&client(options(url))).await.unwrap_err();
        assert_matches!(error, NotConnected(_), url);
        assert_eq!((error.code(), error.origin()), (General, NotEvaluated));
    }
}

#[tokio::test]
async fn valid_responses_are_read_in_every_framing() {
    let length = STATIC.len();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let early = format!("HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\n\r\n{STATIC}");
    let (_server, client) = serving([
        Answer::new(200, STATIC),
        Answer::new(203, STATIC),
        Answer::raw(format!("{head}{length:x}\r\n{STATIC}\r\n0\r\n\r\n")),
        Answer::raw(format!("HTTP/1.0 200 OK\r\n\r\n{STATIC}")).then_close(),
        Answer::raw(early).then_close(),
    ])
    .await;
    for _ in 0..5 {
        let resolution = evaluate(&client).await.unwrap();
        assert_eq!(resolution.variant.as_deref(), Some("on"));
    }
}
