//! In-process evaluation against a scripted relay proxy, through the public API.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod evaluation;
mod fallback;
mod local_flags;
mod over_http;
mod refreshing;
mod starting;
mod updates;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    ClientEvent, ErrorCode, EvaluationContext, EvaluationDetails, EvaluationType, FlagType,
    GoFeatureFlag, GoFeatureFlagOptions, RelayError, State, Subscription,
};
use goff_testkit::ScriptedRelay;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_secs(120);

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess)
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    GoFeatureFlag::connect(options(relay)).await.unwrap()
}

/// A relay proxy with one flag, `flag`, whose value is always `value`.
fn relay(value: impl Into<Value>) -> ScriptedRelay {
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({"flag": giving(value)}), Some("\"1\""));
    relay
}

/// A flag whose value is always `value`.
fn giving(value: impl Into<Value>) -> Value {
    json!({"variations": {"A": value.into()}, "defaultRule": {"variation": "A"}})
}

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

async fn evaluate<T: FlagType>(goff: &GoFeatureFlag, default: T) -> EvaluationDetails<T> {
    goff.evaluate("flag", &context(), default).await
}

#[track_caller]
fn code<T>(details: &EvaluationDetails<T>) -> Option<ErrorCode> {
    details.error().map(goff_client::ResolutionError::code)
}

fn unavailable() -> RelayError {
    status(503)
}

fn status(status: u16) -> RelayError {
    RelayError::Status {
        status,
        path: "/v1/flag/configuration".to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

/// The next event that is no error.
async fn next_event(subscription: &mut Subscription) -> ClientEvent {
    loop {
        match subscription.next().await.unwrap() {
            ClientEvent::Error(_) => {}
            event => return event,
        }
    }
}

/// Advances the paused clock by an hour, so that every timer has fired.
async fn an_hour() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

#[track_caller]
fn assert_state(goff: &GoFeatureFlag, state: State) {
    assert_eq!(goff.status().state, state, "{:?}", goff.status());
}
