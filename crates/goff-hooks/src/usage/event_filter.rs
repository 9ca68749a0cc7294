//! A sink that records a part of the evaluations.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use goff_core::{Event, EventSink, FeatureEvent};
use serde_json::Value;

use super::repeats::Repeats;

/// The options of an [`EventFilter`]. Setters never fail.
#[derive(Debug, Clone)]
#[must_use]
pub struct EventFilterOptions {
    sampling_rate: f64,
    deduplication_window: Option<Duration>,
}

impl EventFilterOptions {
    /// The share of evaluations that is recorded, between 0 and 1. Default: 1; so is NaN.
    ///
    /// Each evaluation is drawn at random, independently of its flag, user and value. So the count
    /// of any group of events, be it one user's, divided by the rate estimates the true count, and
    /// the sample does not depend on how a rollout splits the users.
    pub fn sampling_rate(mut self, rate: f64) -> Self {
        self.sampling_rate = if rate.is_nan() {
            1.0
        } else {
            rate.clamp(0.0, 1.0)
        };
        self
    }

    /// For how long an event is not recorded again that differs only in its time: the same flag,
    /// user, value, variant and version. Default: none, every event is recorded.
    ///
    /// The sink may drop or reject the event that began a window; its repetitions in the window are
    /// left out all the same. The window begins with the event that is recorded and is not extended by its repetitions. It
    /// knows 65,536 events, about 4 MB; beyond that the oldest is forgotten early and its repetition
    /// recorded. It keeps hashes, and no key of a user.
    pub fn deduplication_window(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.deduplication_window = window.into().filter(|window| !window.is_zero());
        self
    }

    /// Whether an event can be left out.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.sampling_rate >= 1.0 && self.deduplication_window.is_none()
    }

    /// What readers of the events need to know: `samplingRate` and `deduplicationWindowSeconds`,
    /// where set. Put them into the exporter metadata of the
    /// [`EventPublisher`](crate::EventPublisher) behind the filter, not into that of the evaluation
    /// context: the relay proxy records each of its evaluations.
    #[must_use]
    pub fn exporter_metadata(&self) -> Vec<(String, Value)> {
        let rate = (self.sampling_rate < 1.0).then(|| self.sampling_rate.into());
        let window = self
            .deduplication_window
            .map(|window| match window.subsec_nanos() {
                0 => window.as_secs().into(),
                _ => window.as_secs_f64().into(),
            });
        [
            ("samplingRate", rate),
            ("deduplicationWindowSeconds", window),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }
}

impl Default for EventFilterOptions {
    fn default() -> Self {
        Self {
            sampling_rate: 1.0,
            deduplication_window: None,
        }
    }
}

/// A sink before another one. It leaves repeated evaluations out and passes on a sample of the rest.
///
/// Repetitions are left out first, so the number of distinct events can be estimated from the sample
/// too. Tracking events always pass. What is left out is counted by the sink behind
/// ([`EventSink::note_left_out`]) and otherwise as if it had not happened.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use goff_core::ExporterMetadata;
/// use goff_hooks::{EventFilter, EventFilterOptions, EventPublisher, EventPublisherOptions};
/// use goff_testkit::ScriptedRelay;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let filter = EventFilterOptions::default()
///     .sampling_rate(0.1)
///     .deduplication_window(Duration::from_secs(60));
/// let metadata = ExporterMetadata::new(filter.exporter_metadata())?;
/// let options = EventPublisherOptions::default().exporter_metadata(metadata);
/// let publisher = Arc::new(EventPublisher::new(Arc::new(ScriptedRelay::new()), options));
/// let sink = EventFilter::new(publisher.clone(), &filter);
/// # drop(sink);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventFilter {
    sink: Arc<dyn EventSink>,
    sampling_rate: f64,
    repeats: Option<Mutex<Repeats>>,
}

impl EventFilter {
    /// Creates a filter before `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn EventSink>, options: &EventFilterOptions) -> Self {
        let window = options.deduplication_window;
        Self {
            sink,
            sampling_rate: options.sampling_rate,
            repeats: window.map(|window| Mutex::new(Repeats::new(window))),
        }
    }

    /// Begins the window anew: the next event of each kind is recorded. For events that go to another
    /// receiver from now on, such as the flag set of another API key.
    pub fn restart_window(&self) {
        if let Some(repeats) = &self.repeats {
            repeats
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    fn is_repeat(&self, event: &FeatureEvent) -> bool {
        self.repeats.as_ref().is_some_and(|repeats| {
            let mut repeats = repeats.lock().unwrap_or_else(PoisonError::into_inner);
            repeats.is_repeat(event, Instant::now())
        })
    }

    fn is_drawn(&self) -> bool {
        // Forked processes may draw the same numbers here; `random_u64` costs a system call for each.
        let random = || RandomState::new().hash_one(());
        self.sampling_rate >= 1.0 || unit_interval(random()) < self.sampling_rate
    }
}

impl EventSink for EventFilter {
    fn record(&self, event: Event) {
        match &event {
            Event::Feature(evaluation) if self.is_repeat(evaluation) || !self.is_drawn() => {
                self.sink.note_left_out();
            }
            _ => self.sink.record(event),
        }
    }

    fn note_unknown(&self) {
        self.sink.note_unknown();
    }

    fn note_left_out(&self) {
        self.sink.note_left_out();
    }

    fn flush(&self) {
        self.sink.flush();
    }
}

/// A random number in `0.0..1.0`.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit_interval(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use goff_core::{ContextKind, EventSource, TrackingEvent};
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default)]
    struct Counts {
        evaluations: AtomicU64,
        tracked: AtomicU64,
        unknown: AtomicU64,
        left_out: AtomicU64,
    }

    impl EventSink for Counts {
        fn record(&self, event: Event) {
            match event {
                Event::Feature(_) => &self.evaluations,
                _ => &self.tracked,
            }
            .fetch_add(1, Ordering::Relaxed);
        }

        fn note_unknown(&self) {
            self.unknown.fetch_add(1, Ordering::Relaxed);
        }

        fn note_left_out(&self) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    const OFFERED: u32 = 20_000;

    /// The numbers of evaluations that passed and were left out. Each user is evaluated `times`.
    fn offer(options: &EventFilterOptions, times: u32) -> (u64, u64) {
        let counts = Arc::new(Counts::default());
        let filter = EventFilter::new(Arc::clone(&counts) as Arc<dyn EventSink>, options);
        for n in 0..OFFERED {
            let (kind, source) = (ContextKind::User, EventSource::InProcess);
            let user = (n / times).to_string();
            filter.record(FeatureEvent::new("flag", kind, user, n.into(), source).into());
            let tracked = TrackingEvent::new("checkout", kind, "user", 0);
            filter.record(tracked.into());
            filter.note_unknown();
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!(
            count(&counts.tracked),
            u64::from(OFFERED),
            "no tracking event is left out"
        );
        assert_eq!(count(&counts.unknown), u64::from(OFFERED));
        let (passed, left_out) = (count(&counts.evaluations), count(&counts.left_out));
        assert_eq!(passed + left_out, u64::from(OFFERED));
        (passed, left_out)
    }

    fn sampling(rate: f64) -> EventFilterOptions {
        EventFilterOptions::default().sampling_rate(rate)
    }

    /// Within six standard deviations, for many users and for a single one: the count divided by the
    /// rate is the true one.
    #[test]
    fn counts_can_be_extrapolated_by_the_rate() {
        for rate in [0.01, 0.25, 0.9] {
            for times in [1, OFFERED] {
                let (passed, _) = offer(&sampling(rate), times);
                let expected = rate * f64::from(OFFERED);
                let deviation = (expected * (1.0 - rate)).sqrt();
                let passed = f64::from(u32::try_from(passed).unwrap());
                assert!(
                    (passed - expected).abs() < 6.0 * deviation,
                    "{rate}: {passed}"
                );
            }
        }
    }

    #[test]
    fn rates_beyond_the_limits_are_clamped() {
        for (rate, passed) in [
            (0.0, 0),
            (-1.0, 0),
            (1.0, OFFERED),
            (7.0, OFFERED),
            (f64::NAN, OFFERED),
        ] {
            assert_eq!(offer(&sampling(rate), 1).0, u64::from(passed), "{rate}");
        }
    }

    #[test]
    fn repetitions_in_the_window_are_left_out_and_the_rest_is_sampled() {
        let hour = Duration::from_secs(3600);
        let window = EventFilterOptions::default().deduplication_window(hour);
        assert_eq!(offer(&window, 10).0, u64::from(OFFERED / 10));
        let (passed, _) = offer(&window.sampling_rate(0.5), 10);
        // Within six standard deviations.
        assert!((860..1_140).contains(&passed), "{passed}");
        let none = EventFilterOptions::default().deduplication_window(Duration::ZERO);
        assert!(none.is_off() && offer(&none, 10).1 == 0);
    }

    #[test]
    fn exporter_metadata_has_the_rate_and_the_window_where_set() {
        let check = |options: EventFilterOptions, expected: Value| {
            assert_eq!(options.is_off(), expected == json!({}));
            let entries = options.exporter_metadata().into_iter();
            assert_eq!(Value::Object(entries.collect()), expected);
        };
        check(EventFilterOptions::default(), json!({}));
        check(sampling(0.1), json!({"samplingRate": 0.1}));
        check(
            EventFilterOptions::default().deduplication_window(Duration::from_millis(1500)),
            json!({"deduplicationWindowSeconds": 1.5}),
        );
        check(
            sampling(0.5).deduplication_window(Duration::from_secs(60)),
            json!({"samplingRate": 0.5, "deduplicationWindowSeconds": 60}),
        );
    }

    #[test]
    fn random_numbers_are_below_one() {
        assert_eq!(
            (unit_interval(0), unit_interval(u64::MAX) < 1.0),
            (0.0, true)
        );
    }
}
