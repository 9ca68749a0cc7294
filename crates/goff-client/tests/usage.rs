//! Usage data of native evaluations: each counts once, at the relay proxy or here.
//!
//! The scripted relay proxy's requests are what the server would have recorded; its batches are
//! what this client recorded. Every row of the table in `goff_hooks::__internal::UsageDecision` that remote evaluation
//! can produce is here.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    Attribute, ContextView, ErrorCode, EvaluationContext, FlagType, GoFeatureFlag,
    GoFeatureFlagOptions, Reason, RelayError, Resolution, State,
};
use goff_core::{BodyProblem, EvaluationFailure};
use goff_testkit::ScriptedRelay;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(5);

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
}

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    GoFeatureFlag::connect(options(relay)).await.unwrap()
}

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

fn resolution(value: Value) -> Resolution {
    Resolution {
        value,
        reason: Reason::TargetingMatch,
        variant: Some("A".to_owned()),
        version: Some("1.2.3".to_owned()),
        cacheable: true,
        ..Resolution::default()
    }
}

fn disabled() -> Resolution {
    Resolution {
        reason: Reason::Disabled,
        variant: Some("SdkDefault".to_owned()),
        ..resolution(json!(false))
    }
}

fn failure(code: &str) -> RelayError {
    RelayError::Evaluation(EvaluationFailure {
        code: code.into(),
        details: String::new(),
        resolution: Arc::default(),
    })
}

fn status(status: u16) -> RelayError {
    RelayError::Status {
        status,
        path: "/v1/feature/flag/eval".to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

/// What the collector got, as it is on the wire, once everything is delivered.
async fn collected(goff: &GoFeatureFlag, relay: &ScriptedRelay) -> Vec<Value> {
    let report = goff.flush(DEADLINE).await;
    assert_eq!((report.pending, report.dropped), (0, 0));
    let batches = relay.batches();
    let events: Vec<_> = batches
        .iter()
        .flat_map(|batch| &batch.events)
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    assert_eq!(report.delivered, events.len() as u64);
    events
}

/// What matters of an event here.
fn event(value: Value, variation: &str, default: bool) -> Value {
    json!({
        "kind": "feature", "contextKind": "user", "userKey": "user-1", "key": "flag",
        "value": value, "variation": variation, "default": default, "source": "PROVIDER_CACHE",
    })
}

fn brief(mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        let event = event.as_object_mut().unwrap();
        assert!(event.remove("creationDate").unwrap().is_u64());
        event.remove("version");
    }
    events
}

/// Evaluates twice and compares both sides: what the server was asked, and what was collected.
async fn check<T: FlagType + Clone>(
    answer: Result<Resolution, RelayError>,
    default: T,
    requests: usize,
    events: Vec<Value>,
    unknown: u64,
) {
    let what = format!("{answer:?}");
    let relay = ScriptedRelay::new().with_answer("flag", answer);
    let goff = goff(&relay).await;
    for _ in 0..2 {
        goff.evaluate("flag", &context(), default.clone()).await;
    }
    assert_eq!(relay.requests().len(), requests, "{what}");
    assert_eq!(brief(collected(&goff, &relay).await), events, "{what}");
    assert_eq!(goff.stats().usage.unknown, unknown, "{what}");
}

/// A hit is recorded here, the miss before it by the server: GOFF-CACHE-007, Python A50, A52.
#[tokio::test]
async fn hit_is_recorded_and_miss_is_not() {
    check(
        Ok(resolution(json!(7))),
        0,
        1,
        vec![event(json!(7), "A", false)],
        0,
    )
    .await;
}

/// GOFF-COLL-009: the version that the answer had.
#[tokio::test]
async fn hit_carries_the_version() {
    let relay = ScriptedRelay::new().with_answer("flag", Ok(resolution(json!(7))));
    let goff = goff(&relay).await;
    for _ in 0..2 {
        goff.evaluate("flag", &context(), 0).await;
    }
    assert_eq!(collected(&goff, &relay).await[0]["version"], "1.2.3");
}

/// Python C4: DISABLED and null on a hit are evaluations that worked; the value is what the caller
/// was served, never what the server sent.
#[tokio::test]
async fn hit_of_a_disabled_or_null_flag_records_what_was_served() {
    let served = |variation| vec![event(json!(true), variation, false)];
    check(Ok(disabled()), true, 1, served("SdkDefault"), 0).await;
    check(Ok(resolution(Value::Null)), true, 1, served("A"), 0).await;
}

/// The server recorded a fresh answer of the wrong type as a success; a hit of it is a failure
/// here: the caller got its default.
#[tokio::test]
async fn type_mismatch_is_recorded_on_a_hit_and_not_on_a_fresh_answer() {
    let failed = vec![event(json!(7), "SdkDefault", true)];
    check(Ok(resolution(json!("on"))), 7, 1, failed, 0).await;
    let fleeting = Resolution {
        cacheable: false,
        ..resolution(json!("on"))
    };
    check(Ok(fleeting), 7, 2, vec![], 0).await;
}

/// Python C15: what the relay proxy evaluated, errors included, it recorded itself.
/// GOFF-COLL-023.
#[tokio::test]
async fn evaluation_by_the_relay_proxy_is_not_recorded_again() {
    for code in [
        "FLAG_NOT_FOUND",
        "FLAG_CONFIG",
        "TARGETING_KEY_MISSING",
        "GENERAL",
        "NEW",
    ] {
        check(Err(failure(code)), false, 2, vec![], 0).await;
    }
    for answer in [disabled(), resolution(Value::Null), resolution(json!(1))] {
        let fleeting = Resolution {
            cacheable: false,
            ..answer
        };
        check(Ok(fleeting), 7, 2, vec![], 0).await;
    }
}

/// GOFF-COLL-022: `trackEvents: false` decides before everything else.
#[tokio::test]
async fn untracked_flag_is_never_recorded() {
    for answer in [
        disabled(),
        resolution(Value::Null),
        resolution(json!(7)),
        resolution(json!("x")),
    ] {
        let untracked = Resolution {
            track_events: false,
            ..answer
        };
        check(Ok(untracked), 0, 1, vec![], 0).await;
    }
}

/// Certainly not evaluated: the record here is the only one.
/// GOFF-COLL-021, GOFF-COLL-023.
#[tokio::test]
async fn evaluation_that_cannot_have_happened_is_recorded_as_a_failure() {
    let cause =
        || -> goff_core::Cause { Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)) };
    let failed = || event(json!("mine"), "SdkDefault", true);
    for error in [
        RelayError::NotConnected(cause()),
        RelayError::RateLimited {
            remaining: Duration::from_secs(1),
        },
        RelayError::Timeout {
            timeout: Duration::from_secs(1),
            sent: false,
        },
        RelayError::UnreachableFlagKey { reason: "is empty" },
        status(302),
        status(401),
        status(404),
        status(429),
        failure("INVALID_CONTEXT"),
    ] {
        let events = vec![failed(), failed()];
        check(Err(error), "mine".to_owned(), 2, events, 0).await;
    }
    // Refused before any request.
    let relay = ScriptedRelay::new().with_value("flag", "x");
    let goff = goff(&relay).await;
    let unreadable = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("rate", Attribute::from(f64::NAN))
        .build();
    goff.evaluate("flag", &unreadable, "mine".to_owned()).await;
    assert_eq!(brief(collected(&goff, &relay).await), [failed()]);
    assert!(relay.requests().is_empty());
}

/// Nobody knows whether the relay proxy recorded it: counted, not recorded.
#[tokio::test]
async fn unknown_outcome_is_counted_in_the_stats() {
    let cause: goff_core::Cause = Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
    for error in [
        RelayError::Interrupted(cause),
        RelayError::Timeout {
            timeout: Duration::from_secs(1),
            sent: true,
        },
        status(500),
        status(503),
        RelayError::Body {
            problem: BodyProblem::Empty,
            status: 200,
        },
    ] {
        check(Err(error), 0, 2, vec![], 2).await;
    }
}

/// GOFF-LIFE-006: a client that does not answer records nothing, and sends nothing.
#[tokio::test]
async fn evaluation_of_a_client_that_is_not_ready_is_not_recorded() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    goff.evaluate("flag", &context(), false).await;
    goff.initialize().await.unwrap();
    goff.shutdown(DEADLINE).await;
    assert_eq!(goff.status().state, State::Closed);
    goff.evaluate("flag", &context(), false).await;
    assert!(relay.requests().is_empty());
    let usage = goff.stats().usage;
    assert_eq!((usage.recorded, usage.dropped, usage.unknown), (0, 0, 0));
}

async fn share(
    answer: Result<Resolution, RelayError>,
    callers: usize,
) -> (ScriptedRelay, GoFeatureFlag) {
    let relay = ScriptedRelay::new().with_answer("flag", answer).manual();
    let goff = goff(&relay).await;
    let callers: Vec<JoinHandle<_>> = (0..callers)
        .map(|_| {
            let goff = goff.clone();
            tokio::spawn(async move { goff.evaluate("flag", &context(), 9).await })
        })
        .collect();
    // Every task has begun once this one has its turn again; all of them are on one thread.
    relay.wait_for_requests(1).await;
    tokio::task::yield_now().await;
    assert!(relay.complete(0));
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(relay.requests().len(), 1);
    (relay, goff)
}

/// Followers are recorded here, the one whose request it was by the server: nobody twice, nobody
/// never.
#[tokio::test]
async fn followers_of_a_shared_request_are_recorded() {
    let untracked = Resolution {
        track_events: false,
        ..resolution(json!(7))
    };
    for (answer, expected, owner, unknown) in [
        (
            Ok(resolution(json!(7))),
            Some(event(json!(7), "A", false)),
            0,
            0,
        ),
        (
            Ok(disabled()),
            Some(event(json!(9), "SdkDefault", false)),
            0,
            0,
        ),
        (
            Ok(resolution(Value::Null)),
            Some(event(json!(9), "A", false)),
            0,
            0,
        ),
        (
            Ok(resolution(json!("x"))),
            Some(event(json!(9), "SdkDefault", true)),
            0,
            0,
        ),
        (
            Err(failure("FLAG_NOT_FOUND")),
            Some(event(json!(9), "SdkDefault", true)),
            0,
            0,
        ),
        (
            Err(status(503)),
            Some(event(json!(9), "SdkDefault", true)),
            0,
            1,
        ),
        // The owner of a request that was not evaluated has no other record.
        (
            Err(status(401)),
            Some(event(json!(9), "SdkDefault", true)),
            1,
            0,
        ),
        (Ok(untracked), None, 0, 0),
    ] {
        let what = format!("{answer:?}");
        let (relay, goff) = share(answer, 5).await;
        let events = expected.map_or_else(Vec::new, |event| vec![event; 4 + owner]);
        assert_eq!(brief(collected(&goff, &relay).await), events, "{what}");
        assert_eq!(goff.stats().usage.unknown, unknown, "{what}");
    }
}

/// GOFF-COLL-005, GOFF-COLL-006, Python C25, row 35: the boolean true alone makes a user anonymous;
/// a missing targeting key has the agreed name.
#[tokio::test]
async fn user_of_an_event_is_read_from_the_context() {
    for (anonymous, kind) in [
        (json!(true), "anonymousUser"),
        (json!(false), "user"),
        (json!("true"), "user"),
        (json!("false"), "user"),
        (json!(1), "user"),
    ] {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let goff = goff(&relay).await;
        let context = EvaluationContext::builder()
            .attribute("anonymous", anonymous)
            .build();
        for _ in 0..2 {
            goff.evaluate("flag", &context, false).await;
        }
        let events = collected(&goff, &relay).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["contextKind"], kind);
        assert_eq!(events[0]["userKey"], "undefined-targetingKey");
    }
}

/// Python row 29: evaluate, evaluate, an interval passes, evaluate, shut down: one request for the
/// flag, one delivery by the interval, one at the end.
#[tokio::test(start_paused = true)]
async fn interval_and_shutdown_deliver_once_each() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).data_flush_interval(Duration::from_millis(100));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let evaluate = || async {
        let details = goff.evaluate("flag", &context(), false).await;
        details.reason().clone()
    };
    assert_eq!(evaluate().await, Reason::Static);
    assert_eq!(evaluate().await, Reason::Cached);
    assert!(relay.batches().is_empty());
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(
        relay.batches().len(),
        1,
        "nothing is sent when nothing is buffered"
    );
    assert_eq!(evaluate().await, Reason::Cached);
    goff.shutdown(DEADLINE).await;
    assert_eq!(relay.requests().len(), 1);
    let sizes: Vec<_> = relay
        .batches()
        .iter()
        .map(|batch| batch.events.len())
        .collect();
    assert_eq!(sizes, [1, 1]);
}

/// Python row 31: an evaluation that the server recorded makes no delivery at all.
#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_without_a_hit() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).data_flush_interval(Duration::from_secs(1));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    goff.evaluate("flag", &context(), false).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    goff.shutdown(DEADLINE).await;
    assert_eq!((relay.requests().len(), relay.batches().len()), (1, 0));
}

/// Python row 30, C22, GOFF-CFG-004, GOFF-CFG-009, GOFF-COLL-011 to -013: the metadata label every
/// batch, and the caller's options do not change by it.
#[tokio::test]
async fn exporter_metadata_label_the_batches() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay)
        .exporter_metadata("version", "1.0.0")
        .exporter_metadata("name", "myapp")
        .exporter_metadata("id", 123);
    // The last of the kind in there; the relay proxy before it remembers batches.
    let shown = |options: &GoFeatureFlagOptions| {
        let shown = format!("{options:?}");
        shown
            .rsplit("exporter_metadata: ")
            .next()
            .map(ToOwned::to_owned)
    };
    let before = shown(&options);
    let goff = GoFeatureFlag::connect(options.clone()).await.unwrap();
    for _ in 0..3 {
        goff.evaluate("flag", &context(), false).await;
    }
    goff.shutdown(DEADLINE).await;
    let meta = serde_json::to_value(&relay.batches()[0].meta).unwrap();
    let expected = json!({
        "version": "1.0.0", "name": "myapp", "id": 123, "provider": "rust", "openfeature": true,
    });
    assert_eq!(meta, expected);
    assert_eq!(shown(&options), before);
    assert!(before.unwrap().contains("myapp"));
    // In the request they are where the server reads them (Python C3, row 34).
    let asked = relay.requests().swap_remove(0).context;
    let enrichment = asked.attribute("gofeatureflag").unwrap().to_json();
    assert_eq!(enrichment.unwrap(), json!({"exporterMetadata": expected}));
}

/// Python C16, C17: a collector that refuses loses nothing that fits; what it takes afterwards is
/// everything, once, in order.
#[tokio::test]
async fn outage_of_the_collector_loses_and_repeats_nothing() {
    let relay = ScriptedRelay::new();
    let goff = goff(&relay).await;
    relay.set_collector_failure(Some(status(400)));
    let flags: Vec<_> = (0..100).map(|n| format!("flag-{n}")).collect();
    for (n, flag_key) in flags.iter().enumerate() {
        relay.set_answer(flag_key, Ok(resolution(json!(true))));
        for _ in 0..2 {
            goff.evaluate(flag_key, &context(), false).await;
        }
        if n % 30 == 0 {
            let report = goff.flush(DEADLINE).await;
            assert_eq!((report.delivered, report.pending), (0, n as u64 + 1));
            assert!(report.error.is_some());
        }
    }
    relay.set_collector_failure(None);
    let keys: Vec<_> = collected(&goff, &relay)
        .await
        .into_iter()
        .map(|event| event["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys, flags);
}
