//! Usage data of evaluations through the SDK: each counts once, on the relay proxy or in the client,
//! whatever other hooks do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failing_hook;
mod sut;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use goff_core::EvaluationFailure;
use goff_provider::{Reason, RelayError, Resolution, is_disabled};
use goff_testkit::ScriptedRelay;
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationErrorCode, EvaluationReason, Value as SdkValue,
};
use serde_json::{Value, json};

use failing_hook::Failing;
use sut::{Sut, TIMEOUT, context, options, status};

async fn sut(answer: Result<Resolution, RelayError>) -> Sut {
    let relay = ScriptedRelay::new().with_answer("flag", answer);
    let options = options(&relay);
    Sut::connect(relay, options).await
}

async fn evaluate(sut: &Sut) -> Result<bool, EvaluationError> {
    let client = &sut.client;
    client.get_bool_value("flag", Some(&context()), None).await
}

/// The delivered events, without what differs from run to run.
async fn collected(sut: &Sut) -> Vec<Value> {
    let mut events = sut.collected().await;
    for event in &mut events {
        let members = event.as_object_mut().unwrap();
        assert!(members.remove("creationDate").unwrap().is_u64());
        members.remove("version");
    }
    events
}

fn resolution(value: Value) -> Resolution {
    Resolution::new(value, Reason::TargetingMatch)
        .with_variant("A")
        .with_version("1.2.3")
        .with_cacheable(true)
}

fn disabled() -> Resolution {
    resolution(json!(false))
        .with_reason(Reason::Disabled)
        .with_variant("SdkDefault")
}

fn failure(code: &str) -> RelayError {
    RelayError::Evaluation(EvaluationFailure::new(code, String::new(), Arc::default()))
}

fn not_connected() -> RelayError {
    RelayError::NotConnected(Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)))
}

fn event(value: Value, variation: &str, default: bool) -> Value {
    json!({
        "kind": "feature", "contextKind": "user", "userKey": "user-1", "key": "flag",
        "value": value, "variation": variation, "default": default, "source": "PROVIDER_CACHE",
    })
}

fn untracked(resolution: Resolution) -> Resolution {
    resolution.with_track_events(false)
}

type Row = (Result<Resolution, RelayError>, usize, Vec<Value>, u64);

/// Each answer, the requests of two boolean evaluations, and what is recorded here or counted as
/// unknown. The SDK hides the caller's default, so null is recorded for it.
fn rows() -> Vec<Row> {
    let failed = || event(Value::Null, "SdkDefault", true);
    let served = |variation| vec![event(Value::Null, variation, false)];
    let fleeting = |resolution: Resolution| resolution.with_cacheable(false);
    vec![
        // A hit.
        (
            Ok(resolution(json!(true))),
            1,
            vec![event(json!(true), "A", false)],
            0,
        ),
        (Ok(disabled()), 1, served("SdkDefault"), 0),
        (Ok(resolution(Value::Null)), 1, served("A"), 0),
        (Ok(resolution(json!("text"))), 1, vec![failed()], 0),
        // The server recorded it.
        (Ok(fleeting(resolution(json!(true)))), 2, vec![], 0),
        (Ok(fleeting(disabled())), 2, vec![], 0),
        (Ok(fleeting(resolution(Value::Null))), 2, vec![], 0),
        (Ok(fleeting(resolution(json!("text")))), 2, vec![], 0),
        (Err(failure("FLAG_NOT_FOUND")), 2, vec![], 0),
        (Err(failure("FLAG_CONFIG")), 2, vec![], 0),
        (Err(failure("TARGETING_KEY_MISSING")), 2, vec![], 0),
        // Not tracked.
        (Ok(untracked(resolution(json!(true)))), 1, vec![], 0),
        (Ok(untracked(disabled())), 1, vec![], 0),
        (Ok(untracked(resolution(json!("text")))), 1, vec![], 0),
        // Not evaluated.
        (Err(not_connected()), 2, vec![failed(), failed()], 0),
        (Err(status(401)), 2, vec![failed(), failed()], 0),
        (Err(status(429)), 2, vec![failed(), failed()], 0),
        (
            Err(failure("INVALID_CONTEXT")),
            2,
            vec![failed(), failed()],
            0,
        ),
        // Unknown.
        (Err(status(500)), 2, vec![], 2),
        (
            Err(RelayError::Timeout {
                timeout: Duration::from_secs(1),
                sent: true,
                server: None,
            }),
            2,
            vec![],
            2,
        ),
    ]
}

/// Every row of the table that remote evaluation can produce (docs/python-parity.md C15). The SDK
/// runs `error` after a failed `after`: the evaluation still counts once, as what it was.
#[tokio::test]
async fn each_evaluation_is_recorded_on_one_side_even_if_another_hook_fails() {
    for hook_fails in [false, true] {
        for (answer, requests, events, unknown) in rows() {
            let what = format!("{answer:?}, hook fails: {hook_fails}");
            let mut sut = sut(answer).await;
            if hook_fails {
                sut.client = sut.client.with_hook(Failing("after"));
            }
            for _ in 0..2 {
                let _ = evaluate(&sut).await;
            }
            assert_eq!(sut.relay.requests().len(), requests, "{what}");
            assert_eq!(collected(&sut).await, events, "{what}");
            assert_eq!(sut.goff.stats().usage.unknown, unknown, "{what}");
        }
    }
}

/// After a failed `before` nothing is evaluated, so nothing is recorded.
#[tokio::test]
async fn failing_before_of_another_hook_records_nothing() {
    let mut sut = sut(Ok(resolution(json!(true)))).await;
    evaluate(&sut).await.unwrap();
    sut.client = sut.client.with_hook(Failing("before"));
    for _ in 0..3 {
        evaluate(&sut).await.unwrap_err();
    }
    assert_eq!(sut.relay.requests().len(), 1);
    assert_eq!(collected(&sut).await, [] as [Value; 0]);
}

/// The server records the first caller of a shared request, the client the others.
#[tokio::test]
async fn followers_are_recorded() {
    let relay = ScriptedRelay::new()
        .with_answer("flag", Ok(resolution(json!(true))))
        .manual();
    let options = options(&relay);
    let sut = Arc::new(Sut::connect(relay, options).await);
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let sut = Arc::clone(&sut);
            tokio::spawn(async move { evaluate(&sut).await.unwrap() })
        })
        .collect();
    sut.relay.wait_for_requests(1).await;
    tokio::task::yield_now().await;
    assert!(sut.relay.complete(0));
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert_eq!(sut.relay.requests().len(), 1);
    let events = vec![event(json!(true), "A", false); 4];
    assert_eq!(collected(&sut).await, events);
}

/// docs/python-parity.md A.6, row 28: variant and metadata are the same both times.
#[tokio::test]
async fn second_evaluation_is_cached() {
    let metadata = json!({"test": "test1", "test2": false, "test3": 123.3});
    let sut = sut(Ok(
        resolution(json!(true)).with_metadata(metadata.as_object().unwrap().clone())
    ))
    .await;
    let context = context();
    for reason in [EvaluationReason::TargetingMatch, EvaluationReason::Cached] {
        let details = sut.client.get_bool_details("flag", Some(&context), None);
        let details = details.await.unwrap();
        assert!(details.value);
        assert_eq!(details.reason, Some(reason));
        assert_eq!(details.variant.as_deref(), Some("A"));
        assert_eq!(details.flag_metadata.values.len(), 3);
    }
    assert_eq!(sut.relay.requests().len(), 1);
}

/// docs/python-parity.md C4 and D1: the hit is disabled for each type and never the server's value.
#[tokio::test]
async fn hit_of_a_disabled_flag_is_disabled_for_every_type() {
    let sut = sut(Ok(disabled())).await;
    let context = context();
    let context = Some(&context);
    for _ in 0..2 {
        assert!(is_disabled(&evaluate(&sut).await.unwrap_err()));
        let int = sut.client.get_int_value("flag", context, None).await;
        assert!(is_disabled(&int.unwrap_err()));
        let text = sut.client.get_string_value("flag", context, None).await;
        assert!(is_disabled(&text.unwrap_err()));
    }
    assert_eq!(sut.relay.requests().len(), 1);
    let events = vec![event(Value::Null, "SdkDefault", false); 5];
    assert_eq!(collected(&sut).await, events);
}

/// docs/python-parity.md A.6, rows 32, 35 and 36, and C25; GOFF-COLL-005: only the boolean true makes
/// an anonymous user, after a value and after an error.
#[tokio::test]
async fn kind_of_user_is_read_from_the_context() {
    for answer in [Ok(resolution(json!(true))), Err(not_connected())] {
        for (anonymous, kind) in [
            (None, "user"),
            (Some(SdkValue::Bool(true)), "anonymousUser"),
            (Some(SdkValue::Bool(false)), "user"),
            (Some(SdkValue::String("false".to_owned())), "user"),
        ] {
            let sut = sut(answer.clone()).await;
            let context = EvaluationContext::default().with_targeting_key("test_user_key");
            let context = match anonymous {
                None => context,
                Some(SdkValue::Bool(anonymous)) => {
                    context.with_custom_field("anonymous", anonymous)
                }
                Some(_) => context.with_custom_field("anonymous", "false"),
            };
            for _ in 0..2 {
                let client = &sut.client;
                let _ = client.get_bool_value("flag", Some(&context), None).await;
            }
            let events = collected(&sut).await;
            assert_eq!(events.len(), if answer.is_ok() { 1 } else { 2 });
            for event in events {
                assert_eq!(event["contextKind"], kind);
                assert_eq!(event["userKey"], "test_user_key");
            }
        }
    }
}

/// docs/python-parity.md A.6, row 30; GOFF-COLL-011.
#[tokio::test]
async fn batches_carry_the_exporter_metadata() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay)
        .exporter_metadata("version", "1.0.0")
        .exporter_metadata("name", "myapp")
        .exporter_metadata("id", 123);
    let sut = Sut::connect(relay, options).await;
    for _ in 0..3 {
        assert!(evaluate(&sut).await.unwrap());
    }
    assert_eq!(collected(&sut).await.len(), 2);
    let meta = serde_json::to_value(&sut.relay.batches()[0].meta).unwrap();
    let expected = json!({
        "version": "1.0.0", "name": "myapp", "id": 123, "provider": "rust", "openfeature": true,
    });
    assert_eq!(meta, expected);
}

/// GOFF-HOOK-006: the option switches off recording only.
#[tokio::test]
async fn disabled_collection_records_nothing() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).disable_data_collection(true);
    let sut = Sut::connect(relay, options).await;
    for _ in 0..3 {
        assert!(evaluate(&sut).await.unwrap());
    }
    assert_eq!(sut.relay.requests().len(), 1);
    let report = sut.goff.shutdown(TIMEOUT).await;
    assert_eq!((report.recorded, sut.relay.batches().len()), (0, 0));
}

/// docs/python-parity.md C23 and D7.
#[tokio::test]
async fn evaluation_after_shutdown_is_not_ready_and_not_recorded() {
    let sut = sut(Ok(resolution(json!(true)))).await;
    evaluate(&sut).await.unwrap();
    evaluate(&sut).await.unwrap();
    let report = sut.goff.shutdown(TIMEOUT).await;
    assert_eq!((report.recorded, report.delivered), (1, 1));
    let error = evaluate(&sut).await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);
    let usage = sut.goff.stats().usage;
    assert_eq!((usage.recorded, usage.dropped), (1, 0));
    sut.goff.initialize().await.unwrap();
    assert!(evaluate(&sut).await.unwrap());
}
