//! Kept-alive connections, and the one resend when one of them is dead (design: no other retry).

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Origin, RelayClient, RelayError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::*;

async fn evaluate(client: &HttpRelayClient) -> Result<(), RelayError> {
    client.evaluate("flag", &context()).await.map(|_| ())
}

#[tokio::test]
async fn requests_share_a_connection() {
    let server = server([Answer::new(200, STATIC)]).await;
    let client = client(&server);
    for _ in 0..5 {
        evaluate(&client).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn connection_closed_while_idle_costs_nothing() {
    let server = server([Answer::new(200, STATIC).then_close()]).await;
    let client = client(&server);
    for _ in 0..5 {
        evaluate(&client).await.unwrap();
        server
            .wait_for_ended_connections(server.connections())
            .await;
    }
    // Whether the pool noticed, or the request was sent again, the server saw each once.
    assert_eq!(server.requests().len(), 5);
}

/// GOFF-REM-005: the one exception.
#[tokio::test]
async fn reused_connection_that_dies_unanswered_is_given_one_resend() {
    for dead in [
        Answer::nothing().then_close(),
        Answer::nothing().then_reset(),
    ] {
        let server = server([
            Answer::new(200, STATIC),
            dead,
            Answer::new(200, r#"{"value":2,"reason":"STATIC"}"#),
        ])
        .await;
        let client = client(&server);
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

/// The connection ends between being taken from the pool and being written to. The test's one
/// thread makes it so: whoever watches the idle connection has not run yet.
#[tokio::test]
async fn connection_that_ends_while_it_is_taken_is_given_one_resend() {
    let (first, first_server) = tokio::io::duplex(4096);
    let (second, second_server) = tokio::io::duplex(4096);
    let pipes = Arc::new(Pipes(Mutex::new(vec![second, first])));
    let client = builder("http://localhost")
        .connector(pipes.clone())
        .build()
        .unwrap();
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
async fn second_death_is_an_error() {
    let server = server([Answer::new(200, STATIC), Answer::nothing().then_reset()]).await;
    let client = client(&server);
    evaluate(&client).await.unwrap();
    let error = evaluate(&client).await.unwrap_err();
    assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
    assert_eq!(server.requests().len(), 3);
}

/// GOFF-REM-005.
#[tokio::test]
async fn first_use_is_never_resent() {
    for dead in [
        Answer::nothing().then_close(),
        Answer::nothing().then_reset(),
    ] {
        let server = server([dead, Answer::new(200, STATIC)]).await;
        let client = client(&server);
        let error = evaluate(&client).await.unwrap_err();
        assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
        assert_eq!(error.origin(), Origin::Unknown);
        assert_eq!(server.requests().len(), 1);
    }
}

/// Nothing was evaluated where the connection ended, or spoke, before the request was written.
#[tokio::test]
async fn connection_that_ends_at_once_is_never_resent() {
    for dead in [
        Answer::nothing().on_connect().then_close(),
        Answer::nothing().on_connect().then_reset(),
        Answer::raw("HTTP/1.1 408 \r\ncontent-length: 0\r\n\r\n")
            .on_connect()
            .then_close(),
    ] {
        let server = server([dead.clone(), Answer::new(200, STATIC)]).await;
        let client = client(&server);
        let error = evaluate(&client).await.unwrap_err();
        assert!(
            matches!(
                error,
                RelayError::Interrupted(_)
                    | RelayError::NotConnected(_)
                    | RelayError::Status { status: 408, .. }
            ),
            "{dead:?}: {error:?}"
        );
        assert_eq!(server.connections(), 1, "{dead:?}");
    }
}

/// GOFF-REM-005.
#[tokio::test]
async fn answer_that_has_begun_is_never_asked_for_again() {
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
            let client = client(&server);
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

/// An answer may come before a long request is written; then the connection's death is no reason
/// to send again, though it died while writing.
#[tokio::test]
async fn answer_before_the_end_of_the_request_counts_as_begun() {
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
        // The beginning of the long request, an early answer, and the end.
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
    let client = builder(&url).build().unwrap();
    evaluate(&client).await.unwrap();
    let error = client.evaluate("flag", &long).await.unwrap_err();
    assert!(matches!(error, RelayError::Interrupted(_)), "{error:?}");
    assert!(serving.await.unwrap(), "a second connection was opened");
}

#[tokio::test]
async fn concurrent_requests_have_their_own_connections_and_leave_them_to_the_next() {
    let server = server([Answer::new(200, STATIC)]).await;
    let client = Arc::new(client(&server));
    for _ in 0..2 {
        let mut flights = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let client = Arc::clone(&client);
            flights.spawn(async move { evaluate(&client).await });
        }
        for outcome in flights.join_all().await {
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
