//! In-process evaluation through the SDK.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failing_hook;

use std::sync::Arc;
use std::time::Duration;

use goff_provider::{
    ErrorCode, EvaluationType, FLAG_DISABLED, GoFeatureFlag, GoFeatureFlagOptions,
    GoFeatureFlagProvider, NULL_VALUE, RelayError, Resolution,
};
use goff_testkit::ScriptedRelay;
use open_feature::provider::{FeatureProvider, ProviderStatus};
use open_feature::{
    Client, EvaluationContext, EvaluationErrorCode, EvaluationReason, FlagMetadataValue,
    OpenFeature, StructValue, Value as SdkValue,
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

fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess)
}

async fn sut(flags: Value) -> Sut {
    let relay = ScriptedRelay::new();
    relay.set_flags(&flags, None);
    let goff = GoFeatureFlag::connect(options(&relay)).await.unwrap();
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    Sut {
        relay,
        goff,
        client: api.create_client(),
        _api: api,
    }
}

impl Sut {
    async fn collected(&self) -> Vec<Value> {
        self.goff.flush(DEADLINE).await;
        let batches = self.relay.batches();
        let events = batches.iter().flat_map(|batch| &batch.events);
        events
            .map(|event| serde_json::to_value(event).unwrap())
            .collect()
    }
}

fn giving(value: impl Into<Value>) -> Value {
    json!({"variations": {"A": value.into()}, "defaultRule": {"variation": "A"}})
}

fn with(mut flag: Value, member: &str, value: Value) -> Value {
    flag.as_object_mut()
        .unwrap()
        .insert(member.to_owned(), value);
    flag
}

fn context() -> EvaluationContext {
    EvaluationContext::default().with_targeting_key("user-1")
}

fn status(status: u16) -> RelayError {
    RelayError::Status {
        status,
        path: "/v1/flag/configuration".to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

/// GOFF-EVAL-001, -002, -003, -005, GOFF-IP-012: the five resolvers, without a request.
#[tokio::test]
async fn five_resolvers_answer_in_process() {
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

/// GOFF-EVAL-006 to -010: details as the engine gave them; a disabled flag and a null value are no
/// values.
#[tokio::test]
async fn details_are_the_engines() {
    let split = json!({
        "variations": {"A": true, "B": true},
        "targeting": [{"name": "everybody", "query": "targetingKey eq \"user-1\"",
                       "percentage": {"A": 50, "B": 50}}],
        "defaultRule": {"variation": "A"},
        "metadata": {"owner": "ä", "n": 1},
    });
    let sut = sut(json!({
        "split": split, "null": giving(Value::Null),
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
    for (key, value) in [("owner", "ä"), ("evaluatedRuleName", "everybody")] {
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

/// The SDK's context is read in place: every kind of field that a query can ask for.
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
            open_feature::EvaluationContextFieldValue::new_struct(
                StructValue::default().with_field("size", 120),
            ),
        )
        .with_custom_field(
            "tags",
            open_feature::EvaluationContextFieldValue::new_struct(vec![
                "a".to_owned(),
                "b".to_owned(),
            ]),
        );
    let value = sut
        .client
        .get_bool_value("flag", Some(&context), None)
        .await;
    assert_eq!(value, Ok(true));
}

/// GOFF-COLL-010, GOFF-COLL-022, GOFF-HOOK-005, GOFF-HOOK-006: every evaluation once, as
/// `INPROCESS`, also when another hook's `after` fails.
#[tokio::test]
async fn evaluations_are_recorded_once() {
    for hook_fails in [false, true] {
        let mut sut = sut(json!({
            "flag": giving(true), "null": giving(Value::Null),
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
        let seen: Vec<_> = sut
            .collected()
            .await
            .into_iter()
            .map(|event| {
                let member = |name: &str| event.get(name).cloned().unwrap_or_default();
                assert_eq!(member("source"), "INPROCESS");
                (
                    member("key").as_str().unwrap().to_owned(),
                    member("default") == true,
                    member("variation").as_str().unwrap().to_owned(),
                    member("value"),
                )
            })
            .collect();
        let expected = [
            ("flag", false, "A", json!(true)),
            ("null", false, "A", Value::Null),
            ("disabled", false, "SdkDefault", Value::Null),
            ("text", true, "SdkDefault", Value::Null),
            ("unknown", true, "SdkDefault", Value::Null),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(key, failed, variant, value)| {
                (key.to_owned(), failed, variant.to_owned(), value)
            })
            .collect();
        assert_eq!(seen, expected, "hook fails: {hook_fails}");
    }
}

/// GOFF-FALLBACK-006, GOFF-FALLBACK-007: what the relay proxy answered it recorded itself.
#[tokio::test]
async fn fallback_is_marked_and_not_recorded() {
    let sut = sut(json!({"broken": {"disable": "yes"}})).await;
    let answer = Resolution {
        value: json!(true),
        ..Resolution::default()
    };
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

/// GOFF-LIFE-001, GOFF-LIFE-006, GOFF-EVT-007, GOFF-EVT-008: the SDK's `initialize` is ours, and
/// its status says what became of it.
#[tokio::test]
async fn status_tells_how_initialisation_went() {
    for (failure, expected) in [
        (None, ProviderStatus::Ready),
        (Some(status(503)), ProviderStatus::Error),
        (Some(status(401)), ProviderStatus::Error),
    ] {
        let relay = ScriptedRelay::new();
        relay.set_flags(&json!({"flag": giving(true)}), None);
        relay.set_configuration_failure(failure.clone());
        let mut provider = GoFeatureFlagProvider::new(options(&relay)).unwrap();
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
