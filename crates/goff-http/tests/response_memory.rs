//! The memory that a hostile response takes. A separate test binary: it counts allocations.

use std::alloc::System;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::{EvaluationContext, RelayClient, RelayError};
use goff_http::{
    DEFAULT_MAX_RESPONSE_SIZE, HttpRelayClient, HttpRelayClientOptions, HttpRequest, HttpResponse,
    HttpTransport, MAX_BULK_SIZE, TransportError,
};
use http::StatusCode;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Answers at once.
#[derive(Debug)]
struct Immediate(Bytes);

#[async_trait]
impl HttpTransport for Immediate {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
        Ok(HttpResponse::new(StatusCode::OK, self.0.clone()))
    }
}

/// As many of these items as fit into `size` bytes.
fn filled(before: &str, item: &str, after: &str, size: usize) -> Bytes {
    let count = (size - before.len() - after.len()) / (item.len() + 1);
    let items = vec![item; count].join(",");
    Bytes::from([before, &items, after].concat())
}

/// At most 16 times the limit is allocated in all while a response is read, freed parts included.
#[tokio::test]
async fn memory_is_bounded_by_the_size_limit() {
    let context = EvaluationContext::default();
    for item in [
        r#"{"":0}"#,
        "{}",
        "0",
        "[[]]",
        r#""a""#,
        r#"{"a":{"b":{}}}"#,
    ] {
        for (limit, in_bulk) in [(DEFAULT_MAX_RESPONSE_SIZE, false), (MAX_BULK_SIZE, true)] {
            let (before, after) = match in_bulk {
                false => (r#"{"reason":"STATIC","cacheable":true,"value":["#, "]}"),
                true => (r#"{"flags":{"f":{"reason":"STATIC","value":["#, "]}}}"),
            };
            // The densest response that is read is shorter than the limit.
            for size in [limit, limit / 3, limit / 8] {
                let body = filled(before, item, after, size);
                let options = HttpRelayClientOptions::new("http://localhost".parse().unwrap())
                    .transport(Arc::new(Immediate(body)));
                let client = HttpRelayClient::new(options).unwrap();
                let region = Region::new(ALLOCATOR);
                let error = match in_bulk {
                    false => client.evaluate("f", &context).await.err(),
                    true => client.evaluate_all(&context).await.err(),
                };
                let allocated = region.change().bytes_allocated;
                assert!(
                    allocated <= 16 * limit,
                    "{item}, {size} bytes: {allocated} bytes allocated, {error:?}"
                );
                if let Some(error) = error {
                    assert!(matches!(error, RelayError::Body { .. }), "{error}");
                }
            }
        }
    }
}
