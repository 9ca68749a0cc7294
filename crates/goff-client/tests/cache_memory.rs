//! Memory of the cache: at most `max_cache_bytes` and a quarter, whatever end users send and the
//! relay proxy answers, and the evicted answers that moka frees later, some hundred.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::sync::Arc;

use async_trait::async_trait;
use goff_client::{
    ContextView, EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, Reason, RelayClient,
    RelayError, Resolution,
};
use serde_json::{Map, Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts for the whole process, so this test has its process alone.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Gives one answer, and unlike `ScriptedRelay` stores no requests.
#[derive(Debug)]
struct Constant(Resolution);

#[async_trait]
impl RelayClient for Constant {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(self.0.clone())
    }
}

fn user(n: usize) -> goff_core::EvaluationContextBuilder {
    EvaluationContext::builder().targeting_key(n.to_string())
}

fn members(count: usize) -> Value {
    let members = (0..count).map(|n| (n.to_string(), json!(n)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Evaluates for so many users. Returns what the cache keeps, by the allocator and by its count. What
/// the cache before frees late is in the region too.
async fn kept(
    region: &Region<'_, System>,
    options: GoFeatureFlagOptions,
    users: usize,
    context: &dyn Fn(usize) -> EvaluationContext,
) -> (usize, usize) {
    let goff = GoFeatureFlag::connect(options.disable_data_collection(true))
        .await
        .unwrap();
    for n in 0..users {
        goff.evaluate("flag", &context(n), Value::Null).await;
    }
    let change = region.change();
    let counted = usize::try_from(goff.stats().cache_bytes).unwrap();
    (change.bytes_allocated - change.bytes_deallocated, counted)
}

fn options(value: Value) -> GoFeatureFlagOptions {
    let answer = Resolution::new(value, Reason::Static).with_cacheable(true);
    GoFeatureFlagOptions::with_relay_client(Arc::new(Constant(answer)))
}

type Case<'a> = (
    &'a Value,
    usize,
    &'a dyn Fn(usize) -> EvaluationContext,
    usize,
);

#[tokio::test]
async fn cache_keeps_no_more_than_the_limit() {
    const MIB: usize = 1024 * 1024;
    // The largest answer that is cached.
    const LARGEST: usize = 64 * 1024;
    let text = |length: usize| "x".repeat(length);
    let (plain, large) = (json!(true), json!(text(30_000)));
    let small_objects = json!(vec![members(1); 80]);
    // Answer, users, context, limit.
    let cases: [Case<'_>; 6] = [
        (
            &plain,
            10_000,
            &|n| user(n).attribute("agent", text(100_000)).build(),
            64 * MIB,
        ),
        (
            &plain,
            5_000,
            &|n| user(n).attribute("agent", text(20_000)).build(),
            64 * MIB,
        ),
        (
            &plain,
            3_000,
            &|n| user(n).attribute("all", members(100)).build(),
            8 * MIB,
        ),
        (&large, 3_000, &|n| user(n).build(), 8 * MIB),
        (&members_of_members(), 3_000, &|n| user(n).build(), 8 * MIB),
        (&small_objects, 3_000, &|n| user(n).build(), 8 * MIB),
    ];
    let region = Region::new(ALLOCATOR);
    for (n, (answer, users, context, limit)) in cases.into_iter().enumerate() {
        let options = options(answer.clone()).max_cache_bytes(limit as u64);
        let (kept, counted) = kept(&region, options, users, context).await;
        let allowed = limit + limit / 4 + 300 * LARGEST;
        assert!(kept < allowed, "case {n}: {kept} bytes of {allowed}");
        assert!(
            counted <= limit + limit / 8,
            "case {n}: {counted} bytes of {limit}"
        );
        // An answer with a context of 100 kB is not cached at all.
        assert!(
            n == 0 || kept > limit / 4,
            "case {n}: {kept} bytes of {limit}"
        );
    }
    default_limits_hold_ten_thousand_ordinary_answers().await;
}

fn members_of_members() -> Value {
    json!({"a": members(40), "b": members(40), "c": vec![members(1); 10]})
}

/// 10,000 ordinary users fit into the default limit.
async fn default_limits_hold_ten_thousand_ordinary_answers() {
    let answer = Resolution::new(true, Reason::Static).with_cacheable(true);
    let relay = Arc::new(Constant(answer));
    let options = GoFeatureFlagOptions::with_relay_client(relay).disable_data_collection(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let context = |n| {
        user(n)
            .attribute("email", "john@example.org")
            .attribute("age", 30)
            .build()
    };
    for _ in 0..2 {
        for n in 0..10_000 {
            goff.evaluate("flag", &context(n), false).await;
        }
    }
    let stats = goff.stats();
    assert_eq!(
        (stats.misses, stats.hits, stats.evictions),
        (10_000, 10_000, 0)
    );
    assert!(
        (1_000_000..30_000_000).contains(&stats.cache_bytes),
        "{}",
        stats.cache_bytes
    );
}
