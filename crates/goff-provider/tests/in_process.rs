//! In-process evaluation through the SDK.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failing_hook;
mod sut;

use goff_provider::{
    EvaluationType, FLAG_DISABLED, GoFeatureFlagOptions, GoFeatureFlagProvider, NULL_VALUE,
    Resolution,
};
use goff_testkit::ScriptedRelay;
use open_feature::provider::{FeatureProvider, ProviderStatus};
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationErrorCode, EvaluationReason,
    FlagMetadataValue, StructValue, Value as SdkValue,
};
use serde_json::{Value, json};

use failing_hook::Failing;
use sut::{Sut, context, options, status};

fn in_process(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    options(relay).evaluation_type(EvaluationType::InProcess)
}

async fn sut(flags: Value) -> Sut {
    let relay = ScriptedRelay::new();
    relay.set_flags(&flags, None);
    let options = in_process(&relay);
    Sut::connect(relay, options).await
}

fn giving(value: impl Into<Value>) -> Value {
    json!({"variations": {"A": value.into()}, "defaultRule": {"variation": "A"}})
}

/// A flag that is valid, and null since a scheduled step.
fn null_since_a_step() -> Value {
    let step = json!({"date": "2020-01-01T00:00:00Z", "variations": {"A": null}});
    with(giving(1), "scheduledRollout", json!([step]))
}

fn with(mut flag: Value, member: &str, value: Value) -> Value {
    flag.as_object_mut()
        .unwrap()
        .insert(member.to_owned(), value);
    flag
}

/// In both modes the same error, which names the flag.
#[cfg(feature = "http")]
#[tokio::test]
async fn flag_that_is_not_found_is_named() {
    let relay = goff_testkit::EmbeddedRelay::builder().flags("{}").start();
    let relay = relay.unwrap();
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let options = GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(mode);
        let mut api = open_feature::OpenFeature::default();
        let provider = GoFeatureFlagProvider::new(options).unwrap();
        api.set_provider(provider).await;
        let client = api.create_client();
        let context = context();
        let error = client.get_bool_details("new-checkout", Some(&context), None);
        let error = error.await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::FlagNotFound);
        let expected = Some("flag `new-checkout` was not found");
        assert_eq!(error.message.as_deref(), expected);
    }
}

/// GOFF-EVAL-001, -002, -003, -005, GOFF-IP-012: the five resolvers, without a request.
#[tokio::test]
async fn each_resolver_answers_in_process() {
    let sut = sut(json!({
        "bool": giving(true), "int": giving(100), "float": giving(1.5), "string": giving("é"),
        "object": giving(json!({"a": 1, "n": null})), "list": giving(json!([1])),
    }))
    .await;
    let (client, context) = (&sut.client, context());
    let context = Some(&context);
    assert_eq!(client.get_bool_value("bool", context, None).await, Ok(true));
    assert_eq!(client.get_int_value("int", context, None).await, Ok(100));
    assert_eq!(
        client.get_float_value("int", context, None).await,
        Ok(100.0)
    );
    assert_eq!(
        client.get_float_value("float", context, None).await,
        Ok(1.5)
    );
    assert_eq!(
        client.get_string_value("string", context, None).await,
        Ok("é".to_owned())
    );
    let object: StructValue = client
        .get_struct_details("object", context, None)
        .await
        .unwrap()
        .value;
    assert_eq!(object.fields.get("a"), Some(&SdkValue::Int(1)));
    assert_eq!(object.fields.len(), 1);
    for (flag, code) in [
        ("list", EvaluationErrorCode::TypeMismatch),
        ("int", EvaluationErrorCode::TypeMismatch),
        ("unknown", EvaluationErrorCode::FlagNotFound),
    ] {
        let error = client
            .get_struct_details::<StructValue>(flag, context, None)
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{flag}");
    }
    assert_eq!(sut.relay.request_count(), 0);
}

/// GOFF-EVAL-006 to -010: a disabled flag and a null value are no values.
#[tokio::test]
async fn details_are_the_engines() {
    let split = json!({
        "variations": {"A": true, "B": true},
        "targeting": [{"name": "all users", "query": "targetingKey eq \"user-1\"",
                       "percentage": {"A": 50, "B": 50}}],
        "defaultRule": {"variation": "A"},
        "metadata": {"owner": "ä", "n": 1},
    });
    let sut = sut(json!({
        "split": split, "null": null_since_a_step(),
        "disabled": with(giving(true), "disable", json!(true)),
    }))
    .await;
    let context = context();
    let details = sut
        .client
        .get_bool_details("split", Some(&context), None)
        .await
        .unwrap();
    assert_eq!(
        details.reason,
        Some(EvaluationReason::Other("TARGETING_MATCH_SPLIT".to_owned()))
    );
    assert!(details.variant.is_some());
    let metadata = details.flag_metadata.values;
    for (key, value) in [("owner", "ä"), ("evaluatedRuleName", "all users")] {
        assert!(
            matches!(metadata.get(key), Some(FlagMetadataValue::String(text)) if text == value),
            "{key}"
        );
    }
    for (flag, expected) in [("null", NULL_VALUE), ("disabled", FLAG_DISABLED)] {
        let error = sut
            .client
            .get_bool_value(flag, Some(&context), None)
            .await
            .unwrap_err();
        assert_eq!(
            error.code,
            EvaluationErrorCode::General(expected.to_owned())
        );
    }
}

/// Queries see every kind of field of an SDK context.
#[tokio::test]
async fn fields_of_the_sdk_are_attributes() {
    let date = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    let query = r#"{"and": [
        {"==": [{"var": "plan"}, "pro"]}, {"==": [{"var": "age"}, 30]},
        {"==": [{"var": "rate"}, 1.5]}, {"==": [{"var": "beta"}, true]},
        {"==": [{"var": "company.size"}, 120]}, {"in": ["b", {"var": "tags"}]},
        {"==": [{"var": "since"}, "2027-01-15T08:00:00Z"]},
        {"==": [{"var": "gofeatureflag.exporterMetadata.openfeature"}, true]}
    ]}"#;
    let flag = json!({
        "variations": {"yes": true, "no": false},
        "targeting": [{"query": query, "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    });
    let sut = sut(json!({"flag": flag})).await;
    let context = context()
        .with_custom_field("plan", "pro")
        .with_custom_field("age", 30)
        .with_custom_field("rate", 1.5)
        .with_custom_field("beta", true)
        .with_custom_field("since", date)
        .with_custom_field(
            "company",
            EvaluationContextFieldValue::new_struct(StructValue::default().with_field("size", 120)),
        )
        .with_custom_field(
            "tags",
            EvaluationContextFieldValue::new_struct(vec!["a".to_owned(), "b".to_owned()]),
        );
    let value = sut
        .client
        .get_bool_value("flag", Some(&context), None)
        .await;
    assert_eq!(value, Ok(true));
}

/// GOFF-COLL-010, GOFF-COLL-022, GOFF-HOOK-005, GOFF-HOOK-006: every evaluation once, as
/// `INPROCESS`, even if another hook's `after` fails.
#[tokio::test]
async fn evaluations_are_recorded_once() {
    for hook_fails in [false, true] {
        let mut sut = sut(json!({
            "flag": giving(true), "null": null_since_a_step(),
            "disabled": with(giving(true), "disable", json!(true)),
            "untracked": with(giving(true), "trackEvents", json!(false)),
            "text": giving("x"),
        }))
        .await;
        if hook_fails {
            sut.client = sut.client.with_hook(Failing("after"));
        }
        let context = context();
        for flag in ["flag", "null", "disabled", "untracked", "text", "unknown"] {
            let _ = sut.client.get_bool_value(flag, Some(&context), None).await;
        }
        let events = sut.collected().await;
        let seen: Vec<_> = events
            .iter()
            .map(|event| {
                assert_eq!(event["source"], "INPROCESS");
                json!([
                    event["key"],
                    event["default"],
                    event["variation"],
                    event["value"]
                ])
            })
            .collect();
        let expected = [
            json!(["flag", false, "A", true]),
            json!(["null", false, "A", null]),
            json!(["disabled", false, "SdkDefault", null]),
            json!(["text", true, "SdkDefault", null]),
            json!(["unknown", true, "SdkDefault", null]),
        ];
        assert_eq!(seen, expected, "hook fails: {hook_fails}");
    }
}

/// GOFF-FALLBACK-006, GOFF-FALLBACK-007: the relay proxy records what it answers.
#[tokio::test]
async fn fallback_is_marked_and_not_recorded() {
    let sut = sut(json!({"broken": {"disable": "yes"}})).await;
    let answer = Resolution::default().with_value(true);
    sut.relay.set_answer("broken", Ok(answer));
    let details = sut
        .client
        .get_bool_details("broken", Some(&context()), None)
        .await
        .unwrap();
    assert!(matches!(
        details
            .flag_metadata
            .values
            .get("gofeatureflag_evaluated_remotely"),
        Some(FlagMetadataValue::Bool(true))
    ));
    assert!(sut.collected().await.is_empty());
    assert_eq!(sut.relay.request_count(), 1);
}

/// GOFF-LIFE-001, GOFF-LIFE-006, GOFF-EVT-007, GOFF-EVT-008: the SDK's `initialize` is the
/// client's, and its status shows the result.
#[tokio::test]
async fn status_shows_the_result_of_initialization() {
    for (failure, expected) in [
        (None, ProviderStatus::Ready),
        (Some(status(503)), ProviderStatus::Error),
        (Some(status(401)), ProviderStatus::Error),
    ] {
        let relay = ScriptedRelay::new();
        relay.set_flags(&json!({"flag": giving(true)}), None);
        relay.set_configuration_failure(failure.clone());
        let mut provider = GoFeatureFlagProvider::new(in_process(&relay)).unwrap();
        assert_eq!(provider.status(), ProviderStatus::NotReady);
        provider.initialize(&EvaluationContext::default()).await;
        assert_eq!(provider.status(), expected);
        let result = provider.resolve_bool_value("flag", &context()).await;
        match failure {
            None => assert!(result.unwrap().value),
            Some(_) => assert_eq!(
                result.err().unwrap().code,
                EvaluationErrorCode::ProviderNotReady
            ),
        }
    }
}
