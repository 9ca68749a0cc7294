//! Large responses are read where that delays no other task, and inside the timeout.

use std::time::Duration;

use async_trait::async_trait;
use goff_core::{RelayClient, RelayError};
use goff_http::{HttpRelayClient, HttpRequest, HttpResponse, HttpTransport, TransportError};
use http::StatusCode;

use crate::fixture::*;

/// Answers at once.
#[derive(Debug)]
struct Immediate(bytes::Bytes);

#[async_trait]
impl HttpTransport for Immediate {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
        Ok(HttpResponse::new(StatusCode::OK, self.0.clone()))
    }
}

fn answering(body: String) -> HttpRelayClient {
    let options = options("http://127.0.0.1").timeout(Duration::from_millis(1));
    let options = options.max_response_size(64 * 1024 * 1024);
    client(options.transport(std::sync::Arc::new(Immediate(body.into()))))
}

/// The runtime has one thread: its timer fires only if nothing occupies the thread while the
/// response, which takes many times the timeout, is read.
#[tokio::test]
async fn time_spent_reading_counts_into_the_timeout() {
    let items = vec!["[0]"; 1_000_000].join(",");
    let value = format!(r#"{{"reason":"STATIC","value":[{items}]}}"#);
    let flag = format!(r#"{{"variations":{{"a":[{items}]}}}}"#);
    let bulk = answering(format!(r#"{{"flags":{{"a":{value}}}}}"#));
    let flags = vec![flag; 8].join(r#","f":"#);
    let configuration = answering(format!(r#"{{"flags":{{"f":{flags}}}}}"#));
    let single = answering(value);
    for error in [
        evaluate(&single).await.unwrap_err(),
        bulk.evaluate_all(&context()).await.unwrap_err(),
        configuration
            .flag_configuration(&[], None)
            .await
            .unwrap_err(),
    ] {
        assert_matches!(error, RelayError::Timeout { sent: true, .. });
    }
}
