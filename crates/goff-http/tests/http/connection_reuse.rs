//! Kept-alive connections, and the one resend when such a connection closed.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, EvaluationContext, Origin, RelayClient, RelayError};
use goff_http::HttpRelayClient;
use goff_testkit::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::fixture::*;

async fn evaluate(client: &HttpRelayClient) -> Result<(), RelayError> {
    client.evaluate("flag", &context()).await.map(|_| ())
}

#[tokio::test]
async fn requests_share_a_connection() {
    let server = server([Answer::new(200, STATIC)]).await;
    let client = client_of(&server);
    for _ in 0..5 {
        evaluate(&client).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn connection_closed_while_idle_fails_no_request() {
    let server = server([Answer::new(200, STATIC).then_close()]).await;
    let client = client_of(&server);
    for _ in 0..5 {
        evaluate(&client).await.unwrap();
        server
            .wait_for_ended_connections(server.connections())
            .await;
    }
    // The pool noticed, or the request was sent again: the server received each once.
    assert_eq!(server.requests().len(), 5);
}

/// GOFF-REM-005, the exception.
#[tokio::test]
async fn request_is_resent_once_when_a_reused_connection_closes_unanswered() {
    for closing in [
        Answer::nothing().then_close(),
        Answer::nothing().then_reset(),
    ] {
        let server = server([
            Answer::new(200, STATIC),
            closing,
            Answer::new(200, r#"{"value":2,"reason":"STATIC"}"#),
        ])
        .await;
        let client = client_of(&server);
        evaluate(&client).await.unwrap();
        let resolution = client.evaluate("flag", &context()).await.unwrap();
        assert_eq!(resolution.value, 2);
        let requests = server.requests();
        let connections: Vec<_> = requests.iter().map(|seen| seen.connection).collect();
        assert_eq!(connections, [0, 0, 1]);
        assert_eq!(requests[1].body, requests[2].body);
        assert_eq!(requests[1].path, requests[2].path);
    }
}

#[derive(Debug)]
struct Pipes(Mutex<Vec<DuplexStream>>);

#[async_trait]
impl Connect for Pipes {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let pipe = self.0.lock().unwrap().pop();
        Ok(Box::new(pipe.ok_or(io::ErrorKind::ConnectionRefused)?))
    }
}

async fn answer_once(mut pipe: DuplexStream) -> DuplexStream {
    assert!(pipe.read(&mut [0; 4096]).await.unwrap() > 0);
    let length = STATIC.len();
    let answer = format!("HTTP/1.1 200 \r\ncontent-length: {length}\r\n\r\n{STATIC}");
    pipe.write_all(answer.as_bytes()).await.unwrap();
    pipe
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
    let error = evaluate(&client).await.unwrap_err();
    assert!(matches!(error, RelayError::NotConnected(_)), "{error:?}");
}

/// GOFF-REM-005.
#[tokio::test]
async fn second_closed_connection_is_an_error() {
    let server = server([Answer::new(200, STATIC), Answer::nothing().then_reset()]).await;
    let client = client_of(&server);
    evaluate(&client).await.unwrap();
    let error = evaluate(&client).await.unwrap_err();
    assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
    assert_eq!(server.requests().len(), 3);
}

/// GOFF-REM-005.
#[tokio::test]
async fn request_on_a_new_connection_is_never_resent() {
    for closing in [
        Answer::nothing().then_close(),
        Answer::nothing().then_reset(),
    ] {
        let server = server([closing, Answer::new(200, STATIC)]).await;
        let client = client_of(&server);
        let error = evaluate(&client).await.unwrap_err();
        assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
        assert_eq!(error.origin(), Origin::Unknown);
        assert_eq!(server.requests().len(), 1);
    }
}

/// The connection closes, or the server writes, before the request.
#[tokio::test]
async fn request_is_not_resent_when_a_new_connection_closes_at_once() {
    for closing in [
        Answer::nothing().on_connect().then_close(),
        Answer::nothing().on_connect().then_reset(),
        Answer::raw("HTTP/1.1 408 \r\ncontent-length: 0\r\n\r\n")
            .on_connect()
            .then_close(),
    ] {
        let server = server([closing.clone(), Answer::new(200, STATIC)]).await;
        let client = client_of(&server);
        let error = evaluate(&client).await.unwrap_err();
        assert!(
            matches!(
                error,
                RelayError::Interrupted(_)
                    | RelayError::NotConnected(_)
                    | RelayError::Status { status: 408, .. }
            ),
            "{closing:?}: {error:?}"
        );
        assert_eq!(server.connections(), 1, "{closing:?}");
    }
}

/// GOFF-REM-005.
#[tokio::test]
async fn request_is_never_resent_after_the_first_byte_of_the_response() {
    let head = "HTTP/1.1 200 \r\ncontent-length: 100\r\n";
    for begun in [
        "H",
        head,
        &format!("{head}\r\n"),
        &format!("{head}\r\n{{\"value\":"),
    ] {
        for broken in [
            Answer::raw(begun).then_close(),
            Answer::raw(begun).then_reset(),
        ] {
            let server = server([Answer::new(200, STATIC), broken, Answer::new(200, STATIC)]).await;
            let client = client_of(&server);
            evaluate(&client).await.unwrap();
            let error = evaluate(&client).await.unwrap_err();
            assert!(
                matches!(error, RelayError::Interrupted(_)),
                "{begun}: {error:?}"
            );
            assert_eq!(server.requests().len(), 2, "{begun}");
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
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        let answer = format!(
            "HTTP/1.1 200 \r\ncontent-length: {}\r\n\r\n{STATIC}",
            STATIC.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        // The beginning of the long request, an early response, and the end.
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 413 \r\ncontent-le")
            .await
            .unwrap();
        stream.read_exact(&mut vec![0; 1024 * 1024]).await.unwrap();
        drop(stream);
        tokio::time::timeout(Duration::from_millis(200), listener.accept())
            .await
            .is_err()
    });
    let client = client(options(&url));
    evaluate(&client).await.unwrap();
    let error = client.evaluate("flag", &long).await.unwrap_err();
    assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
    assert!(serving.await.unwrap(), "a second connection was opened");
}

#[tokio::test]
async fn concurrent_requests_use_separate_connections_and_reuse_them() {
    let server = server([Answer::new(200, STATIC)]).await;
    let client = Arc::new(client_of(&server));
    for _ in 0..2 {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let client = Arc::clone(&client);
            requests.spawn(async move { evaluate(&client).await });
        }
        for outcome in requests.join_all().await {
            outcome.unwrap();
        }
    }
    assert_eq!(server.requests().len(), 32);
    assert!(server.connections() <= 32);
    drop(client);
    server
        .wait_for_ended_connections(server.connections())
        .await;
}
