//! The application's event sink where there is no relay proxy, and with in-process evaluation.

use goff_client::{Event, EventSink, LocalFlags};
use goff_testkit::RecordingSink;

use crate::*;

/// The key and the value of each event.
fn seen(sink: &RecordingSink) -> Vec<(String, Value)> {
    let events = sink.events().into_iter();
    events
        .map(|event| {
            let event = serde_json::to_value(event).unwrap();
            (
                event.get("key").unwrap().as_str().unwrap().to_owned(),
                event.get("value").cloned().unwrap_or_default(),
            )
        })
        .collect()
}

fn flags() -> String {
    json!({"flag": giving(7)}).to_string()
}

async fn check(options: GoFeatureFlagOptions) {
    let sink = RecordingSink::default();
    let goff = connect(options.event_sink(Arc::new(sink.clone()))).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 7);
    goff.track("checkout", &context(), Map::new()).unwrap();
    let local = goff.local().unwrap();
    assert_eq!(local.evaluate("flag", &context(), 0_i64).value, 7);
    local.flush(TIMEOUT);
    let expected = [
        ("flag", json!(7)),
        ("checkout", Value::Null),
        ("flag", json!(7)),
    ];
    let expected: Vec<_> = expected.map(|(key, value)| (key.to_owned(), value)).into();
    assert_eq!(seen(&sink), expected);
    assert_eq!(goff.stats().not_collected, 0);
    assert_eq!(evaluate(&goff, 0_i64).await.value, 7);
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!(seen(&sink).len(), 4);
    let stats = report.event_sink.unwrap_or(goff.stats().usage);
    assert_eq!((stats.recorded, stats.delivered), (4, 4));
}

#[tokio::test]
async fn evaluations_in_process_and_without_a_relay_proxy_are_recorded_into_the_sink() {
    check(GoFeatureFlagOptions::from_flags(flags())).await;
    let (relay, _) = client_of(7).await;
    check(options(&relay)).await;
    check(options(&relay).event_sink_only(true)).await;
    #[cfg(feature = "file")]
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags.json");
        std::fs::write(&path, flags()).unwrap();
        check(GoFeatureFlagOptions::from_file(&path)).await;
        check(GoFeatureFlagOptions::from_files([&path])).await;
    }
}

/// No runtime is needed.
#[test]
fn flags_of_a_text_are_recorded_into_the_sink() {
    let sink = RecordingSink::default();
    let flags = LocalFlags::from_flags_with_event_sink(&flags(), Arc::new(sink.clone())).unwrap();
    for _ in 0..3 {
        assert_eq!(flags.clone().evaluate("flag", &context(), 0_i64).value, 7);
    }
    let report = flags.flush(TIMEOUT);
    assert_eq!((report.recorded, report.delivered), (3, 3));
    assert_eq!(seen(&sink).len(), 3);
    let without = LocalFlags::from_flags("{}").unwrap();
    assert_eq!(without.flush(TIMEOUT).recorded, 0);
}

#[tokio::test]
async fn limits_and_filter_apply_without_a_relay_proxy() {
    #[derive(Debug)]
    struct Blocked(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

    impl EventSink for Blocked {
        fn record(&self, _: Event) {
            let _ = self.0.lock().unwrap().recv();
        }
    }

    let of_flags = || GoFeatureFlagOptions::from_flags(flags());
    let (_block, blocked) = std::sync::mpsc::channel();
    let sink = Arc::new(Blocked(std::sync::Mutex::new(blocked)));
    let goff = connect(of_flags().max_pending_events(2).event_sink(sink)).await;
    for _ in 0..10 {
        assert_eq!(evaluate(&goff, 0_i64).await.value, 7);
    }
    let report = goff.shutdown(millis(10)).await;
    assert_eq!(
        (report.recorded, report.dropped, report.pending),
        (10, 6, 4)
    );

    let options = of_flags().event_deduplication_window(secs(60));
    let goff = connect(options.event_sink(Arc::new(RecordingSink::default()))).await;
    for _ in 0..10 {
        evaluate(&goff, 0_i64).await;
    }
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!(
        (report.recorded, report.left_out, report.delivered),
        (1, 9, 1)
    );
}
