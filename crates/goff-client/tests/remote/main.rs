//! Remote evaluation and the lifecycle of a client, through the public API.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
mod evaluation;
#[cfg(feature = "ws")]
mod lifecycle;
#[cfg(feature = "http")]
mod options;
#[cfg(feature = "ws")]
mod options_effects;
mod single_flight;
mod stale_writes;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, Invalidation};
use goff_testkit::ScriptedRelay;

const TIMEOUT: Duration = Duration::from_secs(5);

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    GoFeatureFlag::connect(options(relay)).await.unwrap()
}

fn user(key: &str) -> EvaluationContext {
    EvaluationContext::builder().targeting_key(key).build()
}

fn context() -> EvaluationContext {
    user("user-1")
}

fn change_of(flag_key: &str) -> Invalidation {
    Invalidation::Flags([flag_key.to_owned()].into())
}

/// A miss, then `hits` hits; each hit is an event.
#[cfg(feature = "ws")]
async fn hit(goff: &GoFeatureFlag, hits: usize) {
    for _ in 0..=hits {
        let details = goff.evaluate("flag", &context(), false).await;
        assert!(details.error().is_none(), "{:?}", details.error());
    }
}
