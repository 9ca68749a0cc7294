//! In-process evaluation, through the public API: against a scripted relay proxy, and from a file.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "ws")]
mod conformant;
mod evaluation;
mod event_sink;
mod executors;
mod explain;
mod fallback;
#[cfg(feature = "file")]
mod flag_file;
mod last_known_good;
mod local_flags;
mod over_http;
mod refreshing;
mod snapshot;
mod starting;
mod test_flags;
mod updates;
mod usage;
mod validation;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    Attribute, ChangedFlags, ClientEvent, ErrorCode, EvaluationContext, EvaluationDetails,
    EvaluationType, FlagType, GoFeatureFlag, GoFeatureFlagOptions, Invalidation, Reason,
    RelayClient, RelayError, State, Subscription,
};
use goff_testkit::ScriptedRelay;
use serde_json::{Map, Value, json};

const TIMEOUT: Duration = secs(5);
const INTERVAL: Duration = secs(120);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn options_of(relay: impl RelayClient + 'static) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay))
        .evaluation_type(EvaluationType::InProcess)
}

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    options_of(relay.clone())
}

async fn connect(options: GoFeatureFlagOptions) -> GoFeatureFlag {
    GoFeatureFlag::connect(options).await.unwrap()
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    connect(options(relay)).await
}

/// A relay proxy with one flag, `flag`, whose value is always `value`.
fn relay(value: impl Into<Value>) -> ScriptedRelay {
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({"flag": giving(value)}), Some("\"1\""));
    relay
}

/// [`relay`] and a client of it.
async fn client_of(value: impl Into<Value>) -> (ScriptedRelay, GoFeatureFlag) {
    let relay = relay(value);
    let goff = goff(&relay).await;
    (relay, goff)
}

/// A relay proxy with these flags, and a client of it.
async fn serving(flags: Value) -> (ScriptedRelay, GoFeatureFlag) {
    let relay = ScriptedRelay::new();
    relay.set_flags(&flags, None);
    let goff = goff(&relay).await;
    (relay, goff)
}

/// Changes the value of `flag`, and the ETag.
fn update(relay: &ScriptedRelay, value: i64) {
    let etag = format!("\"{value}\"");
    relay.set_flags(&json!({"flag": giving(value)}), Some(&etag));
}

/// A flag whose value is always `value`.
fn giving(value: impl Into<Value>) -> Value {
    json!({"variations": {"A": value.into()}, "defaultRule": {"variation": "A"}})
}

/// `flag` with another member.
fn with(mut flag: Value, member: &str, value: impl Into<Value>) -> Value {
    let members = flag.as_object_mut().unwrap();
    members.insert(member.to_owned(), value.into());
    flag
}

/// A flag that is valid, and null since a scheduled step.
fn null_since_a_step() -> Value {
    let step = json!({"date": "2020-01-01T00:00:00Z", "variations": {"A": null}});
    with(giving(1), "scheduledRollout", json!([step]))
}

/// A flag that is valid, but whose progressive rollout has no dates: `FLAG_CONFIG`.
fn without_answer() -> Value {
    let rollout = json!({"initial": {"variation": "A"}, "end": {"variation": "A"}});
    with(
        giving(1),
        "defaultRule",
        json!({"progressiveRollout": rollout}),
    )
}

/// A flag that is valid, but with a scheduled step that changes a missing rule: `GENERAL`.
fn general() -> Value {
    let steps = json!([{
        "date": "2020-01-01T00:00:00Z",
        "targeting": [{"name": "never", "query": "a eq 1", "variation": "A"}],
        "defaultRule": {"percentage": {"A": 100}},
    }, {
        "date": "2020-01-02T00:00:00Z",
        "experimentation": {"start": "2020-01-01T00:00:00+24:00", "end": "2030-01-01T00:00:00Z"},
    }]);
    with(giving(1), "scheduledRollout", steps)
}

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

/// [`context`] with an attribute.
fn having(name: &str, value: impl Into<Attribute>) -> EvaluationContext {
    let builder = EvaluationContext::builder().targeting_key("user-1");
    builder.attribute(name, value).build()
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
        server: None,
    }
}

fn names(flags: &[&str]) -> BTreeSet<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

fn named(flags: &[&str]) -> Invalidation {
    Invalidation::Flags(names(flags))
}

fn changed(added: &[&str], updated: &[&str], removed: &[&str], enrichment: bool) -> ClientEvent {
    ClientEvent::ConfigurationChanged(ChangedFlags::Compared {
        added: names(added),
        updated: names(updated),
        removed: names(removed),
        enrichment,
    })
}

/// The event of a change of `flag` alone.
fn updated() -> ClientEvent {
    changed(&[], &["flag"], &[], false)
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
    tokio::time::sleep(secs(3600)).await;
}

fn last_error(goff: &GoFeatureFlag) -> String {
    goff.status().last_error.unwrap().to_string()
}

#[track_caller]
fn assert_state(goff: &GoFeatureFlag, state: State) {
    assert_eq!(goff.status().state, state, "{:?}", goff.status());
}

#[track_caller]
fn assert_refused(options: GoFeatureFlagOptions, message: &str) {
    let error = GoFeatureFlag::new(options).unwrap_err();
    assert_eq!(error.to_string(), message);
}
