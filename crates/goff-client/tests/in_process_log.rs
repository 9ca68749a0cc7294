//! What in-process evaluation logs.
//!
//! A test binary of its own, because what is enabled is cached for the whole process.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod log;

use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    ErrorCode, EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, RelayError,
};
use goff_testkit::ScriptedRelay;
use serde_json::json;
use tracing::Level;

use self::log::Log;

fn unavailable() -> RelayError {
    RelayError::Status {
        status: 503,
        path: "/v1/flag/configuration".to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess);
    GoFeatureFlag::connect(options).await.unwrap()
}

fn lines(log: &Log, level: Level, text: &str) -> usize {
    log.lines()
        .iter()
        .filter(|(at, line)| *at == level && line.contains(text))
        .count()
}

/// GOFF-ERR-005: a failure is warned of once until a refresh succeeds again; those that follow it
/// are details. GOFF-FALLBACK-005, GOFF-FALLBACK-008: each fallback is a warning, and so is its
/// failure. None of it reaches the application but as its own evaluation's result.
#[tokio::test(start_paused = true)]
async fn failures_behind_the_scenes_are_logged() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({"broken": {"disable": "yes"}}), Some("\"1\""));
    let goff = goff(&relay).await;
    let refresh = "could not be refreshed";
    for outage in 1..=2 {
        relay.set_configuration_failure(Some(unavailable()));
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(lines(&log, Level::WARN, refresh), outage);
        relay.set_configuration_failure(None);
        tokio::time::sleep(Duration::from_secs(1000)).await;
    }
    assert!(lines(&log, Level::DEBUG, "still not be refreshed") >= 10);

    let context = EvaluationContext::default();
    for round in 1..=3 {
        // The relay proxy does not know the flag.
        let details = goff.evaluate("broken", &context, 1_i64).await;
        assert_eq!(details.error().unwrap().code(), ErrorCode::ParseError);
        assert_eq!(lines(&log, Level::WARN, "the relay proxy is asked"), round);
        assert_eq!(
            lines(&log, Level::WARN, "could not evaluate it either"),
            round
        );
    }
}

/// GOFF-IP-017: what is unknown is no reason to warn.
#[tokio::test(start_paused = true)]
async fn unknown_members_are_not_warned_of() {
    let log = Log::default();
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
