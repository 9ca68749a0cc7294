//! Servers, clients and contexts for the tests.

use std::time::Duration;

use goff_core::EvaluationContext;
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer};

pub(crate) const STATIC: &str =
    r#"{"value":true,"reason":"STATIC","variationType":"on","errorCode":""}"#;

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

pub(crate) fn context() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("plan", "pro")
        .build()
}
