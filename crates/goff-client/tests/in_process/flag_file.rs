//! Flags without a relay proxy: from a watched file, and from a text.

use std::fs;
use std::path::{Path, PathBuf};

use goff_client::Refreshed;
use tempfile::TempDir;

use crate::*;

/// The longest wait on a busy machine; a fraction of a second is usual.
const PATIENCE: Duration = secs(20);

fn yaml(value: i64) -> String {
    format!("flag:\n  variations: {{A: {value}}}\n  defaultRule: {{variation: A}}\n")
}

/// Renames another file over one, so that no reader sees half of it.
fn replace(path: &Path, content: &str) {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, path).unwrap();
}

/// A folder with a flag file of this content.
fn file(content: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.yaml");
    fs::write(&path, content).unwrap();
    (directory, path)
}

async fn value(goff: &GoFeatureFlag) -> i64 {
    evaluate(goff, -1).await.value
}

async fn next(events: &mut Subscription) -> ClientEvent {
    let event = tokio::time::timeout(PATIENCE, events.next()).await;
    event.unwrap().unwrap()
}

/// A flag that is the same is not compiled again, and keeps its answers.
#[tokio::test]
async fn unchanged_flags_keep_their_answers() {
    let other = "other:\n  variations: {A: 1}\n  defaultRule: {variation: A}\n";
    let (_directory, path) = file(&(yaml(1) + other));
    let goff = GoFeatureFlag::new(GoFeatureFlagOptions::from_file(&path)).unwrap();
    goff.initialize().await.unwrap();
    let mut events = goff.subscribe();
    let resolutions = async || {
        let [flag, other] = ["flag", "other"];
        let resolve = async |flag| goff.resolve(flag, &context()).await.result.unwrap();
        (resolve(flag).await, resolve(other).await)
    };
    let before = resolutions().await;
    replace(&path, &format!("# A comment.\n{other}{}", yaml(2)));
    assert_eq!(next(&mut events).await, updated());
    let after = resolutions().await;
    assert_eq!(after.0.value, 2);
    assert!(!Arc::ptr_eq(&before.0, &after.0));
    assert!(Arc::ptr_eq(&before.1, &after.1));
    goff.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn flags_follow_the_file() {
    let (directory, path) = file(&yaml(1));
    let goff = GoFeatureFlag::new(GoFeatureFlagOptions::from_file(&path)).unwrap();
    let mut events = goff.subscribe();
    assert_eq!(goff.evaluation_type(), EvaluationType::InProcess);
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    let first = evaluate(&goff, -1_i64).await;
    assert_eq!((first.value, first.reason()), (1, &Reason::Static));
    assert_eq!(next(&mut events).await, ClientEvent::Ready);

    replace(&path, &yaml(2));
    assert_eq!(next(&mut events).await, updated());
    assert_eq!(value(&goff).await, 2);
    let local = goff.local().unwrap();
    assert_eq!(local.evaluate("flag", &context(), -1_i64).value, 2);

    // An unusable file changes the status only.
    replace(&path, "flag:\n  a: 1\n  a: 2\n");
    let ClientEvent::Error(error) = next(&mut events).await else {
        unreachable!("an error comes first");
    };
    for part in [&*format!("`{}`", path.display()), "line 3, column 3: "] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(next(&mut events).await, ClientEvent::Stale);
    assert_eq!(goff.status().last_error, Some(error));
    assert_eq!(value(&goff).await, 2);

    replace(&path, &yaml(3));
    assert_eq!(next(&mut events).await, ClientEvent::Ready);
    assert_eq!(next(&mut events).await, updated());
    assert_eq!(value(&goff).await, 3);

    fs::remove_file(&path).unwrap();
    assert!(matches!(next(&mut events).await, ClientEvent::Error(_)));
    assert_eq!(next(&mut events).await, ClientEvent::Stale);
    assert_eq!(value(&goff).await, 3);
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
    let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
    assert_state(&goff, State::Error);
    let error = last_error(&goff);
    assert!(error.contains("create it"), "{error}");
    let early = evaluate(&goff, -1_i64).await;
    assert_eq!(code(&early), Some(ErrorCode::ProviderNotReady));
    let toml = "[flag.variations]\nA = 1\n[flag.defaultRule]\nvariation = \"A\"\n";
    replace(&path, toml);
    assert!(goff.wait_until_ready(PATIENCE).await);
    assert_state(&goff, State::Ready);
    assert_eq!(value(&goff).await, 1);
}

/// GOFF-LIFE-003: a change in between is loaded at the second start, and not before.
#[tokio::test]
async fn client_can_be_started_again() {
    let (_directory, path) = file(&yaml(1));
    let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
    goff.shutdown(PATIENCE).await;
    assert_state(&goff, State::Closed);
    replace(&path, &yaml(2));
    assert_eq!(value(&goff).await, -1);
    goff.initialize().await.unwrap();
    assert_eq!(value(&goff).await, 2);
    // A watcher of the first session would report the change twice.
    let mut events = goff.subscribe();
    replace(&path, &yaml(3));
    assert_eq!(next(&mut events).await, updated());
    replace(&path, &yaml(4));
    assert_eq!(next(&mut events).await, updated());
    assert_eq!(value(&goff).await, 4);
}

/// docs/relay-protocol.md 12: the server does not serve flags that fail its validation.
#[tokio::test]
async fn flags_that_fail_validation_are_not_found() {
    let flag = |value: i64, variation: &str| {
        format!("{{variations: {{A: {value}}}, defaultRule: {{variation: {variation}}}}}")
    };
    let content = format!("good: {}\nflag: {}\n", flag(1, "A"), flag(2, "B"));
    let (_directory, path) = file(&content);
    let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
    let details = evaluate(&goff, -1_i64).await;
    assert_eq!(code(&details), Some(ErrorCode::FlagNotFound));
    assert_eq!(goff.evaluate("good", &context(), -1_i64).await.value, 1);
}

/// A file of which no flag is left is unusable: the flags loaded before stay, and the state tells.
/// Only an explicit `{}` empties.
#[tokio::test]
async fn file_without_a_valid_flag_keeps_the_flags() {
    let bad = "flag: {variations: {A: 2}, defaultRule: {variation: B}}\n";
    for unusable in [bad, "flag:\n  disable: 7\n", "a: {}\nb: {}\n"] {
        let (_directory, path) = file(&yaml(1));
        let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
        let mut events = goff.subscribe();
        replace(&path, unusable);
        let ClientEvent::Error(error) = next(&mut events).await else {
            unreachable!("an error comes first");
        };
        assert!(
            error.to_string().contains("write `{}` for no flags"),
            "{error}"
        );
        assert_eq!(next(&mut events).await, ClientEvent::Stale);
        assert_eq!(value(&goff).await, 1);
        replace(&path, "{}");
        assert_eq!(next(&mut events).await, ClientEvent::Ready);
        assert_eq!(next(&mut events).await, changed(&[], &[], &["flag"], false));
        let details = evaluate(&goff, -1_i64).await;
        assert_eq!(code(&details), Some(ErrorCode::FlagNotFound));
    }
    // Without flags from before there is nothing to serve.
    let (_directory, path) = file(bad);
    let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
    assert_state(&goff, State::Error);
    let details = evaluate(&goff, -1_i64).await;
    assert_eq!(code(&details), Some(ErrorCode::ProviderNotReady));
}

/// Without a relay proxy to ask, a flag that depends on others is an error, in every format.
#[tokio::test]
async fn flag_that_needs_others_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let flag = with(giving(1), "needs", json!([{"flag": "a", "value": true}]));
    let json = json!({"flag": flag, "other": giving(2)}).to_string();
    let toml = "flag = {variations = {A = 1}, defaultRule = {variation = \"A\"}, needs = [{flag = \"a\"}]}\nother = {variations = {A = 2}, defaultRule = {variation = \"A\"}}\n";
    let merged = "other: &other {variations: {A: 2}, defaultRule: {variation: A}}\nbase: &base {<<: *other, needs: [{flag: a}]}\nflag: {<<: *base, variations: {A: 1}}\n";
    for (name, content) in [
        ("a.json", &*json),
        ("a.yaml", &json),
        ("b.yaml", merged),
        ("a.toml", toml),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        let goff = connect(GoFeatureFlagOptions::from_file(&path)).await;
        let details = evaluate(&goff, 7_i64).await;
        assert_eq!(
            (details.value, code(&details)),
            (7, Some(ErrorCode::General)),
            "{name}"
        );
        let error = details.error().unwrap().to_string();
        assert!(error.contains("`needs`"), "{error}");
        assert_eq!(goff.evaluate("other", &context(), 0_i64).await.value, 2);
        goff.shutdown(PATIENCE).await;
    }
}

/// As a relay proxy merges its retrievers: the later file wins, flag by flag, even with a bad flag.
#[tokio::test]
async fn flags_of_several_files_are_merged_and_followed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(
        at("base.yaml"),
        format!(
            "{}base: {{variations: {{A: 10}}, defaultRule: {{variation: A}}}}\n",
            yaml(1)
        ),
    )
    .unwrap();
    fs::write(
        at("team.json"),
        json!({"flag": giving(2), "team": giving(20)}).to_string(),
    )
    .unwrap();
    let paths = [at("base.yaml"), at("team.json"), at("late.toml")];
    let goff = connect(GoFeatureFlagOptions::from_files(&paths)).await;
    // One file is missing.
    assert_state(&goff, State::Error);
    assert!(last_error(&goff).contains("late.toml"));
    let mut events = goff.subscribe();
    replace(&paths[2], "");
    replace(
        &paths[2],
        "[late.variations]\nA = 30\n[late.defaultRule]\nvariation = \"A\"\n",
    );
    while next(&mut events).await != ClientEvent::Ready {}
    let all = async |expected: [i64; 4]| {
        let found = async {
            let mut found = [0; 4];
            for (value, flag) in found.iter_mut().zip(["flag", "base", "team", "late"]) {
                *value = goff.evaluate(flag, &context(), -1_i64).await.value;
            }
            found
        };
        assert_eq!(found.await, expected);
    };
    all([2, 10, 20, 30]).await;
    // Each of them is watched.
    replace(&paths[0], &yaml(3));
    assert_eq!(next(&mut events).await, changed(&[], &[], &["base"], false));
    replace(&paths[1], &json!({"team": giving(21)}).to_string());
    assert_eq!(
        next(&mut events).await,
        changed(&[], &["flag", "team"], &[], false)
    );
    all([3, -1, 21, 30]).await;
    // A bad flag of a later file hides the good one of an earlier file.
    let bad = with(giving(4), "defaultRule", json!({"variation": "B"}));
    replace(
        &paths[1],
        &json!({"team": giving(21), "flag": bad}).to_string(),
    );
    assert_eq!(next(&mut events).await, changed(&[], &[], &["flag"], false));
    let details = evaluate(&goff, -1_i64).await;
    assert_eq!(code(&details), Some(ErrorCode::FlagNotFound));
    fs::remove_file(&paths[0]).unwrap();
    assert!(matches!(next(&mut events).await, ClientEvent::Error(_)));
    assert_eq!(next(&mut events).await, ClientEvent::Stale);
    all([-1, -1, 21, 30]).await;
    replace(&paths[0], "{}");
    assert_eq!(next(&mut events).await, ClientEvent::Ready);
    goff.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn without_a_relay_proxy_nothing_is_collected_and_nothing_falls_back() {
    let flags = json!({"flag": giving(1), "broken": general()}).to_string();
    let goff = connect(GoFeatureFlagOptions::from_flags(flags)).await;
    assert_eq!(value(&goff).await, 1);
    let broken = goff.evaluate("broken", &context(), 7_i64).await;
    assert_eq!((broken.value, code(&broken)), (7, Some(ErrorCode::General)));
    for count in 1..=3 {
        goff.track("checkout", &context(), Map::new()).unwrap();
        assert_eq!(goff.stats().not_collected, count);
    }
    assert!(goff.event_sink().is_none());
    assert_eq!(goff.stats().fallbacks, 0);
    for report in [goff.flush(PATIENCE).await, goff.shutdown(PATIENCE).await] {
        let counts = (report.recorded, report.delivered, report.pending);
        assert_eq!(counts, (0, 0, 0));
    }
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    assert_eq!(value(&goff).await, 1);
}

#[test]
fn invalid_options_are_refused() {
    assert_refused(
        GoFeatureFlagOptions::from_file("flags.ini"),
        "option `from_file` flag file `flags.ini` has an unsupported extension; rename it to end in .yaml, .yml, .json or .toml",
    );
    assert_refused(
        GoFeatureFlagOptions::from_flags("[]"),
        "option `from_flags` is not a JSON object of flags by key: expected an object of flags at byte 0; for YAML use `from_file`",
    );
    assert_refused(
        GoFeatureFlagOptions::from_files(["flags.yaml", "flags.ini"]),
        "option `from_files` flag file `flags.ini` has an unsupported extension; rename it to end in .yaml, .yml, .json or .toml",
    );
    assert_refused(
        GoFeatureFlagOptions::from_files([""; 0]),
        "option `from_files` has no path of a flag file",
    );
    let of_flags = || GoFeatureFlagOptions::from_flags("{}");
    let of_file = || GoFeatureFlagOptions::from_file("flags.yaml");
    let constructors: [(_, &dyn Fn() -> GoFeatureFlagOptions); 2] =
        [("from_flags", &of_flags), ("from_file", &of_file)];
    for (constructor, options) in constructors {
        macro_rules! without_effect {
            ($($option:ident($($value:expr),*);)*) => {$(
                let option = stringify!($option);
                let message = format!(
                    "option `{option}` has no effect beside `{constructor}`; set one of the two"
                );
                assert_refused(options().$option($($value),*), &message);
            )*};
        }
        without_effect! {
            data_flush_interval(secs(1));
            max_pending_events(1);
            max_pending_bytes(1);
            event_sampling_rate(0.5);
            event_deduplication_window(secs(1));
            flag_change_polling_interval(secs(1));
            evaluation_flag_list(["flag"]);
            last_known_good_file("flags");
            last_known_good_max_age(secs(1));
            disable_fallback(true);
        }
        #[cfg(feature = "http")]
        without_effect! { api_key("key"); timeout(secs(1)); custom_header("a", "b"); }
        let message = format!(
            "option `evaluation_type` conflicts with `{constructor}`: remote evaluation needs a relay proxy"
        );
        assert_refused(options().evaluation_type(EvaluationType::Remote), &message);
        GoFeatureFlag::new(options().evaluation_type(EvaluationType::InProcess)).unwrap();
    }
}

/// A refresh reads the files again, though neither an event nor another signature says that they
/// changed: the test keeps length and time, and a poll comes each second at the earliest.
#[tokio::test]
async fn refresh_reads_the_files_again() {
    let (_directory, path) = file(&yaml(1));
    let (_other, other) = file("other:\n  variations: {A: 1}\n  defaultRule: {variation: A}\n");
    let options = GoFeatureFlagOptions::from_files([&path, &other]);
    let goff = connect(options).await;
    assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
    for number in 2..6 {
        fs::write(&path, yaml(number)).unwrap();
        // The watcher may have been faster.
        let refreshed = goff.refresh().await.unwrap();
        assert_eq!(value(&goff).await, number, "{refreshed:?}");
    }
    fs::write(&path, "flag: {").unwrap();
    for _ in 0..2 {
        let error = goff.refresh().await.unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert_eq!(value(&goff).await, 5);
    }
    // The error of the file is gone with its cause, though the other one was looked at last.
    fs::write(&path, yaml(6)).unwrap();
    goff.refresh().await.unwrap();
    assert_eq!(value(&goff).await, 6);
    goff.shutdown(TIMEOUT).await;

    let text = json!({"flag": giving(1)}).to_string();
    let fixed = connect(GoFeatureFlagOptions::from_flags(text)).await;
    assert_eq!(fixed.refresh().await.unwrap(), Refreshed::Unchanged);
}
