//! Prefetched flags: one request, whose answers stay the same and are recorded when they are read.

use goff_client::{Reason, Resolution, Snapshot, State};
use goff_core::{BodyProblem, EvaluationFailure};
use serde_json::json;
use tokio::time::advance;

use super::*;

fn resolution(value: impl Into<Value>) -> Resolution {
    Resolution::new(value, Reason::TargetingMatch)
        .with_variant("A")
        .with_metadata(object(json!({"team": "ä"})))
}

fn failure(code: &str) -> RelayError {
    let resolution = Resolution::new(Value::Null, Reason::Error);
    RelayError::Evaluation(EvaluationFailure::new(code, "why", resolution))
}

/// A relay proxy with a flag of each kind.
fn relay() -> ScriptedRelay {
    let disabled = resolution(Value::Null).with_reason(Reason::Disabled);
    [
        ("flag", Ok(resolution(7))),
        ("text", Ok(resolution("x"))),
        ("null", Ok(resolution(Value::Null))),
        ("untracked", Ok(resolution(7).with_track_events(false))),
        ("disabled", Ok(disabled.with_variant("SdkDefault"))),
        ("failed", Err(failure("TARGETING_KEY_MISSING"))),
    ]
    .into_iter()
    .fold(ScriptedRelay::new(), |relay, (flag_key, answer)| {
        relay.with_answer(flag_key, answer)
    })
}

const FLAGS: [&str; 7] = [
    "flag",
    "text",
    "null",
    "untracked",
    "disabled",
    "failed",
    "unknown",
];

/// What is recorded after a flush: key, value, variation, source, and whether it is a default.
async fn recorded(goff: &GoFeatureFlag, relay: &ScriptedRelay) -> Vec<Value> {
    let report = goff.flush(TIMEOUT).await;
    assert_eq!((report.pending, report.dropped), (0, 0));
    let events = relay.batches().into_iter().flat_map(|batch| batch.events);
    let brief = events.map(|event| {
        let event = object(serde_json::to_value(event).unwrap());
        let member = |name: &str| event.get(name).cloned().unwrap_or_default();
        let origin = [member("source"), member("userKey")];
        assert_eq!(origin, ["PROVIDER_CACHE", "user-1"]);
        ["key", "value", "variation", "default"]
            .map(member)
            .into_iter()
            .collect()
    });
    brief.collect()
}

fn read(snapshot: &Snapshot) -> i64 {
    snapshot.evaluate("flag", &context(), 0_i64).value
}

/// Also with the reasons, which are not `CACHED`.
#[tokio::test]
async fn prefetched_answers_are_those_of_single_evaluations() {
    let relay = relay();
    let goff = goff(&relay).await;
    let snapshot = goff.prefetch(&context()).await;
    assert_eq!(relay.request_count(), 1);
    for flag_key in FLAGS {
        let single = goff.evaluate(flag_key, &context(), 9_i64).await;
        let read = snapshot.evaluate(flag_key, &context(), 9_i64);
        assert_eq!(read.value, single.value, "{flag_key}");
        assert_eq!(read.reason(), single.reason(), "{flag_key}");
        assert_eq!(read.variant(), single.variant(), "{flag_key}");
        assert_eq!(read.metadata(), single.metadata(), "{flag_key}");
        let [read, single] = [read.error(), single.error()]
            .map(|error| error.map(goff_client::ResolutionError::code));
        assert_eq!(read, single, "{flag_key}");
    }
    let text: &str = snapshot.evaluate_as("text", &context(), "default").value;
    assert_eq!(text, "x");
    let all = snapshot.evaluate_all(&context()).unwrap();
    assert_eq!(all.len(), FLAGS.len() - 1);
    assert_eq!(all["flag"].value, 7);
    #[cfg(feature = "in-process")]
    {
        let error = snapshot
            .explain("flag", &context())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no rules"), "{error}");
    }
    assert!(format!("{snapshot:?}").contains("flags: 6"), "{snapshot:?}");
    assert!(!format!("{snapshot:?}").contains("user-1"), "{snapshot:?}");
}

/// GOFF-COLL-010, -020 to -022: the relay proxy records no bulk evaluation, so each read is an event,
/// and what is not read is none.
#[tokio::test]
async fn each_read_is_recorded_once_and_nothing_else() {
    let relay = relay();
    let goff = goff(&relay).await;
    let snapshot = goff.prefetch(&context()).await;
    snapshot.evaluate_all(&context()).unwrap();
    assert!(recorded(&goff, &relay).await.is_empty());
    for flag_key in [
        "flag",
        "flag",
        "null",
        "untracked",
        "disabled",
        "failed",
        "unknown",
    ] {
        snapshot.evaluate(flag_key, &context(), 9_i64);
    }
    snapshot.evaluate_as("text", &context(), 9_i64);
    let expected = [
        json!(["flag", 7, "A", false]),
        json!(["flag", 7, "A", false]),
        json!(["null", 9, "A", false]),
        json!(["disabled", 9, "SdkDefault", false]),
        json!(["failed", 9, "SdkDefault", true]),
        json!(["unknown", 9, "SdkDefault", true]),
        json!(["text", null, "SdkDefault", true]),
    ];
    assert_eq!(recorded(&goff, &relay).await, expected);
    assert_eq!(relay.request_count(), 1);
}

/// Neither by a change nor by the cache, which a prefetch does not touch.
#[tokio::test]
async fn prefetched_flags_do_not_change() {
    let relay = relay();
    let goff = goff(&relay).await;
    let before = goff.prefetch(&context()).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 7);
    assert_eq!((goff.stats().hits, goff.stats().misses), (0, 1));
    relay.set_answer("flag", Ok(resolution(8)));
    goff.invalidation_sink().invalidate(change_of("flag"));
    assert_eq!(evaluate(&goff, 0_i64).await.value, 8);
    assert_eq!((read(&before), read(&before.clone())), (7, 7));
    assert_eq!(read(&goff.prefetch(&context()).await), 8);
    assert_eq!(read(&before), 7);
}

/// Equal contexts are the same context.
#[tokio::test]
async fn another_context_is_an_error() {
    let relay = relay();
    let goff = goff(&relay).await;
    let first = EvaluationContext::builder().targeting_key("user-1");
    let first = first.attribute("a", 1).attribute("b", "x").build();
    let equal = EvaluationContext::builder().attribute("b", "x");
    let equal = equal.attribute("a", 1).targeting_key("user-1").build();
    let snapshot = goff.prefetch(&first).await;
    for context in [&first, &first.clone(), &equal] {
        assert_eq!(snapshot.evaluate("flag", context, 0_i64).value, 7);
    }
    for context in [context(), having("a", 2), having("a", f64::NAN)] {
        let details = snapshot.evaluate("flag", &context, 0_i64).into_owned();
        assert_eq!(
            (details.value, code(&details)),
            (0, ErrorCode::InvalidContext)
        );
        let all = snapshot.evaluate_all(&context).unwrap_err();
        assert_eq!(all.code(), ErrorCode::InvalidContext);
    }
    let failed = json!(["flag", 0, "SdkDefault", true]);
    assert_eq!(
        recorded(&goff, &relay).await[3..],
        [failed.clone(), failed.clone(), failed]
    );
    // Not sent.
    let unreadable = goff.prefetch(&having("a", f64::NAN)).await;
    assert_eq!(
        unreadable.error().unwrap().code(),
        ErrorCode::InvalidContext
    );
}

/// Fails with its error.
#[derive(Debug)]
struct Failing(RelayError);

#[async_trait::async_trait]
impl goff_client::RelayClient for Failing {
    async fn evaluate(
        &self,
        _: &str,
        _: &dyn goff_client::ContextView,
    ) -> Result<Resolution, RelayError> {
        Err(self.0.clone())
    }

    async fn evaluate_all(
        &self,
        _: &dyn goff_client::ContextView,
    ) -> Result<goff_core::BulkEvaluation, RelayError> {
        Err(self.0.clone())
    }
}

/// Each read gives its default and is recorded, also where the answer was lost: no relay proxy records
/// a bulk evaluation.
#[tokio::test]
async fn failed_prefetch_gives_defaults_and_its_error() {
    let timeout = |sent| RelayError::Timeout {
        timeout: secs(1),
        sent,
        server: None,
    };
    let too_large = RelayError::Body {
        problem: BodyProblem::TooLarge { limit: 1 },
        status: 200,
        server: None,
    };
    for error in [
        timeout(false),
        timeout(true),
        status(401),
        status(503),
        rate_limited(),
        too_large,
    ] {
        let options = GoFeatureFlagOptions::with_relay_client(Arc::new(Failing(error.clone())));
        let goff = connect(options).await;
        let snapshot = goff.prefetch(&context()).await;
        for _ in 0..2 {
            let details = snapshot.evaluate("flag", &context(), 9_i64).into_owned();
            assert_eq!((details.value, code(&details)), (9, error.code()));
            assert_eq!(details.error().unwrap().to_string(), error.to_string());
        }
        assert_eq!(snapshot.error().unwrap().code(), error.code());
        assert!(snapshot.evaluate_all(&context()).is_err());
        let usage = goff.stats().usage;
        assert_eq!((usage.recorded, usage.unknown), (2, 0), "{error}");
    }
}

/// GOFF-LIFE-004, GOFF-LIFE-006. What was prefetched before the shutdown is still answered.
#[tokio::test(start_paused = true)]
async fn prefetch_of_a_client_that_is_not_ready_is_refused() {
    let relay = relay();
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let refused = async |expected: &str| {
        let snapshot = goff.prefetch(&context()).await;
        let details = snapshot.evaluate("flag", &context(), 9_i64).into_owned();
        assert_eq!(
            (details.value, code(&details)),
            (9, ErrorCode::ProviderNotReady)
        );
        let error = snapshot.error().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused("initialize").await;
    goff.initialize().await.unwrap();
    let snapshot = goff.prefetch(&context()).await;
    goff.shutdown(TIMEOUT).await;
    refused("shut down").await;
    assert_eq!((read(&snapshot), relay.request_count()), (7, 1));
    let usage = goff.stats().usage;
    assert_eq!((usage.recorded, usage.dropped), (1, 1));
}

/// Shutdown waits for a prefetch in flight, and cuts it off at its limit.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_prefetch_in_flight() {
    for completes in [true, false] {
        let relay = relay().manual();
        let goff = goff(&relay).await;
        let prefetching = {
            let goff = goff.clone();
            tokio::spawn(async move { goff.prefetch(&context()).await })
        };
        relay.wait_for_requests(1).await;
        let shutdown = {
            let goff = goff.clone();
            tokio::spawn(async move { goff.shutdown(secs(2)).await })
        };
        until(async || goff.status().state == State::Closed).await;
        if completes {
            relay.complete(0);
        }
        let snapshot = prefetching.await.unwrap();
        assert_eq!(snapshot.error().is_none(), completes, "{snapshot:?}");
        shutdown.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn age_counts_from_the_request() {
    let relay = relay().manual();
    let goff = goff(&relay).await;
    let prefetching = {
        let goff = goff.clone();
        tokio::spawn(async move { goff.prefetch(&context()).await })
    };
    relay.wait_for_requests(1).await;
    advance(secs(1)).await;
    relay.complete(0);
    let snapshot = prefetching.await.unwrap();
    advance(secs(2)).await;
    assert_eq!(snapshot.age(), secs(3));
}

/// While the circuit is open nothing is sent.
#[tokio::test(start_paused = true)]
async fn open_circuit_fails_a_prefetch_at_once() {
    let error = RelayError::Timeout {
        timeout: secs(10),
        sent: true,
        server: None,
    };
    let goff = connect(GoFeatureFlagOptions::with_relay_client(Arc::new(Failing(
        error,
    ))))
    .await;
    let prefetch = async || {
        let snapshot = goff.prefetch(&context()).await;
        snapshot.error().unwrap().to_string()
    };
    let is_open = async || prefetch().await.contains("next try");
    for _ in 0..11 {
        prefetch().await;
        advance(secs(1)).await;
    }
    while !is_open().await {
        advance(millis(10)).await;
    }
    let sent = goff.stats().requests.evaluate_all;
    assert!(is_open().await);
    assert_eq!(goff.stats().requests.evaluate_all, sent);
}
