//! What the native API gives for every kind of answer.

use goff_client::{ContextView, Origin, Reason, Resolution, ResolutionError, State};
use goff_core::EvaluationFailure;
use serde_json::json;

use super::*;

fn metadata() -> Map<String, Value> {
    object(json!({"owner": "team-a", "nested": {"a": [1, null]}}))
}

fn answer(value: Value, reason: Reason) -> Result<Resolution, RelayError> {
    Ok(Resolution::new(value, reason)
        .with_variant("A")
        .with_metadata(metadata())
        .with_version("1.2.3"))
}

fn failure(code: &str) -> Result<Resolution, RelayError> {
    Err(RelayError::Evaluation(EvaluationFailure::new(
        code,
        format!("details of {code}"),
        Arc::default(),
    )))
}

/// GOFF-REM-003, GOFF-EVAL-007, GOFF-EVAL-009.
#[tokio::test]
async fn value_comes_with_variant_reason_version_and_whole_metadata() {
    let answer = answer(json!("on"), Reason::Other("OFFLINE".into()));
    let relay = ScriptedRelay::new().with_answer("flag", answer);
    let goff = goff(&relay).await;
    let details = evaluate(&goff, "off".to_owned()).await;
    assert_eq!(details.value, "on");
    assert_eq!(details.reason().as_str(), "OFFLINE");
    assert_eq!(details.variant(), Some("A"));
    assert_eq!(details.version(), Some("1.2.3"));
    assert_eq!(*details.metadata(), metadata());
    assert!(details.error().is_none());
    assert!(!details.is_disabled());
}

/// The details have the rest of the answer. The value that the relay proxy sends with a disabled
/// flag is not used. GOFF-EVAL-006, GOFF-EVAL-008.
#[tokio::test]
async fn disabled_and_null_give_the_default_without_an_error() {
    let relay = ScriptedRelay::new()
        .with_answer("disabled", answer(json!(false), Reason::Disabled))
        .with_answer("null", answer(Value::Null, Reason::TargetingMatch));
    let goff = goff(&relay).await;
    for (flag_key, reason) in [
        ("disabled", Reason::Disabled),
        ("null", Reason::TargetingMatch),
    ] {
        let details = goff.evaluate(flag_key, &context(), true).await;
        assert!(details.value, "{flag_key}");
        assert_eq!(*details.reason(), reason);
        assert_eq!(details.variant(), Some("A"));
        assert_eq!(*details.metadata(), metadata());
        assert!(details.error().is_none());
        assert_eq!(details.is_disabled(), reason == Reason::Disabled);
        let any_json = goff.evaluate(flag_key, &context(), json!({"d": 1})).await;
        assert_eq!(any_json.value, json!({"d": 1}));
    }
}

/// GOFF-EVAL-011, GOFF-ERR-001 to -003.
#[tokio::test]
async fn every_error_gives_the_default_with_its_code_and_text() {
    for wire in [
        "PROVIDER_NOT_READY",
        "FLAG_NOT_FOUND",
        "PARSE_ERROR",
        "TYPE_MISMATCH",
        "TARGETING_KEY_MISSING",
        "INVALID_CONTEXT",
        "GENERAL",
        "FLAG_CONFIG",
        "SOMETHING_NEW",
    ] {
        let relay = ScriptedRelay::new().with_answer("flag", failure(wire));
        let details = goff(&relay).await.evaluate("flag", &context(), 7_i64).await;
        assert_eq!(details.value, 7);
        assert_eq!(*details.reason(), Reason::Error);
        assert_eq!(details.variant(), None);
        let error = details.error().unwrap();
        assert_eq!(error.code(), ErrorCode::from(wire));
        assert_eq!(error.to_string(), format!("details of {wire}"));
    }
}

#[tokio::test]
async fn wrong_type_gives_the_default_and_keeps_the_metadata() {
    let relay = ScriptedRelay::new().with_answer("flag", answer(json!("on"), Reason::Static));
    let details = goff(&relay).await.evaluate("flag", &context(), true).await;
    assert!(details.value);
    assert_eq!(code(&details), ErrorCode::TypeMismatch);
    let error = details.error().unwrap().to_string();
    assert_eq!(error, "flag `flag` holds a string, not a boolean");
    assert_eq!(*details.metadata(), metadata());
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Limits {
    requests: u32,
    window_seconds: f64,
}

#[tokio::test]
async fn value_deserializes_into_a_custom_type() {
    let relay = ScriptedRelay::new()
        .with_value("limits", json!({"requests": 5, "window_seconds": 0.5}))
        .with_value("broken", json!({"requests": "many"}))
        .with_answer("disabled", answer(json!({}), Reason::Disabled));
    let goff = goff(&relay).await;
    let default = || Limits {
        requests: 1,
        window_seconds: 1.0,
    };
    let limits = goff.evaluate_as("limits", &context(), default()).await;
    assert_eq!(
        (limits.value.requests, limits.value.window_seconds),
        (5, 0.5)
    );
    let broken = goff.evaluate_as("broken", &context(), default()).await;
    assert_eq!(broken.value, default());
    let error = broken.error().unwrap();
    assert_eq!(error.code(), ErrorCode::TypeMismatch);
    assert!(error.to_string().contains("u32"), "{error}");
    let disabled = goff.evaluate_as("disabled", &context(), default()).await;
    assert_eq!(disabled.value, default());
    assert!(disabled.error().is_none());
}

#[tokio::test]
async fn bulk_evaluation_gives_each_flag_its_value_or_its_error() {
    let relay = ScriptedRelay::new()
        .with_answer("on", answer(json!(true), Reason::Static))
        .with_answer("disabled", answer(json!(true), Reason::Disabled))
        .with_answer("failed", failure("TARGETING_KEY_MISSING"));
    let goff = goff(&relay).await;
    let flags = goff.evaluate_all(&context()).await.unwrap();
    assert_eq!(flags.len(), 3);
    assert_eq!(flags["on"].value, json!(true));
    assert_eq!(flags["on"].variant(), Some("A"));
    assert_eq!(flags["disabled"].value, Value::Null);
    assert!(flags["disabled"].is_disabled());
    assert_eq!(flags["disabled"].variant(), Some("SdkDefault"));
    assert_eq!(flags["failed"].value, Value::Null);
    assert_eq!(code(&flags["failed"]), ErrorCode::TargetingKeyMissing);
    assert!(relay.requests()[0].context == context());
}

/// GOFF-LIFE-006; docs/python-parity.md C23.
#[tokio::test]
async fn client_refuses_before_and_answers_after_initialization() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    assert_eq!(goff.status().state, State::NotReady);
    let details = evaluate(&goff, false).await;
    assert!(!details.value);
    assert_eq!(code(&details), ErrorCode::ProviderNotReady);
    let error = goff.evaluate_all(&context()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ProviderNotReady);
    let outcome = goff.resolve("flag", &context()).await;
    assert_eq!(outcome.origin, Origin::NotEvaluated);
    let error = outcome.result.unwrap_err();
    assert!(matches!(*error, ResolutionError::NotReady { .. }));
    assert!(relay.requests().is_empty());

    // GOFF-LIFE-002.
    goff.initialize().await.unwrap();
    goff.clone().initialize().await.unwrap();
    assert_eq!(goff.status().state, State::Ready);
    assert!(evaluate(&goff, false).await.value);
}

/// Enrichment keeps the entries beside its own; `resolve` does not enrich. GOFF-CTX-006,
/// GOFF-CTX-007.
#[tokio::test]
async fn evaluation_is_enriched_and_resolution_is_not() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let options = options(&relay)
        .disable_cache(true)
        .exporter_metadata("service", "checkout");
    let goff = connect(options).await;
    let context = having("gofeatureflag", json!({"flagList": ["flag"]}));
    goff.evaluate("flag", &context, false).await;
    goff.evaluate_all(&context).await.unwrap();
    goff.resolve("flag", &context).await.result.unwrap();
    let requests = relay.requests();
    let seen = requests.iter().map(|request| {
        let attribute = ContextView::attribute(&request.context, "gofeatureflag");
        attribute.unwrap().to_attribute()
    });
    let enriched = Attribute::from(json!({
        "flagList": ["flag"],
        "exporterMetadata": {"service": "checkout", "provider": "rust", "openfeature": true},
    }));
    let plain = Attribute::from(json!({"flagList": ["flag"]}));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [enriched.clone(), enriched, plain]
    );
}

#[tokio::test]
async fn origin_is_where_the_flag_was_evaluated() {
    let unreachable = RelayError::UnreachableFlagKey {
        flag_key: "".into(),
        reason: "is empty",
    };
    let relay = ScriptedRelay::new()
        .with_value("value", 1)
        .with_answer("failed", failure("FLAG_CONFIG"))
        .with_answer("refused", failure("INVALID_CONTEXT"))
        .with_answer("unreachable", Err(unreachable));
    let goff = goff(&relay).await;
    for (flag_key, origin) in [
        ("value", Origin::Relay),
        ("failed", Origin::Relay),
        ("refused", Origin::NotEvaluated),
        ("unreachable", Origin::NotEvaluated),
        ("unknown", Origin::Relay),
    ] {
        let outcome = goff.resolve(flag_key, &context()).await;
        assert_eq!(outcome.origin, origin, "{flag_key}");
    }
    let nan = having("rate", f64::NAN);
    let outcome = goff.resolve("value", &nan).await;
    assert_eq!(outcome.origin, Origin::NotEvaluated);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidContext);
    assert!(error.to_string().contains("`rate`"), "{error}");
}

#[tokio::test]
async fn cancelled_evaluation_leaves_the_client_unchanged() {
    let (relay, goff) = serving_manually(true).await;
    let given_up = tokio::spawn({
        let goff = goff.clone();
        async move { evaluate(&goff, false).await.value }
    });
    while relay.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert!(relay.complete(0));
    assert!(evaluate(&goff, false).await.value);
}

#[tokio::test]
async fn two_clients_share_nothing() {
    let ((first, a), (second, b)) = (serving("first").await, serving("second").await);
    let default = String::new;
    assert_eq!(evaluate(&a, default()).await.value, "first");
    assert_eq!(evaluate(&b, default()).await.value, "second");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

/// What hundreds of waiting evaluations keep decides how fast they are (docs/operating/scale.md). With
/// the request in each layer it was 2,184 bytes.
#[test]
fn future_of_an_evaluation_is_small() {
    let goff = GoFeatureFlag::new(GoFeatureFlagOptions::new("http://localhost:1031")).unwrap();
    let context = EvaluationContext::default();
    let size = size_of_val(&goff.evaluate("flag", &context, false));
    assert!(size <= 1_600, "{size} bytes");
}
