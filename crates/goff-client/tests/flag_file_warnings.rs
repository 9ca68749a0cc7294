//! Warnings about a flag file with mistakes.
//!
//! A separate test binary: the warnings come from other threads than the test's.
#![cfg(feature = "file")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use goff_client::{ClientEvent, EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
use goff_testkit::RecordingLog;
use serde_json::Map;
use tokio::time::timeout;
use tracing::Level;

/// The warnings since the last call.
fn new_warnings(log: &RecordingLog, seen: &mut usize) -> Vec<String> {
    let lines = log.lines();
    let warnings = lines.into_iter().filter(|(level, _)| *level <= Level::WARN);
    let new: Vec<_> = warnings.skip(*seen).map(|(_, line)| line).collect();
    *seen += new.len();
    new
}

/// The threads that wait for file-system events.
#[cfg(target_os = "linux")]
fn watchers() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok())
        .filter(|name| name.starts_with("notify-rs"))
        .count()
}

/// Waits until their threads have ended, which takes the system a moment.
#[cfg(target_os = "linux")]
async fn gone() {
    let start = std::time::Instant::now();
    while watchers() > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "still watching");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_mistake_causes_one_warning_with_its_place() {
    let warnings = RecordingLog::of("goff");
    let mut seen = 0;
    tracing::subscriber::set_global_default(warnings.clone()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.yaml");
    let replace = |content: &str| {
        fs::write(directory.path().join("new"), content).unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
    };
    let invalid: String = (0..12)
        .map(|index| {
            format!("bad-{index}: {{variations: {{A: 1}}, defaultRule: {{variation: B}}}}\n")
        })
        .collect();
    let good = "good: {variations: {A: 1}, defaultRule: {variation: A}}\n";
    fs::write(&path, invalid.clone() + good).unwrap();
    let options = GoFeatureFlagOptions::from_file(&path);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut events = goff.subscribe();

    // One warning for all flags of a load, which names ten of the dozen.
    let first = new_warnings(&warnings, &mut seen);
    assert_eq!(first.len(), 1, "{first:?}");
    for part in [
        format!("`{}`", path.display()),
        "line 1, column 54: flag `bad-0`: invalid variation: B does not exist; ".to_owned(),
        "flag `bad-9`".to_owned(),
        "; and 2 more".to_owned(),
    ] {
        assert!(first[0].contains(&part), "{part} in {}", first[0]);
    }
    assert!(!first[0].contains("bad-10"), "{}", first[0]);

    // Another file of the same bytes causes no second warning.
    for _ in 0..3 {
        replace("a: [");
    }
    let mut next = async || {
        timeout(Duration::from_secs(20), events.next())
            .await
            .unwrap()
            .unwrap()
    };
    assert!(matches!(next().await, ClientEvent::Error(_)));
    assert_eq!(next().await, ClientEvent::Stale);
    replace("a: [");
    replace("{}");
    assert_eq!(next().await, ClientEvent::Ready);
    let broken = new_warnings(&warnings, &mut seen);
    assert_eq!(broken.len(), 1, "{broken:?}");
    for part in [
        &*format!("`{}`, line ", path.display()),
        "; correct it there",
    ] {
        assert!(broken[0].contains(part), "{part} in {}", broken[0]);
    }

    // Without a relay proxy there is no collector.
    let context = EvaluationContext::builder().targeting_key("user-1").build();
    for _ in 0..3 {
        goff.track("checkout", &context, Map::new()).unwrap();
    }
    let tracking = new_warnings(&warnings, &mut seen);
    assert_eq!(tracking.len(), 1, "{tracking:?}");

    // Shutdown and dropping a client leave nothing running.
    #[cfg(target_os = "linux")]
    assert_eq!(watchers(), 1);
    goff.shutdown(Duration::from_secs(20)).await;
    #[cfg(target_os = "linux")]
    gone().await;
    goff.initialize().await.unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(watchers(), 1);
    drop((goff, events));
    #[cfg(target_os = "linux")]
    gone().await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
