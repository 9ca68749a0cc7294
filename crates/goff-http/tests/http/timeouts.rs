//! The timeout bounds every request as a whole (GOFF-REM-006, docs/python-parity.md C29).

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use goff_core::Origin::{NotEvaluated, Unknown};
use goff_core::{ByteStream, Connect, RelayClient, RelayError};
use goff_http::{
    HttpRelayClient, HttpRelayClientOptions, HttpRequest, HttpResponse, HttpTransport,
    TransportError,
};
use goff_testkit::Answer;

use crate::fixture::*;

const SHORT: Duration = Duration::from_millis(200);

fn impatient(url: &str) -> HttpRelayClientOptions {
    options(url).timeout(SHORT)
}

fn check(error: RelayError, sent: bool) {
    let RelayError::Timeout {
        timeout, sent: s, ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((timeout, s), (SHORT, sent));
    let origin = if sent { Unknown } else { NotEvaluated };
    assert_eq!(error.origin(), origin);
}

/// GOFF-REM-006.
#[tokio::test]
async fn silent_server_times_out_at_any_point_of_the_response() {
    let head = "HTTP/1.1 200 \r\ncontent-length: 100\r\n";
    let whole_head = format!("{head}\r\n");
    let begun_body = format!("{whole_head}{{");
    for begun in ["", "HTTP/1.1 ", &whole_head, &begun_body] {
        let server = server([Answer::raw(begun).then_silence()]).await;
        let client = client(impatient(&server.url()));
        let started = Instant::now();
        check(evaluate(&client).await.unwrap_err(), true);
        check(client.evaluate_all(&context()).await.unwrap_err(), true);
        assert!(started.elapsed() < Duration::from_secs(5));
        // Timed-out connections are closed.
        server.wait_for_ended_connections(2).await;
    }
}

/// GOFF-REM-006: every piece arrives in time, the response as a whole does not.
#[tokio::test]
async fn slow_body_times_out_as_a_whole() {
    let (client_side, mut server_side) = tokio::io::duplex(1024);
    let trickle = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        assert!(server_side.read(&mut [0; 1024]).await.unwrap() > 0);
        let head = b"HTTP/1.1 200 \r\ncontent-length: 99999\r\n\r\n";
        let _ = server_side.write_all(head).await;
        while server_side.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let once = Pipes(Mutex::new(vec![client_side]));
    let client = client(impatient("http://localhost").connector(Arc::new(once)));
    check(evaluate(&client).await.unwrap_err(), true);
    trickle.await.unwrap();
}

/// GOFF-REM-006.
#[tokio::test(start_paused = true)]
async fn timeout_includes_connecting_and_knows_that_nothing_was_sent() {
    let client = client(impatient("http://localhost").connector(Arc::new(Never)));
    check(evaluate(&client).await.unwrap_err(), false);
}

/// Connects never, and answers never.
#[derive(Debug)]
struct Never;

#[async_trait]
impl Connect for Never {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        std::future::pending().await
    }
}

#[async_trait]
impl HttpTransport for Never {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
        std::future::pending().await
    }
}

/// A custom transport does not report progress, so the request counts as sent.
#[tokio::test(start_paused = true)]
async fn custom_transport_times_out() {
    let client = client(impatient("http://localhost").transport(Arc::new(Never)));
    check(evaluate(&client).await.unwrap_err(), true);
}

#[tokio::test]
async fn late_response_within_the_timeout_is_used() {
    let late = Answer::new(200, STATIC).after(Duration::from_millis(50));
    let (_server, client) = serving([late]).await;
    evaluate(&client).await.unwrap();
}

#[test]
fn timeout_of_zero_is_refused() {
    let options = options("http://localhost").timeout(Duration::ZERO);
    let error = HttpRelayClient::new(options).unwrap_err();
    assert_eq!(error.option(), "timeout");
}
