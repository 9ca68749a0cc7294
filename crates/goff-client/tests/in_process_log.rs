//! The log of in-process evaluation.
//!
//! A separate test binary: tracing caches for the whole process which lines are enabled.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    ErrorCode, EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions,
    Invalidation, RefreshError, Refreshed, RelayError, State,
};
use goff_testkit::{RecordingLog, ScriptedRelay};
use serde_json::json;
use tracing::Level;

fn unavailable() -> RelayError {
    RelayError::Status {
        status: 503,
        path: "/v1/flag/configuration".to_owned(),
        message: None,
        code: ErrorCode::General,
        server: None,
    }
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess);
    GoFeatureFlag::connect(options).await.unwrap()
}

fn lines(log: &RecordingLog, level: Level, text: &str) -> usize {
    log.at(level)
        .iter()
        .filter(|line| line.contains(text))
        .count()
}

/// GOFF-ERR-005: the first failed refresh of an outage is a warning, the others are debug lines.
/// GOFF-FALLBACK-005, GOFF-FALLBACK-008: the first fallback of a flag and configuration is a
/// warning, the others are debug lines. The application sees only the results of its evaluations.
#[tokio::test(start_paused = true)]
async fn background_failures_are_logged() {
    let log = RecordingLog::of("goff");
    let _logging = tracing::subscriber::set_default(log.clone());
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({"broken": {"disable": "yes"}}), Some("\"1\""));
    let goff = goff(&relay).await;
    let refresh = "refresh failed";
    for outage in 1..=2 {
        relay.set_configuration_failure(Some(unavailable()));
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(lines(&log, Level::WARN, refresh), outage);
        relay.set_configuration_failure(None);
        tokio::time::sleep(Duration::from_secs(1000)).await;
    }
    assert!(lines(&log, Level::DEBUG, "refresh still failing") >= 10);

    let context = EvaluationContext::default();
    for round in 1..=3_u64 {
        // The relay proxy does not know the flag.
        let details = goff.evaluate("broken", &context, 1_i64).await;
        assert_eq!(details.error().unwrap().code(), ErrorCode::ParseError);
        let text = "falling back to the relay proxy";
        assert_eq!(lines(&log, Level::WARN, text), 1);
        assert_eq!(lines(&log, Level::WARN, "fallback_error"), 1);
        assert_eq!(lines(&log, Level::DEBUG, text) as u64, round - 1);
        let stats = goff.stats();
        assert_eq!((stats.fallbacks, stats.failed_fallbacks), (round, round));
    }
    // Another flag, and the same one in another configuration.
    let broken = json!({"disable": "yes"});
    relay.set_flags(&json!({"broken": broken, "other": broken}), Some("\"2\""));
    goff.invalidation_sink().invalidate(Invalidation::All);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for flag in ["broken", "other", "broken", "other"] {
        goff.evaluate(flag, &context, 1_i64).await;
    }
    assert_eq!(lines(&log, Level::WARN, "falling back"), 3);
}

/// GOFF-IP-017.
#[tokio::test(start_paused = true)]
async fn unknown_members_cause_no_warning() {
    let log = RecordingLog::of("goff");
    let _logging = tracing::subscriber::set_default(log.clone());
    let relay = ScriptedRelay::new();
    relay.set_flags(
        &json!({"flag": {
            "variations": {"A": 1}, "defaultRule": {"variation": "A"}, "fromTheFuture": {"x": 1},
        }}),
        None,
    );
    let goff = goff(&relay).await;
    let details = goff
        .evaluate("flag", &EvaluationContext::default(), 0_i64)
        .await;
    assert_eq!(details.value, 1);
    let loud: Vec<_> = log
        .lines()
        .into_iter()
        .filter(|(level, _)| *level <= Level::WARN)
        .collect();
    assert!(loud.is_empty(), "{loud:?}");
}

/// One warning names the flags that a configuration leaves out; the next one only new ones.
#[tokio::test(start_paused = true)]
async fn left_out_flags_are_warned_of_once() {
    let log = RecordingLog::of("goff");
    let _logging = tracing::subscriber::set_default(log.clone());
    let relay = ScriptedRelay::new();
    let flag =
        |variation: &str| json!({"variations": {"A": 1}, "defaultRule": {"variation": variation}});
    relay.set_flags(
        &json!({"good": flag("A"), "one": flag("B"), "two": flag("C")}),
        None,
    );
    let goff = goff(&relay).await;
    let warnings = || log.at(Level::WARN);
    let first = warnings();
    assert_eq!(first.len(), 1, "{first:?}");
    for part in [
        "flag `one`: `defaultRule.variation`",
        "flag `two`: `defaultRule.variation`",
    ] {
        assert!(first[0].contains(part), "{first:?}");
    }
    // Evaluations add nothing.
    let details = goff
        .evaluate("one", &EvaluationContext::default(), 0_i64)
        .await;
    assert_eq!(details.error().unwrap().code(), ErrorCode::FlagNotFound);
    assert_eq!(warnings().len(), 1);
    relay.set_flags(
        &json!({"good": flag("A"), "one": flag("B"), "three": flag("D")}),
        None,
    );
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let second = warnings();
    assert_eq!(second.len(), 2, "{second:?}");
    assert!(second[1].contains("flag `three`") && !second[1].contains("flag `one`"));
}

/// A flag that depends on others is evaluated by the relay proxy, which is warned of once.
#[tokio::test(start_paused = true)]
async fn flag_that_needs_others_is_warned_of_once() {
    let log = RecordingLog::of("goff");
    let _logging = tracing::subscriber::set_default(log.clone());
    let relay = ScriptedRelay::new().with_value("needy", 7);
    relay.set_flags(
        &json!({"needy": {
            "variations": {"A": 1}, "defaultRule": {"variation": "A"}, "needs": [{"flag": "x"}],
        }}),
        None,
    );
    let goff = goff(&relay).await;
    for _ in 0..3 {
        let details = goff
            .evaluate("needy", &EvaluationContext::default(), 0_i64)
            .await;
        assert_eq!(details.value, 7);
    }
    let warnings = log.at(Level::WARN);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("`needs`"), "{warnings:?}");
}

/// Polling that panics, here in the application's subscriber, is told by the status, logged once, and
/// goes on: at the first attempt, and with flags.
#[tokio::test(start_paused = true)]
async fn polling_goes_on_after_a_panic() {
    let log = RecordingLog::of("goff");
    log.panic_at("configuration refresh", 1);
    let _logging = tracing::subscriber::set_default(log.clone());
    let told = |goff: &GoFeatureFlag, state| {
        let status = goff.status();
        assert_eq!(status.state, state);
        let error = status.last_error.unwrap().to_string();
        assert_eq!(error, "flags not loaded: polling panicked");
    };
    let relay = ScriptedRelay::new();
    relay.set_configuration_failure(Some(unavailable()));
    let goff = goff(&relay).await;
    told(&goff, State::Error);
    relay.set_flags(&json!({}), Some("\"1\""));
    relay.set_configuration_failure(None);
    assert!(goff.wait_until_ready(Duration::from_secs(61)).await);
    for panics in 1..=2 {
        log.panic_at("configuration refresh", panics);
        relay.set_configuration_failure(Some(unavailable()));
        for _ in 0..10_000 {
            if log.panics_left() > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        assert_eq!(log.panics_left(), 0);
        told(&goff, State::Stale);
        relay.set_configuration_failure(None);
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(goff.status().state, State::Ready);
    }
    assert_eq!(lines(&log, Level::ERROR, "panicked"), 1);
    assert_eq!(lines(&log, Level::DEBUG, "panicked again"), 3);
}

/// A refresh that was asked for says what happened, and the next one need not wait for the pause.
#[tokio::test(start_paused = true)]
async fn refresh_says_that_polling_panicked() {
    let log = RecordingLog::of("goff");
    let _logging = tracing::subscriber::set_default(log.clone());
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({}), Some("\"1\""));
    let goff = goff(&relay).await;
    for round in 2..5 {
        log.panic_at("flag configuration loaded", 1);
        let etag = format!("\"{round}\"");
        let flags =
            json!({"flag": {"variations": {"A": round}, "defaultRule": {"variation": "A"}}});
        relay.set_flags(&flags, Some(&etag));
        let error = goff.refresh().await.unwrap_err();
        assert!(matches!(error, RefreshError::Failed(_)), "{error:?}");
        assert_eq!(error.to_string(), "flags not loaded: polling panicked");
        let begun = tokio::time::Instant::now();
        assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    }
}
