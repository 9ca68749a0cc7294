//! Servers, clients, contexts and checks for the tests.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, EvaluationContext, RelayClient, RelayError, Resolution};
use goff_http::{HttpRelayClient, HttpRelayClientOptions, TransportStats};
use goff_testkit::{Answer, FaultyServer, SeenRequest};
use serde_json::Value;
use tokio::io::DuplexStream;

pub(crate) const STATIC: &str =
    r#"{"value":true,"reason":"STATIC","variationType":"on","errorCode":""}"#;

/// Asserts that a value matches a pattern. Shows it, and what else is given, where it does not.
macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)? $(, $about:expr)?) => {{
        let value = &$value;
        assert!(matches!(value, $pattern $(if $guard)?), "{value:?} {:?}", ($(&$about,)?));
    }};
}
pub(crate) use assert_matches;

/// A connector that hands out these streams, the last one first.
#[derive(Debug)]
pub(crate) struct Pipes(pub(crate) Mutex<Vec<DuplexStream>>);

#[async_trait]
impl Connect for Pipes {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let pipe = self.0.lock().unwrap().pop();
        Ok(Box::new(pipe.ok_or(io::ErrorKind::ConnectionRefused)?))
    }
}

pub(crate) async fn server(answers: impl IntoIterator<Item = Answer>) -> FaultyServer {
    FaultyServer::start(answers).await.unwrap()
}

pub(crate) fn options(url: &str) -> HttpRelayClientOptions {
    HttpRelayClientOptions::new(url.parse().unwrap())
}

pub(crate) fn client(options: HttpRelayClientOptions) -> HttpRelayClient {
    HttpRelayClient::new(options).unwrap()
}

/// A client whose timeout is too long to matter.
pub(crate) fn client_of(server: &FaultyServer) -> HttpRelayClient {
    client(options(&server.url()).timeout(Duration::from_secs(20)))
}

/// A server with these answers and its client.
pub(crate) async fn serving(
    answers: impl IntoIterator<Item = Answer>,
) -> (FaultyServer, HttpRelayClient) {
    let server = server(answers).await;
    let client = client_of(&server);
    (server, client)
}

pub(crate) fn context() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("plan", "pro")
        .build()
}

pub(crate) fn body(request: &SeenRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

pub(crate) async fn evaluate(client: &HttpRelayClient) -> Result<Resolution, RelayError> {
    client.evaluate("flag", &context()).await
}

/// Polls until the statistics are as expected.
pub(crate) async fn until(client: &HttpRelayClient, expected: impl Fn(TransportStats) -> bool) {
    let began = Instant::now();
    while !expected(client.transport_stats()) {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            client.transport_stats()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
