//! The client over real connections, against servers on loopback.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod configuration;
mod connection_reuse;
mod endpoints;
mod requests;
mod retry_after;
mod seams;
mod secrets;
mod server_answers;
mod timeouts;
#[cfg(feature = "tls")]
mod tls;

use std::time::Duration;

use goff_core::EvaluationContext;
use goff_http::{HttpRelayClient, HttpRelayClientBuilder};
use goff_testkit::{Answer, FaultyServer};

const STATIC: &str = r#"{"value":true,"reason":"STATIC","variationType":"on","errorCode":""}"#;

async fn server(answers: impl IntoIterator<Item = Answer>) -> FaultyServer {
    FaultyServer::start(answers).await.unwrap()
}

fn builder(url: &str) -> HttpRelayClientBuilder {
    HttpRelayClient::builder(url.parse().unwrap())
}

/// A client that would rather fail than be slow.
fn client(server: &FaultyServer) -> HttpRelayClient {
    let builder = builder(&server.url()).timeout(Duration::from_secs(20));
    builder.build().unwrap()
}

fn context() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("plan", "pro")
        .build()
}
