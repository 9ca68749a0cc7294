//! A data collector, or a gateway before it, that refuses batches for what they contain.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{
    ContextView, ErrorCode, Event, EventBatch, EventSink, RelayClient, RelayError, Resolution,
};
use goff_hooks::EventPublisher;
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::*;

/// Answers each batch with the status that `judge` gives for it; 200 is acceptance.
struct Gateway {
    judge: Box<dyn Fn(&EventBatch) -> u16 + Send + Sync>,
    requests: AtomicUsize,
    delivered: Mutex<Vec<i64>>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

impl Gateway {
    fn new(judge: impl Fn(&EventBatch) -> u16 + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            judge: Box::new(judge),
            requests: AtomicUsize::new(0),
            delivered: Mutex::default(),
        })
    }

    /// A firewall that refuses batches with one of these events.
    fn refusing(status: u16, bad: impl Into<Vec<i64>>) -> Arc<Self> {
        let bad = bad.into();
        Self::new(move |batch| {
            let has_bad = batch.events.iter().any(|event| bad.contains(&id(event)));
            if has_bad { status } else { 200 }
        })
    }

    /// A gateway that takes so many bytes.
    fn taking(bytes: usize) -> Arc<Self> {
        Self::new(move |batch| {
            let length = serde_json::to_vec(batch).unwrap().len();
            if length > bytes { 413 } else { 200 }
        })
    }

    /// The requests since the last call.
    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }

    fn delivered(&self) -> Vec<i64> {
        self.delivered.lock().unwrap().clone()
    }
}

#[async_trait]
impl RelayClient for Gateway {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        match (self.judge)(batch) {
            200 => {
                let mut delivered = self.delivered.lock().unwrap();
                delivered.extend(batch.events.iter().map(id));
                Ok(())
            }
            0 => Err(RelayError::Timeout {
                timeout: SECOND,
                sent: true,
                server: None,
            }),
            status => Err(refusal(status).unwrap()),
        }
    }
}

fn all_but(bad: &[i64], count: i64) -> Vec<i64> {
    (0..count).filter(|id| !bad.contains(id)).collect()
}

/// One user's text stops no other usage data, wherever it is in the batch. It costs two requests
/// for each halving.
#[tokio::test(start_paused = true)]
async fn event_that_is_refused_is_rejected_and_the_rest_arrives() {
    for status in [400, 403, 413, 422] {
        for bad in [0, 1, 511, 512, 700, 1_023] {
            let gateway = Gateway::refusing(status, [bad]);
            let publisher = started(gateway.clone(), options());
            record(&publisher, 0..1_024);
            let report = publisher.flush(MINUTE).await;
            assert_eq!(counts(&report), (1_024, 1_023, 0, 0), "{status}, {bad}");
            assert_eq!((report.rejected, publisher.stats().rejected), (1, 1));
            assert_eq!(gateway.delivered(), all_but(&[bad], 1_024));
            let requests = gateway.requests();
            // A 413 limits the later batches to 10 kB.
            let cut_by_bytes = if status == 413 { 20 } else { 0 };
            assert!(requests <= 2 * 10 + 1 + cut_by_bytes, "{requests} requests");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn several_refused_events_of_a_batch_are_found() {
    for status in [400, 403, 422] {
        for bad in [
            vec![0, 1_023],
            vec![3, 500, 501, 777],
            (0..1_024).step_by(64).collect(),
            (40..50).collect(),
        ] {
            let gateway = Gateway::refusing(status, bad.clone());
            let publisher = started(gateway.clone(), options());
            record(&publisher, 0..1_024);
            let report = publisher.flush(MINUTE).await;
            assert_eq!(report.rejected, u64::try_from(bad.len()).unwrap());
            assert_eq!(counts(&report).3, 0, "{status}, {bad:?}");
            assert_eq!(gateway.delivered(), all_but(&bad, 1_024));
            let requests = gateway.requests();
            assert!(requests <= 2 * 10 * bad.len() + 1, "{requests} requests");
        }
    }
}

/// Below the limit of the data collector, down to that of a few events.
#[tokio::test(start_paused = true)]
async fn everything_arrives_through_a_gateway_that_takes_less() {
    for (bytes, count) in [
        (512_000, 9_000),
        (64_000, 9_000),
        (16_000, 1_000),
        (2_000, 500),
    ] {
        let gateway = Gateway::taking(bytes);
        let publisher = started(gateway.clone(), options());
        record(&publisher, 0..count);
        let report = publisher.flush(MINUTE).await;
        assert_eq!((report.delivered, counts(&report).3), (report.recorded, 0));
        assert!(gateway.delivered().into_iter().eq(0..count), "{bytes}");
        // The limit is remembered: as many requests as the limit demands, with room for halves.
        gateway.requests();
        record(&publisher, count..2 * count);
        publisher.flush(MINUTE).await;
        assert!(gateway.delivered().into_iter().eq(0..2 * count));
        let least = usize::try_from(count).unwrap() * 140 / bytes + 1;
        let requests = gateway.requests();
        assert!(requests <= 4 * least, "{bytes}: {requests}, not {least}");
    }
}

/// The limit stays where it was: one event says nothing about the size of batches.
#[tokio::test(start_paused = true)]
async fn event_that_is_too_large_alone_is_rejected() {
    let gateway = Gateway::taking(512_000);
    let publisher = started(gateway.clone(), options());
    record(&publisher, 0..1_000);
    let large = event(1_000).with_default_value(Some(Box::new(json!("x".repeat(600_000)))));
    publisher.record(large.into());
    record(&publisher, 1_001..5_000);
    let report = publisher.flush(MINUTE).await;
    assert_eq!(counts(&report), (5_000, 4_999, 0, 0));
    assert_eq!(report.rejected, 1);
    assert_eq!(gateway.delivered(), all_but(&[1_000], 5_000));
    gateway.requests();
    record(&publisher, 5_000..7_000);
    publisher.flush(MINUTE).await;
    assert!(gateway.requests() <= 2);
}

/// An event alone in the buffer: its content is refused, or perhaps the API key.
#[tokio::test(start_paused = true)]
async fn lone_event_is_rejected_unless_the_key_may_be_refused() {
    for status in [400, 413, 422] {
        let publisher = started(Gateway::refusing(status, [0]), options());
        record(&publisher, 0..1);
        let report = publisher.flush(MINUTE).await;
        assert_eq!((counts(&report), report.rejected), ((1, 0, 0, 0), 1));
        assert_eq!(report.error.and_then(|error| error.status()), Some(status));
    }
    let gateway = Gateway::refusing(403, [0]);
    let publisher = started(gateway.clone(), options());
    record(&publisher, 0..1);
    let report = publisher.flush(MINUTE).await;
    assert_eq!((counts(&report), report.rejected), ((1, 0, 0, 1), 0));
    record(&publisher, 1..3);
    let report = publisher.flush(MINUTE).await;
    assert_eq!((counts(&report), report.rejected), ((3, 2, 0, 0), 1));
    assert_eq!(gateway.delivered(), [1, 2]);
}

/// A failure of the relay proxy, the network or the key is one request for each delivery.
#[tokio::test(start_paused = true)]
async fn batch_that_fails_for_another_reason_is_kept() {
    for status in [0, 301, 401, 404, 408, 429, 500, 502, 503] {
        let gateway = Gateway::new(move |_| status);
        let publisher = started(gateway.clone(), options());
        record(&publisher, 0..1_000);
        for _ in 0..3 {
            let report = publisher.flush(MINUTE).await;
            assert_eq!(counts(&report), (1_000, 0, 0, 1_000), "{status}");
            assert!(report.error.is_some());
            assert_eq!(gateway.requests(), 1, "{status}");
        }
    }
}

/// docs/relay-protocol.md 4: a key without a flag set, which can begin while a client is running.
#[tokio::test(start_paused = true)]
async fn refusal_for_a_missing_flag_set_keeps_the_batch() {
    let (relay, publisher) = running(options());
    let message = "error while getting flagset: flagset not found for API key";
    relay.set_collector_failure(Some(RelayError::Status {
        status: 400,
        path: "/v1/data/collector".to_owned(),
        message: Some(message.to_owned()),
        code: ErrorCode::General,
        server: None,
    }));
    record(&publisher, 0..1_000);
    assert_eq!(counts(&publisher.flush(MINUTE).await), (1_000, 0, 0, 1_000));
    assert_eq!(relay.refused_batches(), 1);
    relay.set_collector_failure(None);
    publisher.flush(MINUTE).await;
    assert!(is_delivered(&relay, 0..1_000));
}

/// 403 on every batch is a key that is not valid: nothing is lost, and few requests are made.
#[tokio::test(start_paused = true)]
async fn forbidden_batches_are_kept() {
    let (relay, publisher) = running(options());
    relay.set_collector_failure(refusal(403));
    record(&publisher, 0..8_192);
    for attempt in 1..4 {
        let report = publisher.flush(MINUTE).await;
        assert_eq!(
            (counts(&report), report.rejected),
            ((8_192, 0, 0, 8_192), 0)
        );
        let requests = relay.refused_batches();
        assert!(requests <= attempt * (13 + 2 * 11), "{requests} requests");
    }
    relay.set_collector_failure(None);
    publisher.flush(MINUTE).await;
    assert!(is_delivered(&relay, 0..8_192));
}

/// A gateway that refuses anything as malformed costs some events, not all.
#[tokio::test(start_paused = true)]
async fn loss_to_a_gateway_that_refuses_anything_is_bounded() {
    for status in [400, 413, 422] {
        let (relay, publisher) = running(options());
        relay.set_collector_failure(refusal(status));
        record(&publisher, 0..8_192);
        let report = publisher.flush(MINUTE).await;
        assert_eq!(counts(&report), (8_192, 0, 0, 8_092), "{status}");
        assert_eq!(report.rejected, 100);
        let requests = relay.refused_batches();
        assert!(requests <= 13 + 2 * 101, "{requests} requests");
        relay.set_collector_failure(None);
        publisher.flush(MINUTE).await;
        assert!(is_delivered(&relay, 100..8_192));
        // Batches are as large as before, or at least 10 kB.
        assert!(relay.batches().len() < 150);
    }
}

/// A shutdown in the middle of the search loses nothing.
#[tokio::test(start_paused = true)]
async fn search_that_is_cut_off_keeps_the_events_in_order() {
    for status in [400, 403] {
        for requests_in_time in 1..25 {
            let (relay, publisher) = running(options());
            relay.set_collector_failure(refusal(status));
            relay.set_collector_delay(Some(SECOND));
            record(&publisher, 0..16);
            let time = requests_in_time * SECOND + Duration::from_millis(500);
            let report = publisher.shutdown(time).await;
            assert_eq!(counts(&report).0, 16);
            relay.set_collector_failure(None);
            publisher.start().unwrap();
            publisher.flush(MINUTE).await;
            let rejected = report.rejected.cast_signed();
            assert!(is_delivered(&relay, rejected..16), "{status}");
        }
    }
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![
        4 => Just(200),
        2 => Just(400),
        2 => Just(403),
        2 => Just(413),
        1 => Just(422),
        1 => Just(503),
        1 => Just(0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the answers are, and while more events arrive during each request and drop the
    /// oldest: every event is counted once, and no event is delivered late or twice.
    #[test]
    fn events_add_up_and_stay_in_order(
        answers in prop::collection::vec((status(), 0_i64..4), 1..120),
        recorded_before_a_flush in 0_i64..20,
        max_pending_events in 1_usize..20,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let answers = Mutex::new(answers.into_iter());
        let next_id = Arc::new(Mutex::new(0));
        let publisher = Arc::new(OnceLock::<Weak<EventPublisher>>::new());
        let recording = {
            let (publisher, next_id) = (Arc::clone(&publisher), Arc::clone(&next_id));
            move |count: i64| {
                let publisher = publisher.get().and_then(Weak::upgrade).unwrap();
                let mut next_id = next_id.lock().unwrap();
                for _ in 0..count {
                    publisher.record(Event::from(event(*next_id)));
                    *next_id += 1;
                }
            }
        };
        let record_more = recording.clone();
        let gateway = Gateway::new(move |_| {
            let answer = answers.lock().unwrap().next();
            let (status, arriving) = answer.unwrap_or((200, 0));
            record_more(arriving);
            status
        });
        runtime.block_on(async {
            let options = options().max_pending_events(max_pending_events);
            let running = Arc::new(started(gateway.clone(), options));
            publisher.set(Arc::downgrade(&running)).unwrap();
            for _ in 0..10 {
                recording(recorded_before_a_flush);
                counts(&running.flush(MINUTE).await);
            }
            let report = running.shutdown(MINUTE).await;
            counts(&report);
            let delivered = gateway.delivered();
            assert_eq!(report.delivered, u64::try_from(delivered.len()).unwrap());
            assert!(delivered.is_sorted_by(|one, next| one < next), "{delivered:?}");
        });
    }
}
