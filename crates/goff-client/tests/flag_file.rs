//! Flags without a relay proxy: from a watched file, and from a text.
#![cfg(feature = "file")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use goff_client::{
    ChangedFlags, ClientEvent, ErrorCode, EvaluationContext, EvaluationDetails, EvaluationType,
    GoFeatureFlag, GoFeatureFlagOptions, Reason, State, Subscription,
};
use serde_json::{Map, json};
use tokio::time::timeout;

/// The longest wait on a busy machine; a fraction of a second is usual.
const PATIENCE: Duration = Duration::from_secs(20);

fn yaml(value: i64) -> String {
    format!("flag:\n  variations: {{A: {value}}}\n  defaultRule: {{variation: A}}\n")
}

/// Renames another file over one, so that no reader sees half of it.
fn replace(path: &Path, content: &str) {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, path).unwrap();
}

async fn evaluate(goff: &GoFeatureFlag) -> EvaluationDetails<i64> {
    let context = EvaluationContext::builder().targeting_key("user-1").build();
    goff.evaluate("flag", &context, -1).await
}

async fn next(events: &mut Subscription) -> ClientEvent {
    let event = timeout(PATIENCE, events.next()).await;
    event.unwrap().unwrap()
}

#[track_caller]
fn assert_state(goff: &GoFeatureFlag, state: State) {
    assert_eq!(goff.status().state, state, "{:?}", goff.status());
}

fn updated(flag: &str) -> ClientEvent {
    ClientEvent::ConfigurationChanged(ChangedFlags::Compared {
        added: BTreeSet::new(),
        updated: BTreeSet::from([flag.to_owned()]),
        removed: BTreeSet::new(),
        enrichment: false,
    })
}

#[tokio::test]
async fn flags_follow_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.yaml");
    fs::write(&path, yaml(1)).unwrap();
    let goff = GoFeatureFlag::new(GoFeatureFlagOptions::from_file(&path)).unwrap();
    let mut events = goff.subscribe();
    assert_eq!(goff.evaluation_type(), EvaluationType::InProcess);
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    let first = evaluate(&goff).await;
    assert_eq!((first.value, first.reason()), (1, &Reason::Static));
    assert_eq!(next(&mut events).await, ClientEvent::Ready);

    replace(&path, &yaml(2));
    assert_eq!(next(&mut events).await, updated("flag"));
    assert_eq!(evaluate(&goff).await.value, 2);
    let local = goff.local().unwrap();
    let context = EvaluationContext::builder().build();
    assert_eq!(local.evaluate("flag", &context, -1_i64).value, 2);

    // An unusable file changes the status only.
    replace(&path, "flag:\n  a: 1\n  a: 2\n");
    let ClientEvent::Error(error) = next(&mut events).await else {
        unreachable!("an error comes first");
    };
    let place = format!("`{}`, line 3, column 3: ", path.display());
    assert!(error.to_string().contains(&place), "{error}");
    assert_eq!(next(&mut events).await, ClientEvent::Stale);
    assert_eq!(goff.status().last_error, Some(error));
    assert_eq!(evaluate(&goff).await.value, 2);

    replace(&path, &yaml(3));
    assert_eq!(next(&mut events).await, ClientEvent::Ready);
    assert_eq!(next(&mut events).await, updated("flag"));
    assert_eq!(evaluate(&goff).await.value, 3);

    fs::remove_file(&path).unwrap();
    assert!(matches!(next(&mut events).await, ClientEvent::Error(_)));
    assert_eq!(next(&mut events).await, ClientEvent::Stale);
    assert_eq!(evaluate(&goff).await.value, 3);
    // The same content is no change.
    replace(&path, &yaml(3));
    assert_eq!(next(&mut events).await, ClientEvent::Ready);
    goff.shutdown(PATIENCE).await;
    assert_eq!(next(&mut events).await, ClientEvent::Closed);
    let stats = goff.stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes), (4, 2));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// GOFF-EVT-008.
#[tokio::test]
async fn file_that_appears_later_makes_the_client_ready() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.toml");
    let options = GoFeatureFlagOptions::from_file(&path);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    assert_state(&goff, State::Error);
    let error = goff.status().last_error.unwrap();
    assert!(error.to_string().contains("create it"), "{error}");
    let early = evaluate(&goff).await;
    assert_eq!(
        early.error().unwrap().code(),
        ErrorCode::ProviderNotReady,
        "{early:?}"
    );
    replace(
        &path,
        "[flag.variations]\nA = 1\n[flag.defaultRule]\nvariation = \"A\"\n",
    );
    assert!(goff.wait_until_ready(PATIENCE).await);
    assert_state(&goff, State::Ready);
    assert_eq!(evaluate(&goff).await.value, 1);
}

/// GOFF-LIFE-003: a change in between is loaded at the second start, and not before.
#[tokio::test]
async fn client_can_be_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.yaml");
    fs::write(&path, yaml(1)).unwrap();
    let options = GoFeatureFlagOptions::from_file(&path);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    goff.shutdown(PATIENCE).await;
    assert_state(&goff, State::Closed);
    replace(&path, &yaml(2));
    assert_eq!(evaluate(&goff).await.value, -1);
    goff.initialize().await.unwrap();
    assert_eq!(evaluate(&goff).await.value, 2);
    // A watcher of the first session would report the change twice.
    let mut events = goff.subscribe();
    replace(&path, &yaml(3));
    assert_eq!(next(&mut events).await, updated("flag"));
    replace(&path, &yaml(4));
    assert_eq!(next(&mut events).await, updated("flag"));
    assert_eq!(evaluate(&goff).await.value, 4);
}

/// docs/relay-protocol.md 12: the server does not serve flags that fail its validation.
#[tokio::test]
async fn flags_that_fail_validation_are_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.yaml");
    let flag = |value: i64, variation: &str| {
        format!("{{variations: {{A: {value}}}, defaultRule: {{variation: {variation}}}}}")
    };
    let content = format!("good: {}\nflag: {}\n", flag(1, "A"), flag(2, "B"));
    fs::write(&path, content).unwrap();
    let options = GoFeatureFlagOptions::from_file(&path);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let details = evaluate(&goff).await;
    assert_eq!(
        details.error().unwrap().code(),
        ErrorCode::FlagNotFound,
        "{details:?}"
    );
    let context = EvaluationContext::builder().build();
    assert_eq!(goff.evaluate("good", &context, -1_i64).await.value, 1);
}

#[tokio::test]
async fn without_a_relay_proxy_nothing_is_collected_and_nothing_falls_back() {
    let flags = json!({
        "flag": {"variations": {"A": 1}, "defaultRule": {"variation": "A"}},
        "broken": {"disable": "yes"},
    });
    let options = GoFeatureFlagOptions::from_flags(flags.to_string());
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let context = EvaluationContext::builder().targeting_key("user-1").build();
    assert_eq!(evaluate(&goff).await.value, 1);
    let broken = goff.evaluate("broken", &context, 7_i64).await;
    assert_eq!(broken.value, 7);
    assert_eq!(broken.error().unwrap().code(), ErrorCode::ParseError);
    for count in 1..=3 {
        goff.track("checkout", &context, Map::new()).unwrap();
        assert_eq!(goff.stats().not_collected, count);
    }
    assert!(goff.event_sink().is_none());
    assert_eq!(goff.stats().fallbacks, 0);
    for report in [goff.flush(PATIENCE).await, goff.shutdown(PATIENCE).await] {
        assert_eq!(
            (report.recorded, report.delivered, report.pending),
            (0, 0, 0)
        );
    }
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    assert_eq!(evaluate(&goff).await.value, 1);
}

#[test]
fn invalid_options_are_refused() {
    let check = |options: GoFeatureFlagOptions, message: &str| {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    check(
        GoFeatureFlagOptions::from_file("flags.ini"),
        "option `from_file` flag file `flags.ini` has an unsupported extension; rename it to end in .yaml, .yml, .json or .toml",
    );
    check(
        GoFeatureFlagOptions::from_flags("[]"),
        "option `from_flags` is not a JSON object of flags by key: expected an object of flags at byte 0",
    );
    for (constructor, options) in [
        (
            "from_flags",
            GoFeatureFlagOptions::from_flags as fn(&'static str) -> GoFeatureFlagOptions,
        ),
        ("from_file", |_| {
            GoFeatureFlagOptions::from_file("flags.yaml")
        }),
    ] {
        let options = || options("{}");
        let without_effect = |option: &str, options: GoFeatureFlagOptions| {
            let message = format!(
                "option `{option}` has no effect beside `{constructor}`; set one of the two"
            );
            check(options, &message);
        };
        let second = Duration::from_secs(1);
        without_effect("data_flush_interval", options().data_flush_interval(second));
        without_effect("max_pending_events", options().max_pending_events(1));
        without_effect(
            "flag_change_polling_interval",
            options().flag_change_polling_interval(second),
        );
        without_effect(
            "evaluation_flag_list",
            options().evaluation_flag_list(["flag"]),
        );
        without_effect(
            "last_known_good_file",
            options().last_known_good_file("flags"),
        );
        without_effect(
            "last_known_good_max_age",
            options().last_known_good_max_age(second),
        );
        #[cfg(feature = "http")]
        {
            without_effect("api_key", options().api_key("key"));
            without_effect("timeout", options().timeout(second));
            without_effect("custom_header", options().custom_header("a", "b"));
        }
        check(
            options().evaluation_type(EvaluationType::Remote),
            &format!(
                "option `evaluation_type` conflicts with `{constructor}`: remote evaluation needs a relay proxy"
            ),
        );
        GoFeatureFlag::new(options().evaluation_type(EvaluationType::InProcess)).unwrap();
    }
}
