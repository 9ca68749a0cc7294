//! Usage data of native evaluations: each is recorded once, by the relay proxy or by the client.
//!
//! The requests of the scripted relay proxy are what a server records; its batches are what the
//! client records. Every kind of usage decision of goff-hooks that remote evaluation can produce
//! is tested.

use std::io;

use goff_client::{ContextView, Reason, Resolution, State};
use goff_core::{BodyProblem, EvaluationFailure};
use serde_json::json;
use tokio::task::JoinHandle;

use super::*;

fn resolution(value: Value) -> Resolution {
    Resolution::new(value, Reason::TargetingMatch)
        .with_variant("A")
        .with_version("1.2.3")
        .with_cacheable(true)
}

fn timed_out(sent: bool) -> RelayError {
    let timeout = secs(1);
    RelayError::Timeout {
        timeout,
        sent,
        server: None,
    }
}

fn disabled() -> Resolution {
    resolution(json!(false))
        .with_reason(Reason::Disabled)
        .with_variant("SdkDefault")
}

fn failure(code: &str) -> RelayError {
    RelayError::Evaluation(EvaluationFailure::new(code, String::new(), Arc::default()))
}

/// The delivered events, as they are on the wire.
async fn collected(goff: &GoFeatureFlag, relay: &ScriptedRelay) -> Vec<Value> {
    let report = goff.flush(TIMEOUT).await;
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

/// The members of an event that these tests compare.
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

/// Evaluates twice and checks the requests and the events.
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
        evaluate(&goff, default.clone()).await;
    }
    assert_eq!(relay.requests().len(), requests, "{what}");
    assert_eq!(brief(collected(&goff, &relay).await), events, "{what}");
    assert_eq!(goff.stats().usage.unknown, unknown, "{what}");
}

/// The relay proxy records the miss. GOFF-CACHE-007; docs/python-parity.md A50;
/// docs/python-parity.md A52.
#[tokio::test]
async fn hit_is_recorded_and_miss_is_not() {
    let hit = vec![event(json!(7), "A", false)];
    check(Ok(resolution(json!(7))), 0, 1, hit, 0).await;
}

/// GOFF-COLL-009.
#[tokio::test]
async fn hit_carries_the_version() {
    let relay = ScriptedRelay::new().with_answer("flag", Ok(resolution(json!(7))));
    let goff = goff(&relay).await;
    for _ in 0..2 {
        evaluate(&goff, 0).await;
    }
    assert_eq!(collected(&goff, &relay).await[0]["version"], "1.2.3");
}

/// Such a hit is a success. Its value is the one that was served, not the one that the relay proxy
/// sent. docs/python-parity.md C4.
#[tokio::test]
async fn hit_of_a_disabled_or_null_flag_records_what_was_served() {
    let served = |variation| vec![event(json!(true), variation, false)];
    check(Ok(disabled()), true, 1, served("SdkDefault"), 0).await;
    check(Ok(resolution(Value::Null)), true, 1, served("A"), 0).await;
}

/// The relay proxy records an answer of the wrong type as a success. A hit of it is a failure,
/// because the caller gets the default.
#[tokio::test]
async fn type_mismatch_is_recorded_on_a_hit_and_not_on_a_fresh_answer() {
    let failed = vec![event(json!(7), "SdkDefault", true)];
    check(Ok(resolution(json!("on"))), 7, 1, failed, 0).await;
    let fleeting = resolution(json!("on")).with_cacheable(false);
    check(Ok(fleeting), 7, 2, vec![], 0).await;
}

/// Errors included. GOFF-COLL-023; docs/python-parity.md C15.
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
        let fleeting = answer.with_cacheable(false);
        check(Ok(fleeting), 7, 2, vec![], 0).await;
    }
}

/// `trackEvents: false` takes precedence over everything else. GOFF-COLL-022.
#[tokio::test]
async fn untracked_flag_is_never_recorded() {
    let values = [Value::Null, json!(7), json!("x")].map(resolution);
    for answer in values.into_iter().chain([disabled()]) {
        let untracked = answer.with_track_events(false);
        check(Ok(untracked), 0, 1, vec![], 0).await;
    }
}

/// The relay proxy has not recorded it. GOFF-COLL-021, GOFF-COLL-023.
#[tokio::test]
async fn evaluation_that_cannot_have_happened_is_recorded_as_a_failure() {
    let cause = Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused));
    let failed = || event(json!("mine"), "SdkDefault", true);
    for error in [
        RelayError::NotConnected(cause),
        rate_limited(),
        timed_out(false),
        RelayError::UnreachableFlagKey {
            flag_key: "".into(),
            reason: "is empty",
        },
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
    let (relay, goff) = serving("x").await;
    let unreadable = having("rate", f64::NAN);
    goff.evaluate("flag", &unreadable, "mine".to_owned()).await;
    assert_eq!(brief(collected(&goff, &relay).await), [failed()]);
    assert!(relay.requests().is_empty());
}

/// The relay proxy may have recorded it, so it is counted and not recorded.
#[tokio::test]
async fn unknown_outcome_is_counted_in_the_stats() {
    let cause: goff_core::Cause = Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
    for error in [
        RelayError::Interrupted(cause),
        timed_out(true),
        status(500),
        status(503),
        RelayError::Body {
            problem: BodyProblem::Empty,
            status: 200,
            server: None,
        },
    ] {
        check(Err(error), 0, 2, vec![], 2).await;
    }
}

/// GOFF-LIFE-006.
#[tokio::test]
async fn evaluation_of_a_client_that_is_not_ready_is_not_recorded() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    evaluate(&goff, false).await;
    goff.initialize().await.unwrap();
    goff.shutdown(TIMEOUT).await;
    assert_eq!(goff.status().state, State::Closed);
    evaluate(&goff, false).await;
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
            tokio::spawn(async move { evaluate(&goff, 9).await })
        })
        .collect();
    // All tasks are on one thread, so each has started after this yield.
    relay.wait_for_requests(1).await;
    tokio::task::yield_now().await;
    assert!(relay.complete(0));
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(relay.requests().len(), 1);
    (relay, goff)
}

/// The relay proxy records the owner of the request; the client records the followers.
#[tokio::test]
async fn followers_of_a_shared_request_are_recorded() {
    let untracked = resolution(json!(7)).with_track_events(false);
    let served = |variation| Some(event(json!(9), variation, false));
    let failed = || Some(event(json!(9), "SdkDefault", true));
    for (answer, expected, owner, unknown) in [
        (
            Ok(resolution(json!(7))),
            Some(event(json!(7), "A", false)),
            0,
            0,
        ),
        (Ok(disabled()), served("SdkDefault"), 0, 0),
        (Ok(resolution(Value::Null)), served("A"), 0, 0),
        (Ok(resolution(json!("x"))), failed(), 0, 0),
        (Err(failure("FLAG_NOT_FOUND")), failed(), 0, 0),
        (Err(status(503)), failed(), 0, 1),
        // The relay proxy did not evaluate, so the client records the owner too.
        (Err(status(401)), failed(), 1, 0),
        (Ok(untracked), None, 0, 0),
    ] {
        let what = format!("{answer:?}");
        let (relay, goff) = share(answer, 5).await;
        let events = expected.map_or_else(Vec::new, |event| vec![event; 4 + owner]);
        assert_eq!(brief(collected(&goff, &relay).await), events, "{what}");
        assert_eq!(goff.stats().usage.unknown, unknown, "{what}");
    }
}

/// Only the boolean `true` makes a user anonymous. Without a targeting key the user has the agreed
/// name. GOFF-COLL-005, GOFF-COLL-006; docs/python-parity.md A.6, row 35;
/// docs/python-parity.md C25.
#[tokio::test]
async fn user_of_an_event_is_read_from_the_context() {
    for (anonymous, kind) in [
        (json!(true), "anonymousUser"),
        (json!(false), "user"),
        (json!("true"), "user"),
        (json!("false"), "user"),
        (json!(1), "user"),
    ] {
        let (relay, goff) = serving(true).await;
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

/// docs/python-parity.md A.6, row 29.
#[tokio::test(start_paused = true)]
async fn interval_and_shutdown_deliver_once_each() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).data_flush_interval(millis(100));
    let goff = connect(options).await;
    let evaluate = || async {
        let details = evaluate(&goff, false).await;
        details.reason().clone()
    };
    assert_eq!(evaluate().await, Reason::Static);
    assert_eq!(evaluate().await, Reason::Cached);
    assert!(relay.batches().is_empty());
    tokio::time::sleep(millis(250)).await;
    // Nothing is sent when nothing is buffered.
    assert_eq!(relay.batches().len(), 1);
    assert_eq!(evaluate().await, Reason::Cached);
    goff.shutdown(TIMEOUT).await;
    assert_eq!(relay.requests().len(), 1);
    assert_eq!(sizes(&relay), [1, 1]);
}

/// docs/python-parity.md A.6, row 31.
#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_without_a_hit() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = connect(options(&relay).data_flush_interval(secs(1))).await;
    evaluate(&goff, false).await;
    tokio::time::sleep(secs(5)).await;
    goff.shutdown(TIMEOUT).await;
    assert_eq!((relay.requests().len(), relay.batches().len()), (1, 0));
}

/// The caller's options stay unchanged. GOFF-CFG-004, GOFF-CFG-009, GOFF-COLL-011 to -013;
/// docs/python-parity.md A.6, row 30; docs/python-parity.md C22.
#[tokio::test]
async fn exporter_metadata_labels_the_batches() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay)
        .exporter_metadata("version", "1.0.0")
        .exporter_metadata("name", "myapp")
        .exporter_metadata("id", 123);
    // The last occurrence: the scripted relay proxy, printed before, has the name in its batches.
    let shown = |options: &GoFeatureFlagOptions| {
        let shown = format!("{options:?}");
        let last = shown.rsplit("exporter_metadata: ").next();
        last.map(ToOwned::to_owned)
    };
    let before = shown(&options);
    let goff = connect(options.clone()).await;
    for _ in 0..3 {
        evaluate(&goff, false).await;
    }
    goff.shutdown(TIMEOUT).await;
    let meta = serde_json::to_value(&relay.batches()[0].meta).unwrap();
    let expected = json!({
        "version": "1.0.0", "name": "myapp", "id": 123, "provider": "rust", "openfeature": true,
    });
    assert_eq!(meta, expected);
    assert_eq!(shown(&options), before);
    assert!(before.unwrap().contains("myapp"));
    // docs/python-parity.md C3; docs/python-parity.md A.6, row 34.
    let sent = relay.requests().swap_remove(0).context;
    let enrichment = sent.attribute("gofeatureflag").unwrap().to_json();
    assert_eq!(enrichment.unwrap(), json!({"exporterMetadata": expected}));
}

/// The events arrive once and in order. docs/python-parity.md C16; docs/python-parity.md C17.
#[tokio::test]
async fn outage_of_the_collector_loses_and_repeats_nothing() {
    let relay = ScriptedRelay::new();
    let goff = goff(&relay).await;
    relay.set_collector_failure(Some(status(503)));
    let flags: Vec<_> = (0..100).map(|n| format!("flag-{n}")).collect();
    for (n, flag_key) in flags.iter().enumerate() {
        relay.set_answer(flag_key, Ok(resolution(json!(true))));
        for _ in 0..2 {
            goff.evaluate(flag_key, &context(), false).await;
        }
        if n % 30 == 0 {
            let report = goff.flush(TIMEOUT).await;
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
