//! The caller's OpenTelemetry context goes with its requests.

use std::future::Future;

use goff_testkit::{Answer, FaultyServer};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use serde_json::json;

use crate::*;

const TRACEPARENT: &str = "00-0000000000000000000000000000002a-0000000000000007-01";

/// Other tests have no current context, so the propagator writes nothing for them.
fn set_propagator() {
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
}

fn traced<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    let span = SpanContext::new(
        TraceId::from(42),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let context = Context::new().with_remote_span_context(span);
    call.with_context(context.with_baggage([KeyValue::new("tenant", "a")]))
}

async fn server() -> FaultyServer {
    let body = json!({
        "value": true, "reason": "STATIC", "variationType": "A", "failed": false,
        "trackEvents": true, "cacheable": true, "errorCode": "", "version": "", "flags": {},
        "ingestedContentCount": 1,
    });
    FaultyServer::start([Answer::new(200, body.to_string())])
        .await
        .unwrap()
}

fn http_options(server: &FaultyServer) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new(server.url()).disable_cache_invalidation(true)
}

#[track_caller]
fn check(server: &FaultyServer, path: &str, traceparent: Option<&str>, baggage: Option<&str>) {
    let request = server.requests().pop().unwrap();
    assert!(request.path.starts_with(path), "{request:?}");
    assert_eq!(request.header("traceparent"), traceparent, "{path}");
    assert_eq!(request.header("baggage"), baggage, "{path}");
}

/// With and without the cache, whose requests run in a task; of all flags; and outside a runtime,
/// where they run on the client's. Background requests have no caller, and no context.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_carry_the_context_of_their_caller() {
    set_propagator();
    let flag = "/v1/feature/flag/eval";
    let (trace, baggage) = (Some(TRACEPARENT), Some("tenant=a"));
    for disable_cache in [false, true] {
        let server = server().await;
        let goff = connect(http_options(&server).disable_cache(disable_cache)).await;
        traced(evaluate(&goff, false)).await;
        check(&server, flag, trace, baggage);
        traced(goff.evaluate_all(&context())).await.unwrap();
        check(&server, "/v1/allflags", trace, baggage);
        goff.evaluate("flag", &user("user-2"), false).await;
        check(&server, flag, None, None);
        std::thread::scope(|scope| {
            let evaluation = async { goff.evaluate("flag", &user("user-3"), false).await };
            scope.spawn(|| pollster::block_on(traced(evaluation)));
        });
        check(&server, flag, trace, baggage);
        traced(evaluate(&goff, false)).await;
        traced(goff.flush(TIMEOUT)).await;
        let path = if disable_cache {
            flag
        } else {
            "/v1/data/collector"
        };
        check(
            &server,
            path,
            trace.filter(|_| disable_cache),
            baggage.filter(|_| disable_cache),
        );
    }
}

/// Headers of the client and of the option `custom_header` stay.
#[tokio::test]
async fn context_replaces_no_header() {
    set_propagator();
    let server = server().await;
    let options = http_options(&server).custom_header("baggage", "own=1");
    let goff = connect(options).await;
    traced(evaluate(&goff, false)).await;
    check(
        &server,
        "/v1/feature/flag/eval",
        Some(TRACEPARENT),
        Some("own=1"),
    );
}
