//! The steps of the suites, in the words of both.

use std::time::{Duration, Instant};

use cucumber::gherkin::Step;
use cucumber::{given, then, when};
use goff_provider::GoFeatureFlagProvider;
use open_feature::provider::FeatureProvider as _;
use serde_json::{Value, json};

use crate::surfaces::{Seen, Typed, User};
use crate::world::{Tck, modify_flag, names};

#[given(regex = r"^an? (stable|unavailable|error|not ready|fatal|stale) provider$")]
async fn a_provider(tck: &mut Tck, state: String) {
    match state.as_str() {
        "stable" => tck.start_stable().await,
        "stale" => {
            tck.start_stable().await;
            tck.lose_connection().await;
            tck.event("stale", None).await;
        }
        "not ready" => tck.make_not_ready().await,
        "fatal" => tck.start_fatal().await,
        _ => {
            tck.start_unavailable().await;
            // With remote evaluation the provider learns it from its change stream, later than at the start.
            if state == "error" {
                tck.event("error", None).await;
            }
        }
    }
}

#[given(regex = r#"^an? (\w+)-flag with key "([^"]*)" and a (?:default|fallback) value "(.*)"$"#)]
fn a_flag(tck: &mut Tck, kind: String, key: String, default: String) {
    tck.flag = Some((key, typed(&kind, &default)));
}

/// They are subscribed to when the provider starts.
#[given(regex = r"^an? (?:ready|stale|error|change) event handler$")]
fn an_event_handler(_: &mut Tck) {}

#[given(regex = r#"^a context containing a targeting key with value "([^"]*)"$"#)]
fn a_targeting_key(tck: &mut Tck, key: String) {
    tck.user = Some(User::new(key));
}

#[given(
    regex = r#"^a context containing a key "([^"]*)", with type "(\w+)" and with value "(.*)"$"#
)]
fn an_attribute(tck: &mut Tck, name: String, kind: String, value: String) {
    let user = tck.user.take().unwrap_or_else(User::without_key);
    tck.user = Some(user.with(&name, typed(&kind, &value).to_json()));
}

#[given(regex = r#"^a context containing a key "([^"]*)" with null value$"#)]
fn a_null_attribute(tck: &mut Tck, name: String) {
    let user = tck.user.take().unwrap_or_else(User::without_key);
    tck.user = Some(user.with(&name, Value::Null));
}

#[given(regex = r"^a client with added hook$")]
fn a_hook(tck: &mut Tck) {
    tck.add_hook();
}

#[when(regex = r"^the flag was evaluated with details$")]
async fn evaluate(tck: &mut Tck) {
    tck.evaluate().await;
}

#[when(regex = r"^the resolved value is remembered$")]
fn remember(tck: &mut Tck) {
    tck.remembered = Some(tck.seen().value.clone());
}

#[when(regex = r"^the flag was modified$")]
async fn modify(tck: &mut Tck) {
    tck.stream_opens().await;
    modify_flag();
}

#[when(regex = r"^the connection is lost$")]
async fn lose(tck: &mut Tck) {
    tck.lose_connection().await;
}

#[when(regex = r"^the connection is restored$")]
async fn restore(tck: &mut Tck) {
    tck.restore_connection().await;
}

#[when(regex = r"^the provider is shut down$")]
async fn shut_down(tck: &mut Tck) {
    let start = Instant::now();
    tck.goff().shutdown(Duration::from_secs(30)).await;
    tck.shutdown_took = Some(start.elapsed());
}

#[when(regex = r"^the provider is initialized again$")]
async fn initialize(tck: &mut Tck) {
    tck.goff().initialize().await.unwrap();
}

#[when(regex = r"^an? (\w+) event was fired$")]
async fn was_fired(tck: &mut Tck, name: String) {
    tck.event(&name, None).await;
}

#[then(regex = r"^the (\w+) event handler should have been executed$")]
async fn was_executed(tck: &mut Tck, name: String) {
    tck.event(&name, None).await;
}

#[then(regex = r"^the (\w+) event handler should have been executed within (\d+)ms$")]
async fn was_executed_within(tck: &mut Tck, name: String, milliseconds: u64) {
    tck.event(&name, Some(Duration::from_millis(milliseconds)))
        .await;
}

#[then(regex = r"^the flag should be part of the event payload$")]
fn is_in_the_payload(tck: &mut Tck) {
    let (flag, _) = tck.flag.as_ref().unwrap();
    let changed = tck.changed.as_ref().expect("no change was announced");
    assert!(names(changed, flag), "{changed:?}");
}

#[then(regex = r#"^the client should be in (\w+) state$"#)]
fn client_state(tck: &mut Tck, state: String) {
    assert_eq!(tck.status().to_lowercase(), state);
}

#[then(regex = r#"^the provider status should be "(\w+)"$"#)]
fn provider_status(tck: &mut Tck, status: String) {
    assert_eq!(tck.status(), status);
}

#[then(regex = r"^the provider metadata name should not be empty$")]
fn metadata_name(tck: &mut Tck) {
    let provider = GoFeatureFlagProvider::from(tck.goff());
    assert_ne!(provider.metadata().name, "");
}

#[then(regex = r"^the shutdown should have completed within (\d+)ms$")]
fn shutdown_was_prompt(tck: &mut Tck, milliseconds: u64) {
    let took = tck.shutdown_took.expect("nothing was shut down");
    assert!(took < Duration::from_millis(milliseconds), "{took:?}");
}

/// A panic has failed the step in which it happened.
#[then(regex = r"^no exception should have been thrown$")]
fn no_exception(tck: &mut Tck) {
    assert!(
        tck.seen.is_some() || tck.shutdown_took.is_some(),
        "nothing was called"
    );
}

#[then(regex = r#"^the resolved details value should be "(.*)"$"#)]
fn value(tck: &mut Tck, expected: String) {
    let (_, default) = tck.flag.as_ref().unwrap();
    let expected = match default {
        Typed::Bool(_) => typed("Boolean", &expected),
        Typed::Int(_) => typed("Integer", &expected),
        Typed::Float(_) => typed("Float", &expected),
        Typed::Text(_) => typed("String", &expected),
        Typed::Object(_) => typed("Object", &expected),
    };
    assert_eq!(tck.seen().value, expected.to_json(), "{:?}", tck.seen());
}

#[then(regex = r"^the resolved details value should have changed$")]
fn value_has_changed(tck: &mut Tck) {
    let before = tck.remembered.as_ref().expect("no value was remembered");
    assert_ne!(&tck.seen().value, before);
}

#[then(regex = r#"^the variant should be "(.*)"$"#)]
fn variant(tck: &mut Tck, expected: String) {
    assert_eq!(tck.seen().variant.as_deref().unwrap_or_default(), expected);
}

#[then(regex = r#"^the reason should be "(.*)"$"#)]
fn reason(tck: &mut Tck, expected: String) {
    assert_eq!(tck.seen().reason, expected, "{:?}", tck.seen());
}

#[then(regex = r#"^the error-code should be "(.*)"$"#)]
fn error_code(tck: &mut Tck, expected: String) {
    let code = tck.seen().error_code.as_deref().unwrap_or_default();
    assert_eq!(code, expected, "{:?}", tck.seen());
}

#[then(regex = r"^the error message should be empty$")]
fn no_message(tck: &mut Tck) {
    assert_eq!(tck.seen().message, "");
}

#[then(regex = r#"^the flag key should be "(.*)"$"#)]
fn flag_key(tck: &mut Tck, expected: String) {
    assert_eq!(tck.flag.as_ref().unwrap().0, expected);
}

#[then(regex = r"^the resolved object value should contain$")]
fn object_contains(tck: &mut Tck, step: &Step) {
    let object = &tck.seen().value;
    for [key, kind, value] in rows(step) {
        assert_eq!(
            object[&key],
            typed(&kind, &value).to_json(),
            "{key}: {object}"
        );
    }
}

#[then(regex = r"^the resolved metadata should contain$")]
fn metadata_contains(tck: &mut Tck, step: &Step) {
    let metadata = &tck.seen().metadata;
    for [key, kind, value] in rows(step) {
        assert_eq!(
            metadata.get(&key),
            Some(&typed(&kind, &value).to_json()),
            "{metadata:?}"
        );
    }
}

#[then(regex = r"^the resolved metadata is empty$")]
fn metadata_is_empty(tck: &mut Tck) {
    assert!(tck.seen().metadata.is_empty(), "{:?}", tck.seen());
}

#[then(regex = r#"^the "(\w+)" hook should have been executed$"#)]
fn hook_ran(tck: &mut Tck, stage: String) {
    let stages = tck.hook.seen();
    assert!(stages.iter().any(|(name, ..)| *name == stage), "{stages:?}");
}

#[then(regex = r#"^the "([^"]*)" hooks should be called with evaluation details$"#)]
fn hooks_got(tck: &mut Tck, stages: String, step: &Step) {
    let ran = tck.hook.seen();
    for stage in stages.split(", ") {
        let found = ran.iter().find(|(name, ..)| *name == stage);
        let (_, flag, seen) = found.unwrap_or_else(|| panic!("{stage} did not run: {ran:?}"));
        for [kind, key, value] in rows(step) {
            let expected = match value.as_str() {
                "null" => Value::Null,
                value => typed(&kind, value).to_json(),
            };
            assert_eq!(
                detail(&key, flag, seen),
                expected,
                "{stage}, {key}: {seen:?}"
            );
        }
    }
}

fn detail(key: &str, flag: &str, seen: &Seen) -> Value {
    match key {
        "flag_key" => json!(flag),
        "value" => seen.value.clone(),
        "variant" => json!(seen.variant),
        "reason" => json!(seen.reason),
        "error_code" => json!(seen.error_code),
        other => panic!("unknown detail {other}"),
    }
}

/// The rows of a step's table, without its head.
fn rows(step: &Step) -> Vec<[String; 3]> {
    let table = step.table.as_ref().expect("the step has no table");
    let rows = table.rows.iter().skip(1).cloned();
    rows.map(|row| row.try_into().expect("three columns"))
        .collect()
}

/// A value as the suites write it.
fn typed(kind: &str, text: &str) -> Typed {
    match kind.to_lowercase().as_str() {
        "boolean" => Typed::Bool(text.parse().unwrap()),
        "integer" => Typed::Int(text.parse().unwrap()),
        "float" => Typed::Float(text.parse().unwrap()),
        // Its lifetime is that of the process, which ends soon.
        "string" => Typed::Text(Box::leak(text.to_owned().into_boxed_str())),
        "object" => Typed::Object(serde_json::from_str(&text.replace("\\\"", "\"")).unwrap()),
        other => panic!("unknown type {other}"),
    }
}
