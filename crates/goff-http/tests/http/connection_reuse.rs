//! Kept-alive connections, and the one resend when such a connection closed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use goff_core::RelayError::{Interrupted, NotConnected, Status};
use goff_core::{ByteStream, EvaluationContext, Origin, RelayClient};
use goff_testkit::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::*;

#[tokio::test]
async fn requests_share_a_connection() {
    let (server, client) = serving([Answer::new(200, STATIC)]).await;
    for _ in 0..5 {
        evaluate(&client).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn connection_closed_while_idle_fails_no_request() {
    let (server, client) = serving([Answer::new(200, STATIC).then_close()]).await;
    for _ in 0..5 {
        evaluate(&client).await.unwrap();
        let opened = server.connections();
        server.wait_for_ended_connections(opened).await;
    }
    // The pool noticed, or the request was sent again: the server received each once.
    assert_eq!(server.requests().len(), 5);
}

/// The ways to close a connection without a response.
fn closing() -> [Answer; 2] {
    let nothing = Answer::nothing();
    [nothing.clone().then_close(), nothing.then_reset()]
}

/// GOFF-REM-005, the exception.
#[tokio::test]
async fn request_is_resent_once_when_a_reused_connection_closes_unanswered() {
    for closing in closing() {
        let other = Answer::new(200, r#"{"value":2,"reason":"STATIC"}"#);
        let (server, client) = serving([Answer::new(200, STATIC), closing, other]).await;
        evaluate(&client).await.unwrap();
        assert_eq!(evaluate(&client).await.unwrap().value, 2);
        let requests = server.requests();
        let connections: Vec<_> = requests.iter().map(|seen| seen.connection).collect();
        assert_eq!(connections, [0, 0, 1]);
        assert_eq!(requests[1].body, requests[2].body);
        assert_eq!(requests[1].path, requests[2].path);
    }
}

async fn answer_once<S: ByteStream>(mut stream: S) -> S {
    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
    let length = STATIC.len();
    let answer = format!("HTTP/1.1 200 \r\ncontent-length: {length}\r\n\r\n{STATIC}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

/// The connection closes between leaving the pool and the first write. The single thread of the
/// test ensures that hyper has not noticed yet.
#[tokio::test]
async fn request_is_resent_once_when_the_connection_closes_while_leaving_the_pool() {
    let (first, first_server) = tokio::io::duplex(4096);
    let (second, second_server) = tokio::io::duplex(4096);
    let pipes = Arc::new(Pipes(Mutex::new(vec![second, first])));
    let client = client(options("http://localhost").connector(pipes.clone()));
    let serving = tokio::spawn(answer_once(first_server));
    evaluate(&client).await.unwrap();
    let first_server = serving.await.unwrap();

    let serving = tokio::spawn(answer_once(second_server));
    drop(first_server);
    evaluate(&client).await.unwrap();
    assert!(pipes.0.lock().unwrap().is_empty());

    drop(serving.await.unwrap());
    assert_matches!(evaluate(&client).await.unwrap_err(), NotConnected(_));
}

/// GOFF-REM-005.
#[tokio::test]
async fn second_closed_connection_is_an_error() {
    let answers = [Answer::new(200, STATIC), Answer::nothing().then_reset()];
    let (server, client) = serving(answers).await;
    evaluate(&client).await.unwrap();
    assert_matches!(evaluate(&client).await.unwrap_err(), Interrupted(_));
    assert_eq!(server.requests().len(), 3);
}

/// GOFF-REM-005.
#[tokio::test]
async fn request_on_a_new_connection_is_never_resent() {
    for closing in closing() {
        let (server, client) = serving([closing, Answer::new(200, STATIC)]).await;
        let error = evaluate(&client).await.unwrap_err();
        assert_matches!(error, Interrupted(_));
        assert_eq!(error.origin(), Origin::Unknown);
        assert_eq!(server.requests().len(), 1);
    }
}

/// The connection closes, or the server writes, before the request.
#[tokio::test]
async fn request_is_not_resent_when_a_new_connection_closes_at_once() {
    let timed_out = Answer::raw("HTTP/1.1 408 \r\ncontent-length: 0\r\n\r\n").then_close();
    for closing in closing().into_iter().chain([timed_out]) {
        let closing = closing.on_connect();
        let (server, client) = serving([closing.clone(), Answer::new(200, STATIC)]).await;
        let error = evaluate(&client).await.unwrap_err();
        assert_matches!(
            error,
            Interrupted(_) | NotConnected(_) | Status { status: 408, .. },
            closing
        );
        assert_eq!(server.connections(), 1, "{closing:?}");
    }
}

/// GOFF-REM-005.
#[tokio::test]
async fn request_is_never_resent_after_the_first_byte_of_the_response() {
    let head = "HTTP/1.1 200 \r\ncontent-length: 100\r\n";
    let whole_head = format!("{head}\r\n");
    let begun_body = format!("{whole_head}{{\"value\":");
    for begun in ["H", head, &whole_head, &begun_body] {
        let begun = Answer::raw(begun);
        for broken in [begun.clone().then_close(), begun.then_reset()] {
            let complete = Answer::new(200, STATIC);
            let (server, client) = serving([complete.clone(), broken.clone(), complete]).await;
            evaluate(&client).await.unwrap();
            assert_matches!(evaluate(&client).await.unwrap_err(), Interrupted(_), broken);
            assert_eq!(server.requests().len(), 2, "{broken:?}");
        }
    }
}

/// A response may begin before a long request is written. The connection then closes while
/// writing, and the request is not sent again.
#[tokio::test]
async fn response_before_the_end_of_the_request_counts_as_begun() {
    let long = EvaluationContext::builder()
        .attribute("text", "x".repeat(8 * 1024 * 1024))
        .build();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = answer_once(stream).await;
        // The beginning of the long request, an early response, and the end.
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        let early = b"HTTP/1.1 413 \r\ncontent-le";
        stream.write_all(early).await.unwrap();
        stream.read_exact(&mut vec![0; 1024 * 1024]).await.unwrap();
        drop(stream);
        let second = tokio::time::timeout(Duration::from_millis(200), listener.accept());
        second.await.is_err()
    });
    let client = client(options(&url));
    evaluate(&client).await.unwrap();
    let error = client.evaluate("flag", &long).await.unwrap_err();
    assert_matches!(error, Interrupted(_));
    assert!(serving.await.unwrap(), "a second connection was opened");
}

#[tokio::test]
async fn concurrent_requests_use_separate_connections_and_reuse_them() {
    let (server, client) = serving([Answer::new(200, STATIC)]).await;
    for _ in 0..2 {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let client = client.clone();
            requests.spawn(async move { evaluate(&client).await });
        }
        for outcome in requests.join_all().await {
            outcome.unwrap();
        }
    }
    assert_eq!(server.requests().len(), 32);
    assert!(server.connections() <= 32);
    drop(client);
    let opened = server.connections();
    server.wait_for_ended_connections(opened).await;
}
