//! Remote evaluation and the lifecycle of a client, through the public API.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
mod circuit_breaker;
mod debug;
mod evaluation;
mod event_sink;
#[cfg(feature = "ws")]
mod executors;
#[cfg(feature = "ws")]
mod lifecycle;
#[cfg(feature = "http")]
mod options;
#[cfg(feature = "ws")]
mod options_effects;
mod panics;
mod prefetch;
#[cfg(all(feature = "ws", feature = "in-process", feature = "unix"))]
mod proxy;
#[cfg(feature = "ws")]
mod reachability;
#[cfg(feature = "http")]
mod request_stats;
mod single_flight;
mod stale_if_error;
mod stale_writes;
#[cfg(all(feature = "http", feature = "opentelemetry"))]
mod trace_context;
mod usage;

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    Attribute, ErrorCode, EvaluationContext, EvaluationDetails, FlagType, GoFeatureFlag,
    GoFeatureFlagOptions, Invalidation, RelayError,
};
use goff_testkit::ScriptedRelay;
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};

const TIMEOUT: Duration = secs(5);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
}

async fn connect(options: GoFeatureFlagOptions) -> GoFeatureFlag {
    GoFeatureFlag::connect(options).await.unwrap()
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    connect(options(relay)).await
}

/// A relay proxy with the flag `flag`, and a client of it.
async fn serving(value: impl Into<Value>) -> (ScriptedRelay, GoFeatureFlag) {
    let relay = ScriptedRelay::new().with_value("flag", value);
    let goff = goff(&relay).await;
    (relay, goff)
}

/// As [`serving`], with answers that the test completes.
async fn serving_manually(value: impl Into<Value>) -> (ScriptedRelay, GoFeatureFlag) {
    let (relay, goff) = serving(value).await;
    (relay.manual(), goff)
}

fn user(key: &str) -> EvaluationContext {
    EvaluationContext::builder().targeting_key(key).build()
}

fn context() -> EvaluationContext {
    user("user-1")
}

/// [`context`] with an attribute.
fn having(name: &str, value: impl Into<Attribute>) -> EvaluationContext {
    let builder = EvaluationContext::builder().targeting_key("user-1");
    builder.attribute(name, value).build()
}

async fn evaluate<T: FlagType>(goff: &GoFeatureFlag, default: T) -> EvaluationDetails<T> {
    goff.evaluate("flag", &context(), default).await
}

/// Polls until it is so.
#[track_caller]
fn until(is_so: impl AsyncFn() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let polling = async {
            while !is_so().await {
                tokio::time::sleep(millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(secs(20), polling).await;
        assert!(in_time.is_ok(), "not so: {caller}");
    }
}

#[track_caller]
fn code<T>(details: &EvaluationDetails<T>) -> ErrorCode {
    details.error().unwrap().code()
}

fn change_of(flag_key: &str) -> Invalidation {
    Invalidation::Flags([flag_key.to_owned()].into())
}

fn status(status: u16) -> RelayError {
    RelayError::Status {
        status,
        path: "/v1/feature/flag/eval".to_owned(),
        message: None,
        code: ErrorCode::General,
        server: None,
    }
}

fn rate_limited() -> RelayError {
    RelayError::RateLimited { remaining: secs(1) }
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// The numbers of events in the delivered batches.
fn sizes(relay: &ScriptedRelay) -> Vec<usize> {
    let batches = relay.batches().into_iter();
    batches.map(|batch| batch.events.len()).collect()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

fn both_runtimes() -> [Runtime; 2] {
    [current_thread(), multi_thread()]
}

/// A miss, then `hits` hits; each hit is an event.
#[cfg(feature = "ws")]
async fn hit(goff: &GoFeatureFlag, hits: usize) {
    for _ in 0..=hits {
        let details = evaluate(goff, false).await;
        assert!(details.error().is_none(), "{:?}", details.error());
    }
}
