//! Any duration in any option.
//!
//! A separate test binary: it counts the panics of the whole process.
#![cfg(all(feature = "ws", feature = "in-process"))]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(feature = "blocking")]
use goff_client::blocking::GoFeatureFlag as Blocking;
use goff_client::{EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
use goff_testkit::{EmbeddedRelay, RecordingSink};
use proptest::prelude::*;

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

const COUNT: usize = 12;

async fn run(relay: &EmbeddedRelay, file: &Path, durations: [Duration; COUNT]) {
    let [
        timeout,
        cache_ttl,
        stale_if_error,
        reconnect,
        flush,
        poll,
        max_age,
        idle,
        connection_age,
        window,
        wait,
        check,
    ] = durations;
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let options = GoFeatureFlagOptions::new(relay.endpoint())
            .evaluation_type(mode)
            .timeout(timeout)
            .cache_ttl(cache_ttl)
            .stale_if_error(stale_if_error)
            .reconnect_interval(reconnect)
            .data_flush_interval(flush)
            .flag_change_polling_interval(poll)
            .last_known_good_file(file)
            .last_known_good_max_age(max_age)
            .idle_connection_timeout(idle)
            .max_connection_age(connection_age)
            .event_deduplication_window(window)
            .event_sink(Arc::new(RecordingSink::default()));
        let _ = GoFeatureFlag::connect_checked(options.clone(), check).await;
        call_blocking(options.clone(), wait, check);
        // A duration of zero is refused.
        let Ok(goff) = GoFeatureFlag::connect(options).await else {
            continue;
        };
        for user in ["a", "a", "b"] {
            // A timeout that is short or long enough gives the flag's value or the default.
            goff.evaluate("flag", &context(user), 0_i64).await;
            goff.evaluate("broken", &context(user), 0_i64).await;
            let _ = goff.evaluate_all(&context(user)).await;
        }
        goff.check(check).await;
        let _ = goff.refresh().await;
        let _ = goff.set_api_key("another").await;
        let short = Duration::from_millis(5);
        let _ = tokio::time::timeout(short, goff.wait_until_ready(wait)).await;
        if let Some(local) = goff.local() {
            local.evaluate("flag", &context("a"), 0_i64);
            local.flush(wait);
        }
        goff.flush(wait).await;
        let report = goff.shutdown(wait).await;
        assert!(report.recorded >= report.delivered);
    }
}

#[cfg(feature = "blocking")]
fn call_blocking(options: GoFeatureFlagOptions, wait: Duration, check: Duration) {
    let _ = Blocking::connect_checked(options.clone(), check);
    let Ok(blocking) = Blocking::connect(options) else {
        return;
    };
    blocking.evaluate("flag", &context("a"), 0_i64);
    let _ = blocking.check(check);
    let _ = blocking.refresh();
    let _ = blocking.set_api_key("another");
    let _ = blocking.wait_until_ready(wait.min(Duration::from_millis(5)));
    let mut subscription = blocking.subscribe();
    blocking.flush(wait);
    blocking.shutdown(wait);
    assert!(subscription.next(wait).is_some());
}

#[cfg(not(feature = "blocking"))]
fn call_blocking(_: GoFeatureFlagOptions, _: Duration, _: Duration) {}

fn context(user: &str) -> EvaluationContext {
    EvaluationContext::builder().targeting_key(user).build()
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
    let relay = EmbeddedRelay::builder()
        .flags(flags)
        .ping_interval(Duration::MAX)
        .poll_interval(Duration::MAX)
        .start()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flags");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cases = ProptestConfig::with_cases(64);
    let all = prop::array::uniform12(durations());
    proptest!(cases, |(durations in all)| {
        runtime.block_on(run(&relay, &file, durations));
        prop_assert_eq!(panics.load(Ordering::Relaxed), 0);
    });
    runtime.block_on(run(&relay, &file, [Duration::MAX; COUNT]));
    assert_eq!(panics.load(Ordering::Relaxed), 0);
}

/// The test above calls every public function that takes a duration.
#[test]
fn every_duration_is_tested() {
    let this = include_str!("durations.rs");
    let mut count = 0;
    let source = |file| format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
    let options = std::fs::read_dir(source("options")).unwrap();
    let options = options.map(|file| (file.unwrap().path(), "."));
    let others = [
        ("client/mod.rs", "goff."),
        ("client/blocking.rs", "blocking."),
        ("client/local_flags.rs", "local."),
    ];
    let others = others.map(|(file, receiver)| (source(file).into(), receiver));
    for (file, receiver) in options.chain(others) {
        let text = std::fs::read_to_string(file).unwrap();
        for function in text.split("\n    pub ").skip(1) {
            let signature = function.split('{').next().unwrap();
            let Some((name, types)) = signature.trim_start_matches("async ").split_once('(') else {
                continue;
            };
            let Some(name) = name.strip_prefix("fn ") else {
                continue;
            };
            if types.contains("Duration") {
                let receivers = [receiver, "GoFeatureFlag::", "Blocking::", "subscription."];
                let is_called = receivers
                    .iter()
                    .any(|receiver| this.contains(&format!("{receiver}{name}(")));
                assert!(is_called, "{receiver}{name} has no test");
                count += 1;
            }
        }
    }
    assert!(count >= 20, "{count}");
}
