//! The application's event sink beside and instead of the data collector, sampling, and the window
//! without repetitions.

use std::sync::atomic::{AtomicBool, Ordering};

use goff_client::{DeliveryReport, Event, EventSink, UsageStats};
use goff_testkit::RecordingSink;
use serde_json::json;

use super::*;

/// Four evaluations, of which the relay proxy records the first, and a tracking event.
async fn use_flags(goff: &GoFeatureFlag) {
    for _ in 0..4 {
        assert!(evaluate(goff, false).await.value);
    }
    goff.track("checkout", &context(), Map::new()).unwrap();
}

fn sum(stats: &UsageStats) -> u64 {
    stats.delivered + stats.dropped + stats.rejected + stats.pending
}

fn relay() -> ScriptedRelay {
    ScriptedRelay::new().with_value("flag", true)
}

fn collected(relay: &ScriptedRelay) -> Vec<Event> {
    let batches = relay.batches().into_iter();
    batches.flat_map(|batch| batch.events).collect()
}

/// The sink gets the events that the data collector gets, or would get.
#[tokio::test]
async fn sink_stands_beside_the_data_collector_or_instead_of_it() {
    for only in [false, true] {
        let (relay, sink) = (relay(), RecordingSink::default());
        let options = options(&relay)
            .event_sink(Arc::new(sink.clone()))
            .event_sink_only(only);
        let goff = connect(options).await;
        use_flags(&goff).await;
        let report = goff.flush(TIMEOUT).await;
        assert_eq!((report.recorded, report.delivered), (4, 4));
        assert_eq!(sink.events().len(), 4);
        let collected = collected(&relay);
        assert_eq!(collected, if only { Vec::new() } else { sink.events() });
        let stats = goff.stats();
        assert_eq!(stats.event_sink.is_some(), !only);
        assert_eq!(report.event_sink, stats.event_sink);
        let of_sink = stats.event_sink.unwrap_or(stats.usage);
        assert_eq!((of_sink.recorded, of_sink.delivered), (4, 4));
        // Across a restart, as with the collector.
        goff.shutdown(TIMEOUT).await;
        goff.initialize().await.unwrap();
        use_flags(&goff).await;
        goff.shutdown(TIMEOUT).await;
        assert_eq!(sink.events().len(), 8);
    }
}

/// The sink is not part of the data collector's failures, nor the other way round.
#[tokio::test]
async fn failing_data_collector_keeps_nothing_from_the_sink() {
    let (relay, sink) = (relay(), RecordingSink::default());
    relay.set_collector_failure(Some(RelayError::RateLimited {
        remaining: secs(60),
    }));
    let goff = connect(options(&relay).event_sink(Arc::new(sink.clone()))).await;
    use_flags(&goff).await;
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!((report.delivered, report.pending), (0, 4));
    assert_eq!(report.event_sink.unwrap().delivered, 4);
    assert_eq!(sink.events().len(), 4);
}

/// Panics, or blocks until it is released.
#[derive(Debug, Default)]
struct Broken {
    panics: bool,
    released: AtomicBool,
}

impl EventSink for Broken {
    fn record(&self, _: Event) {
        assert!(!self.panics, "the sink is broken");
        while !self.released.load(Ordering::Relaxed) {
            std::thread::sleep(millis(1));
        }
    }

    fn flush(&self) {
        assert!(!self.panics, "the sink is broken");
    }
}

/// Evaluations go on, every event is counted, and a shutdown ends in time. The data collector gets
/// everything.
#[tokio::test]
async fn broken_sink_takes_no_evaluation_down() {
    for panics in [false, true] {
        let relay = relay();
        let sink = Arc::new(Broken {
            panics,
            ..Broken::default()
        });
        let options = options(&relay)
            .max_pending_events(500)
            .event_sink(Arc::clone(&sink) as Arc<dyn EventSink>);
        let goff = connect(options).await;
        let begin = std::time::Instant::now();
        for n in 0..2_000 {
            assert!(evaluate(&goff, false).await.value);
            if n % 100 == 0 {
                goff.flush(Duration::ZERO).await;
            }
            let stats = goff.stats().event_sink.unwrap();
            assert_eq!((stats.recorded, stats.pending <= 1_000), (n, true));
            assert_eq!(sum(&stats), stats.recorded);
        }
        if panics {
            // The first panic prints its backtrace, which takes seconds on a busy machine.
            until(async || goff.stats().event_sink.unwrap().rejected > 0).await;
        }
        let report: DeliveryReport = goff.shutdown(millis(300)).await;
        assert!(begin.elapsed() < secs(60));
        let of_sink = report.event_sink.unwrap();
        assert_eq!(of_sink.delivered, 0);
        assert!(of_sink.dropped > 900 && of_sink.pending > 0, "{of_sink:?}");
        assert_eq!(of_sink.rejected > 0, panics, "{of_sink:?}");
        assert_eq!((report.recorded, sum(&of_sink)), (1_999, 1_999));
        assert_eq!(report.delivered + report.dropped, 1_999);
        sink.released.store(true, Ordering::Relaxed);
    }
}

/// Each receiver has the time of the shutdown: a blocked sink, or a data collector that does not
/// answer, keeps no event from the other, also not one that is recorded during the shutdown.
#[tokio::test]
async fn receivers_have_the_time_of_a_shutdown_each() {
    for sink_is_blocked in [true, false] {
        let relay = relay().manual();
        relay.set_answer("flag", Err(rate_limited()));
        let sink = Arc::new(Broken::default());
        sink.released.store(!sink_is_blocked, Ordering::Relaxed);
        let delay = (!sink_is_blocked).then_some(secs(3600));
        relay.set_collector_delay(delay);
        let goff = connect(options(&relay).event_sink(sink.clone())).await;
        goff.track("checkout", &context(), Map::new()).unwrap();
        let evaluation = {
            let goff = goff.clone();
            tokio::spawn(async move { evaluate(&goff, false).await })
        };
        until(async || relay.waiting() > 0).await;
        let end_of_the_evaluation = async {
            // After the first delivery of the shutdown, if there is one.
            until(async || !sink_is_blocked || !relay.batches().is_empty()).await;
            relay.complete(0);
        };
        let (report, ()) = tokio::join!(goff.shutdown(secs(2)), end_of_the_evaluation);
        assert!(evaluation.await.unwrap().error().is_some());
        let of_sink = report.event_sink.unwrap();
        let counts = [report.delivered, of_sink.delivered];
        let expected = if sink_is_blocked { [2, 0] } else { [0, 2] };
        assert_eq!(counts, expected, "{report:?}");
        assert_eq!((report.recorded, of_sink.recorded), (2, 2));
        sink.released.store(true, Ordering::Relaxed);
    }
}

/// What is left out was never recorded, at the data collector and at the sink alike. Batches say what
/// is left out; the context of evaluations does not, since the relay proxy records all it makes.
#[tokio::test]
async fn sampling_and_window_leave_events_out_and_say_so() {
    let labels = json!({"samplingRate": 0.5, "deduplicationWindowSeconds": 60});
    for (rate, window, labels) in [
        (None, None, json!({})),
        (Some(0.5), None, json!({"samplingRate": 0.5})),
        (
            None,
            Some(secs(60)),
            json!({"deduplicationWindowSeconds": 60}),
        ),
        (Some(0.5), Some(secs(60)), labels),
    ] {
        let (relay, sink) = (relay(), RecordingSink::default());
        let mut options = options(&relay)
            .exporter_metadata("service", "shop")
            .event_deduplication_window(window)
            .event_sink(Arc::new(sink.clone()));
        if let Some(rate) = rate {
            options = options.event_sampling_rate(rate);
        }
        let goff = connect(options).await;
        // 200 users, each evaluated by the relay proxy and then ten times from the cache.
        for n in 0..200 {
            let user = user(&n.to_string());
            for _ in 0..11 {
                goff.evaluate("flag", &user, false).await;
            }
            goff.track("checkout", &user, Map::new()).unwrap();
        }
        let report = goff.shutdown(TIMEOUT).await;
        let offered = report.recorded + report.left_out;
        assert_eq!(offered, 2_200);
        let evaluations = if window.is_some() { 200 } else { 2_000 };
        let (lowest, highest) = match rate {
            None => (evaluations, evaluations),
            // Within six standard deviations.
            Some(_) if evaluations == 200 => (57, 143),
            Some(_) => (865, 1_135),
        };
        assert!(
            (lowest..=highest).contains(&(report.recorded - 200)),
            "{report:?}"
        );
        assert_eq!(report.delivered, report.recorded);
        let of_sink = report.event_sink.unwrap();
        assert_eq!(
            (of_sink.recorded, of_sink.left_out),
            (report.recorded, report.left_out)
        );
        assert_eq!(collected(&relay), sink.events());
        let tracked = |event: &&Event| matches!(event, Event::Tracking(_));
        assert_eq!(sink.events().iter().filter(tracked).count(), 200);

        let base = json!({"provider": "rust", "openfeature": true, "service": "shop"});
        let mut meta = base.clone();
        let entries = labels.as_object().unwrap().clone();
        meta.as_object_mut().unwrap().extend(entries);
        for batch in relay.batches() {
            assert_eq!(serde_json::to_value(&batch.meta).unwrap(), meta);
        }
        assert_eq!(
            Value::Object(goff.exporter_metadata().as_map().clone()),
            base
        );
        let Event::Tracking(tracking) = &sink.events().into_iter().find(|e| tracked(&e)).unwrap()
        else {
            unreachable!()
        };
        let enrichment = &tracking.evaluation_context["gofeatureflag"]["exporterMetadata"];
        assert_eq!(*enrichment, base);
    }
}

#[test]
fn options_without_meaning_are_refused() {
    let check = |option, reason, options: GoFeatureFlagOptions| {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.option(), option);
        assert!(error.reason().contains(reason), "{error}");
    };
    let options = || options(&relay());
    for rate in [0.0, -0.5, 1.01, f64::NAN, f64::INFINITY] {
        let options = options().event_sampling_rate(rate);
        check("event_sampling_rate", "above 0 and at most 1", options);
    }
    let options_ = options().event_deduplication_window(Duration::ZERO);
    check("event_deduplication_window", "longer than zero", options_);
    let only = options().event_sink_only(true);
    check("event_sink_only", "needs an `event_sink`", only);
    let disabled = options()
        .event_sink(Arc::new(RecordingSink::default()))
        .disable_data_collection(true);
    check(
        "event_sink",
        "no effect beside `disable_data_collection`",
        disabled,
    );
    GoFeatureFlag::new(options().event_sampling_rate(1.0)).unwrap();
}

/// A sink's `Debug` text may show users.
#[tokio::test]
async fn sink_is_not_shown() {
    #[derive(Debug)]
    struct Telltale(#[expect(dead_code, reason = "for Debug")] &'static str);

    impl EventSink for Telltale {
        fn record(&self, _: Event) {}
    }

    let options = options(&relay())
        .event_sink(Arc::new(Telltale("user-1")))
        .event_deduplication_window(secs(60));
    assert!(!format!("{options:?}").contains("user-1"));
    let goff = connect(options).await;
    use_flags(&goff).await;
    let shown = format!("{goff:?} {:?}", goff.event_sink());
    assert!(!shown.contains("user-1"), "{shown}");
}
