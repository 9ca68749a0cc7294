//! The allocations of one evaluation above those of its transport. Their number does not depend on
//! the context, which is not copied.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;

use async_trait::async_trait;
use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, HttpTransport};
use goff_http::{HttpRequest, HttpResponse, TransportError};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts for the whole process; no other test runs in it.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocates nothing but the future that the trait boxes.
#[derive(Debug)]
struct CannedTransport;

#[async_trait]
impl HttpTransport for CannedTransport {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
        Ok(HttpResponse::new(
            http::StatusCode::OK,
            r#"{"trackEvents":true,"variationType":"True","failed":false,"version":"",
                "reason":"TARGETING_MATCH","errorCode":"","value":true,"cacheable":true}"#,
        ))
    }
}

fn context(attributes: usize) -> EvaluationContext {
    (0..attributes)
        .fold(
            EvaluationContext::builder().targeting_key("user-1"),
            |builder, n| builder.attribute(format!("attribute-{n}"), "value"),
        )
        .build()
}

fn allocations(goff: &GoFeatureFlag, context: &EvaluationContext) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        // Once unmeasured, for what is initialized lazily.
        assert!(goff.evaluate("flag", context, false).await.value);
    });
    let region = Region::new(ALLOCATOR);
    let value = runtime.block_on(async { goff.evaluate("flag", context, false).await.value });
    let allocations = region.change().allocations;
    assert!(value);
    allocations
}

#[test]
fn uncached_evaluation_allocates_the_same_for_any_context() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let options = GoFeatureFlagOptions::new("http://localhost")
        .disable_cache(true)
        .http_transport(CannedTransport);
    let goff = runtime.block_on(GoFeatureFlag::connect(options)).unwrap();
    let few = allocations(&goff, &context(1));
    let more = allocations(&goff, &context(12));
    assert_eq!(few, more, "an attribute costs an allocation");
    assert!(
        few <= MOST,
        "one uncached evaluation allocates {few} times above its transport, more than {MOST}"
    );
}

/// Stated, so that an increase is noticed: path, URL, body, headers, progress, the boxed futures
/// (one of them the transport's), the answer's strings, the outcome.
const MOST: usize = 14;
