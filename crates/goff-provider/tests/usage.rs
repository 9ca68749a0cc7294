//! Usage data of evaluations through the SDK: each counts once, at the relay proxy or here,
//! whatever other hooks do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failing_hook;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use goff_core::EvaluationFailure;
use goff_provider::{
    ErrorCode, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, Reason, RelayError,
    Resolution, is_disabled,
};
use goff_testkit::ScriptedRelay;
use open_feature::{
    Client, EvaluationContext, EvaluationError, EvaluationErrorCode, EvaluationReason, OpenFeature,
    Value as SdkValue,
};
use serde_json::{Value, json};

use failing_hook::Failing;

const DEADLINE: Duration = Duration::from_secs(5);

struct Sut {
    relay: ScriptedRelay,
    goff: GoFeatureFlag,
    client: Client,
    /// The SDK drops its providers with it.
    _api: OpenFeature,
}

async fn with_options(relay: ScriptedRelay, options: GoFeatureFlagOptions) -> Sut {
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    Sut {
        relay,
        goff,
        client: api.create_client(),
        _api: api,
    }
}

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
}

async fn sut(answer: Result<Resolution, RelayError>) -> Sut {
    let relay = ScriptedRelay::new().with_answer("flag", answer);
    let options = options(&relay);
    with_options(relay, options).await
}

impl Sut {
    async fn ask(&self) -> Result<bool, EvaluationError> {
        let context = context();
        self.client
            .get_bool_value("flag", Some(&context), None)
            .await
    }

    /// What the collector got, without what differs from run to run.
    async fn collected(&self) -> Vec<Value> {
        let report = self.goff.flush(DEADLINE).await;
        assert_eq!((report.pending, report.dropped), (0, 0));
        let batches = self.relay.batches();
        let events = batches.iter().flat_map(|batch| &batch.events);
        events
            .map(|event| {
                let mut event = serde_json::to_value(event).unwrap();
                let members = event.as_object_mut().unwrap();
                assert!(members.remove("creationDate").unwrap().is_u64());
                members.remove("version");
                event
            })
            .collect()
    }
}

fn context() -> EvaluationContext {
    EvaluationContext::default().with_targeting_key("user-1")
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
    Resolution {
        track_events: false,
        ..resolution
    }
}

type Row = (Result<Resolution, RelayError>, usize, Vec<Value>, u64);

/// Each answer, how often the server is asked by two evaluations as a boolean, and what is
/// recorded here or counted as unknown. The SDK does not tell a caller's default, so null is recorded for it.
fn rows() -> Vec<Row> {
    let failed = || event(Value::Null, "SdkDefault", true);
    let served = |variation| vec![event(Value::Null, variation, false)];
    let fleeting = |resolution| Resolution {
        cacheable: false,
        ..resolution
    };
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
        // Nobody knows.
        (Err(status(500)), 2, vec![], 2),
        (
            Err(RelayError::Timeout {
                timeout: Duration::from_secs(1),
                sent: true,
            }),
            2,
            vec![],
            2,
        ),
    ]
}

/// Every row of the table that remote evaluation can produce, Python A50, A51, C15.
#[tokio::test]
async fn each_evaluation_is_recorded_on_one_side() {
    for (answer, requests, events, unknown) in rows() {
        let what = format!("{answer:?}");
        let sut = sut(answer).await;
        for _ in 0..2 {
            let _ = sut.ask().await;
        }
        assert_eq!(sut.relay.requests().len(), requests, "{what}");
        assert_eq!(sut.collected().await, events, "{what}");
        assert_eq!(sut.goff.stats().usage.unknown, unknown, "{what}");
    }
}

/// The SDK runs `error` after a failed `after`: the evaluation still counts once, as what it was.
#[tokio::test]
async fn failing_after_of_another_hook_changes_no_count() {
    for (answer, requests, events, unknown) in rows() {
        let what = format!("{answer:?}");
        let mut sut = sut(answer).await;
        sut.client = sut.client.with_hook(Failing("after"));
        for _ in 0..2 {
            let _ = sut.ask().await;
        }
        assert_eq!(sut.relay.requests().len(), requests, "{what}");
        assert_eq!(sut.collected().await, events, "{what}");
        assert_eq!(sut.goff.stats().usage.unknown, unknown, "{what}");
    }
}

/// Where another hook's `before` fails nothing is evaluated, so nothing is recorded: on neither
/// side.
#[tokio::test]
async fn failing_before_of_another_hook_records_nothing() {
    let mut sut = sut(Ok(resolution(json!(true)))).await;
    sut.ask().await.unwrap();
    sut.client = sut.client.with_hook(Failing("before"));
    for _ in 0..3 {
        sut.ask().await.unwrap_err();
    }
    assert_eq!(sut.relay.requests().len(), 1);
    assert_eq!(sut.collected().await, [] as [Value; 0]);
}

/// Followers are recorded here, their first by the server.
#[tokio::test]
async fn followers_are_recorded() {
    let relay = ScriptedRelay::new()
        .with_answer("flag", Ok(resolution(json!(true))))
        .manual();
    let options = options(&relay);
    let sut = Arc::new(with_options(relay, options).await);
    let callers: Vec<_> = (0..5)
        .map(|_| {
            let sut = Arc::clone(&sut);
            tokio::spawn(async move { sut.ask().await.unwrap() })
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
    assert_eq!(sut.collected().await, events);
}

/// Python row 28, through the SDK: variant and metadata are there both times.
#[tokio::test]
async fn second_evaluation_is_cached() {
    let metadata = json!({"test": "test1", "test2": false, "test3": 123.3});
    let sut = sut(Ok(Resolution {
        metadata: metadata.as_object().unwrap().clone().into(),
        ..resolution(json!(true))
    }))
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

/// Python C4, D1: the hit of a disabled flag is disabled, whatever type is asked for, and never
/// the server's value.
#[tokio::test]
async fn hit_of_a_disabled_flag_is_disabled_for_every_type() {
    let sut = sut(Ok(disabled())).await;
    let context = context();
    let context = Some(&context);
    for _ in 0..2 {
        assert!(is_disabled(&sut.ask().await.unwrap_err()));
        let int = sut.client.get_int_value("flag", context, None).await;
        assert!(is_disabled(&int.unwrap_err()));
        let text = sut.client.get_string_value("flag", context, None).await;
        assert!(is_disabled(&text.unwrap_err()));
    }
    assert_eq!(sut.relay.requests().len(), 1);
    let events = vec![event(Value::Null, "SdkDefault", false); 5];
    assert_eq!(sut.collected().await, events);
}

/// Python rows 32, 35, 36, C25, GOFF-COLL-005: `anonymous` as the boolean true is an anonymous
/// user, after a value and after an error; without it, or as a text, the user is known.
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
            let events = sut.collected().await;
            assert_eq!(events.len(), if answer.is_ok() { 1 } else { 2 });
            for event in events {
                assert_eq!(event["contextKind"], kind);
                assert_eq!(event["userKey"], "test_user_key");
            }
        }
    }
}

/// Python row 30, GOFF-COLL-011: every batch is labelled.
#[tokio::test]
async fn batches_carry_the_exporter_metadata() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay)
        .exporter_metadata("version", "1.0.0")
        .exporter_metadata("name", "myapp")
        .exporter_metadata("id", 123);
    let sut = with_options(relay, options).await;
    for _ in 0..3 {
        assert!(sut.ask().await.unwrap());
    }
    assert_eq!(sut.collected().await.len(), 2);
    let meta = serde_json::to_value(&sut.relay.batches()[0].meta).unwrap();
    let expected = json!({
        "version": "1.0.0", "name": "myapp", "id": 123, "provider": "rust", "openfeature": true,
    });
    assert_eq!(meta, expected);
}

/// GOFF-HOOK-006: the option switches recording off, and only that.
#[tokio::test]
async fn disabled_collection_records_nothing() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay).disable_data_collection(true);
    let sut = with_options(relay, options).await;
    for _ in 0..3 {
        assert!(sut.ask().await.unwrap());
    }
    assert_eq!(sut.relay.requests().len(), 1);
    let report = sut.goff.shutdown(DEADLINE).await;
    assert_eq!((report.recorded, sut.relay.batches().len()), (0, 0));
}

/// Python C23, D7: after shutdown the SDK's evaluations are refused, and nothing is recorded.
#[tokio::test]
async fn evaluation_after_shutdown_is_not_ready_and_not_recorded() {
    let sut = sut(Ok(resolution(json!(true)))).await;
    sut.ask().await.unwrap();
    sut.ask().await.unwrap();
    let report = sut.goff.shutdown(DEADLINE).await;
    assert_eq!((report.recorded, report.delivered), (1, 1));
    let error = sut.ask().await.unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);
    let usage = sut.goff.stats().usage;
    assert_eq!((usage.recorded, usage.dropped), (1, 0));
    sut.goff.initialize().await.unwrap();
    assert!(sut.ask().await.unwrap());
}
