//! The timeout bounds every request as a whole (GOFF-REM-006, Python C29).

use std::io;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Origin, RelayClient, RelayError};
use goff_http::{HttpRequest, HttpResponse, HttpTransport, TransportError};

use crate::*;

const SHORT: Duration = Duration::from_millis(200);

fn check(error: RelayError, sent: bool) {
    let RelayError::Timeout { timeout, sent: s } = error else {
        panic!("{error:?}");
    };
    assert_eq!((timeout, s), (SHORT, sent));
    let origin = if sent {
        Origin::Unknown
    } else {
        Origin::NotEvaluated
    };
    assert_eq!(error.origin(), origin);
}

/// GOFF-REM-006.
#[tokio::test]
async fn silent_server_is_given_up_wherever_it_stops() {
    let head = "HTTP/1.1 200 \r\ncontent-length: 100\r\n";
    for begun in [
        "",
        "HTTP/1.1 ",
        &format!("{head}\r\n"),
        &format!("{head}\r\n{{"),
    ] {
        let server = server([Answer::raw(begun).then_silence()]).await;
        let client = builder(&server.url()).timeout(SHORT).build().unwrap();
        let started = Instant::now();
        check(client.evaluate("flag", &context()).await.unwrap_err(), true);
        check(client.evaluate_all(&context()).await.unwrap_err(), true);
        assert!(started.elapsed() < Duration::from_secs(5));
        // What was given up is not left open.
        server.wait_for_ended_connections(2).await;
    }
}

/// Many pieces, each of them in time: the bound is on the whole.
/// GOFF-REM-006.
#[tokio::test]
async fn slow_body_is_given_up_as_a_whole() {
    let (client_side, mut server_side) = tokio::io::duplex(1024);
    let trickle = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        assert!(server_side.read(&mut [0; 1024]).await.unwrap() > 0);
        let _ = server_side
            .write_all(b"HTTP/1.1 200 \r\ncontent-length: 99999\r\n\r\n")
            .await;
        while server_side.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let once = Once(std::sync::Mutex::new(Some(client_side)));
    let client = builder("http://localhost")
        .timeout(SHORT)
        .connector(Arc::new(once))
        .build()
        .unwrap();
    check(client.evaluate("flag", &context()).await.unwrap_err(), true);
    trickle.await.unwrap();
}

#[derive(Debug)]
struct Once(std::sync::Mutex<Option<tokio::io::DuplexStream>>);

#[async_trait]
impl Connect for Once {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(Box::new(self.0.lock().unwrap().take().unwrap()))
    }
}

#[derive(Debug)]
struct NeverConnects;

#[async_trait]
impl Connect for NeverConnects {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        std::future::pending().await
    }
}

/// GOFF-REM-006.
#[tokio::test(start_paused = true)]
async fn connecting_counts_and_is_known_not_to_have_sent() {
    let client = builder("http://localhost")
        .timeout(SHORT)
        .connector(Arc::new(NeverConnects))
        .build()
        .unwrap();
    check(
        client.evaluate("flag", &context()).await.unwrap_err(),
        false,
    );
}

#[derive(Debug)]
struct NeverAnswers;

#[async_trait]
impl HttpTransport for NeverAnswers {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
        std::future::pending().await
    }
}

/// A transport of the caller's own is bounded too; as it reports nothing, it may have sent.
#[tokio::test(start_paused = true)]
async fn injected_transport_is_bounded() {
    let client = builder("http://localhost")
        .timeout(SHORT)
        .transport(Arc::new(NeverAnswers))
        .build()
        .unwrap();
    check(client.evaluate("flag", &context()).await.unwrap_err(), true);
}

#[tokio::test]
async fn late_answer_within_the_time_is_taken() {
    let server = server([Answer::new(200, STATIC).after(Duration::from_millis(50))]).await;
    client(&server).evaluate("flag", &context()).await.unwrap();
}

#[test]
fn timeout_of_zero_is_refused() {
    let error = builder("http://localhost")
        .timeout(Duration::ZERO)
        .build()
        .unwrap_err();
    assert_eq!(error.option, "timeout");
}
