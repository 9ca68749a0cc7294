//! Any duration in any option.
//!
//! A separate test binary: it counts the panics of the whole process.
#![cfg(all(feature = "ws", feature = "in-process"))]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use goff_client::{EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
use goff_testkit::EmbeddedRelay;
use proptest::prelude::*;
use tokio::time::timeout;

/// Short ones, long ones, and those at which the arithmetic of clocks and caches overflows.
fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        any::<Duration>(),
        Just(Duration::MAX),
        Just(Duration::MAX - Duration::from_millis(50)),
        Just(Duration::from_nanos(1)),
        Just(Duration::ZERO),
        Just(Duration::from_secs(1_000 * 365 * 24 * 60 * 60)),
        (0..2_000_u64).prop_map(Duration::from_millis),
    ]
}

#[derive(Debug, Clone)]
struct Durations {
    timeout: Duration,
    cache_ttl: Duration,
    reconnect: Duration,
    flush: Duration,
    poll: Duration,
    max_age: Duration,
    wait: Duration,
}

fn all_durations() -> impl Strategy<Value = Durations> {
    prop::array::uniform7(durations()).prop_map(
        |[timeout, cache_ttl, reconnect, flush, poll, max_age, wait]| Durations {
            timeout,
            cache_ttl,
            reconnect,
            flush,
            poll,
            max_age,
            wait,
        },
    )
}

async fn run(relay: &EmbeddedRelay, file: &std::path::Path, durations: &Durations) {
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let options = GoFeatureFlagOptions::new(relay.endpoint())
            .evaluation_type(mode)
            .timeout(durations.timeout)
            .cache_ttl(durations.cache_ttl)
            .reconnect_interval(durations.reconnect)
            .data_flush_interval(durations.flush)
            .flag_change_polling_interval(durations.poll)
            .last_known_good_file(file)
            .last_known_good_max_age(durations.max_age);
        // A duration of zero is refused.
        let Ok(goff) = GoFeatureFlag::connect(options).await else {
            continue;
        };
        for user in ["a", "a", "b"] {
            let context = EvaluationContext::builder().targeting_key(user).build();
            // A timeout that is short or long enough gives the flag's value or the default.
            goff.evaluate("flag", &context, 0_i64).await;
            goff.evaluate("broken", &context, 0_i64).await;
            let _ = goff.evaluate_all(&context).await;
        }
        let short = Duration::from_millis(5);
        let _ = timeout(short, goff.wait_until_ready(durations.wait)).await;
        goff.flush(durations.wait).await;
        let report = goff.shutdown(durations.wait).await;
        assert!(report.recorded >= report.delivered);
    }
}

/// Nothing panics, neither in a call nor in a background task.
#[test]
fn no_duration_makes_anything_panic() {
    let panics = Arc::new(AtomicUsize::new(0));
    let hook = std::panic::take_hook();
    std::panic::set_hook({
        let panics = Arc::clone(&panics);
        Box::new(move |info| {
            panics.fetch_add(1, Ordering::Relaxed);
            hook(info);
        })
    });
    let flags = "flag: {variations: {on: 7}, defaultRule: {variation: on}}";
    let relay = EmbeddedRelay::builder().flags(flags).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flags");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = ProptestConfig::with_cases(64);
    proptest!(cases, |(durations in all_durations())| {
        runtime.block_on(run(&relay, &file, &durations));
        prop_assert_eq!(panics.load(Ordering::Relaxed), 0);
    });
    let longest = [Duration::MAX; 7];
    let [timeout, cache_ttl, reconnect, flush, poll, max_age, wait] = longest;
    let longest = Durations {
        timeout,
        cache_ttl,
        reconnect,
        flush,
        poll,
        max_age,
        wait,
    };
    runtime.block_on(run(&relay, &file, &longest));
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}
