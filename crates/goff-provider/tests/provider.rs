//! The provider through the SDK, over a scripted relay proxy.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use goff_core::__internal::GoFeatureFlagAttribute;
use goff_core::{Attribute, ContextView, EvaluationFailure, ExporterMetadata, Origin};
use goff_provider::{
    FLAG_DISABLED, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, NULL_VALUE, Reason,
    RelayError, Resolution, SPECIFICATION_VERSION, is_disabled,
};
use goff_testkit::ScriptedRelay;
use open_feature::provider::{FeatureProvider, ProviderStatus};
use open_feature::{
    Client, ClientMetadata, EvaluationContext, EvaluationContextFieldValue, EvaluationError,
    EvaluationErrorCode, EvaluationReason, HookContext, OpenFeature, StructValue, Type,
    Value as SdkValue,
};
use serde_json::{Value, json};

fn provider(relay: &ScriptedRelay) -> GoFeatureFlagProvider {
    // What the relay proxy answers is what counts here, every time.
    let options =
        GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone())).disable_cache(true);
    GoFeatureFlagProvider::new(options).unwrap()
}

async fn client(relay: &ScriptedRelay) -> Client {
    let mut api = OpenFeature::default();
    api.set_provider(provider(relay)).await;
    api.create_client()
}

fn context() -> EvaluationContext {
    EvaluationContext::default()
        .with_targeting_key("user-1")
        .with_custom_field("age", 30)
}

fn relay(value: Value) -> ScriptedRelay {
    ScriptedRelay::new().with_value("flag", value)
}

fn answering(reason: &str, value: Value) -> ScriptedRelay {
    ScriptedRelay::new().with_answer(
        "flag",
        Ok(Resolution {
            value,
            reason: Reason::from(reason),
            variant: Some("A".to_owned()),
            ..Resolution::default()
        }),
    )
}

fn code(error: EvaluationError) -> EvaluationErrorCode {
    error.code
}

/// GOFF-EVAL-001.
#[tokio::test]
async fn each_resolver_gives_its_type() {
    let context = context();
    let context = Some(&context);
    let bool = client(&relay(json!(true))).await;
    assert!(bool.get_bool_value("flag", context, None).await.unwrap());
    let int = client(&relay(json!(7))).await;
    assert_eq!(int.get_int_value("flag", context, None).await.unwrap(), 7);
    let float = client(&relay(json!(7.5))).await;
    assert_eq!(
        float.get_float_value("flag", context, None).await.unwrap(),
        7.5
    );
    let string = client(&relay(json!("on"))).await;
    assert_eq!(
        string
            .get_string_value("flag", context, None)
            .await
            .unwrap(),
        "on"
    );
    let object = client(&relay(json!({"a": 1}))).await;
    assert_eq!(
        object
            .get_struct_value::<StructValue>("flag", context, None)
            .await
            .unwrap(),
        StructValue::default().with_field("a", 1)
    );
}

/// GOFF-EVAL-003, GOFF-EVAL-004, GOFF-EVAL-005.
#[tokio::test]
async fn numbers_are_never_coerced() {
    let context = context();
    let context = Some(&context);
    let whole = client(&relay(json!(100))).await;
    assert_eq!(
        whole.get_float_value("flag", context, None).await.unwrap(),
        100.0
    );
    let integral = client(&relay(json!(100.0))).await;
    assert_eq!(
        integral.get_int_value("flag", context, None).await.unwrap(),
        100
    );
    for value in [json!(100.25), json!(u64::MAX), json!(1e30), json!(true)] {
        let client = client(&relay(value)).await;
        let error = client.get_int_value("flag", context, None).await;
        assert_eq!(code(error.unwrap_err()), EvaluationErrorCode::TypeMismatch);
    }
    let boolean = client(&relay(json!(true))).await;
    let error = boolean.get_float_value("flag", context, None).await;
    assert_eq!(code(error.unwrap_err()), EvaluationErrorCode::TypeMismatch);
}

/// GOFF-EVAL-002.
#[tokio::test]
async fn struct_resolver_takes_objects_only_and_leaves_null_members_out() {
    let context = context();
    let context = Some(&context);
    for value in [json!([1]), json!("{}"), json!(1), json!(true)] {
        let client = client(&relay(value)).await;
        let error = client
            .get_struct_value::<StructValue>("flag", context, None)
            .await
            .unwrap_err();
        assert_eq!(code(error), EvaluationErrorCode::TypeMismatch);
    }
    let client = client(&relay(json!({"a": null, "b": {"c": null, "d": [1, "x"]}}))).await;
    let value: StructValue = client
        .get_struct_value("flag", context, None)
        .await
        .unwrap();
    let list = SdkValue::Array(vec![1.into(), "x".into()]);
    assert_eq!(
        value,
        StructValue::default().with_field("b", StructValue::default().with_field("d", list))
    );
}

/// GOFF-EVAL-006, GOFF-EVAL-008, Python D1: whoever wrote `unwrap_or(true)` gets true.
#[tokio::test]
async fn disabled_and_null_never_arrive_as_a_zero_value() {
    let context = context();
    let context = Some(&context);
    for (relay, expected) in [
        (answering("DISABLED", json!(false)), FLAG_DISABLED),
        (answering("DISABLED", json!(null)), FLAG_DISABLED),
        (answering("DISABLED", json!("another type")), FLAG_DISABLED),
        (answering("TARGETING_MATCH", json!(null)), NULL_VALUE),
    ] {
        let client = client(&relay).await;
        let error = client
            .get_bool_value("flag", context, None)
            .await
            .unwrap_err();
        assert_eq!(
            error.code,
            EvaluationErrorCode::General(expected.to_owned())
        );
        assert_eq!(is_disabled(&error), expected == FLAG_DISABLED);
        assert!(error.message.unwrap().contains("`flag`"));
        let value = client.get_bool_value("flag", context, None).await;
        assert!(value.unwrap_or(true));
    }
}

/// GOFF-EVAL-007.
#[tokio::test]
async fn reason_outside_the_sdks_enumeration_passes_through() {
    for wire in ["TARGETING_MATCH_SPLIT", "OFFLINE", "CUSTOM_REASON"] {
        let details = client(&answering(wire, json!(true)))
            .await
            .get_bool_details("flag", Some(&context()), None)
            .await
            .unwrap();
        assert_eq!(
            details.reason,
            Some(EvaluationReason::Other(wire.to_owned()))
        );
        assert_eq!(details.variant.as_deref(), Some("A"));
        assert_eq!(details.flag_key, "flag");
    }
}

/// GOFF-ERR-001 to GOFF-ERR-003, GOFF-EVAL-011.
#[tokio::test]
async fn every_error_code_arrives_with_its_text() {
    use EvaluationErrorCode::*;
    for (wire, expected) in [
        ("PROVIDER_NOT_READY", ProviderNotReady),
        ("FLAG_NOT_FOUND", FlagNotFound),
        ("PARSE_ERROR", ParseError),
        ("TYPE_MISMATCH", TypeMismatch),
        ("TARGETING_KEY_MISSING", TargetingKeyMissing),
        ("INVALID_CONTEXT", InvalidContext),
        ("GENERAL", General("GENERAL".to_owned())),
        ("FLAG_CONFIG", General("FLAG_CONFIG".to_owned())),
        ("SOMETHING_NEW", General("SOMETHING_NEW".to_owned())),
    ] {
        let failure = RelayError::Evaluation(EvaluationFailure {
            code: wire.into(),
            details: format!("details of {wire}"),
            resolution: Arc::default(),
        });
        let relay = ScriptedRelay::new().with_answer("flag", Err(failure));
        let error = client(&relay)
            .await
            .get_string_value("flag", Some(&context()), None)
            .await
            .unwrap_err();
        assert_eq!(error.code, expected);
        assert_eq!(error.message, Some(format!("details of {wire}")));
    }
}

/// GOFF-LIFE-006: the SDK client never looks at the status, so the resolvers say it.
#[tokio::test]
async fn provider_is_not_ready_until_it_is_initialised() {
    let mut provider = provider(&relay(json!(true)));
    assert_eq!(provider.status(), ProviderStatus::NotReady);
    let error = provider
        .resolve_bool_value("flag", &context())
        .await
        .unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::ProviderNotReady);
    provider.initialize(&EvaluationContext::default()).await;
    assert_eq!(provider.status(), ProviderStatus::Ready);
    assert!(
        provider
            .resolve_bool_value("flag", &context())
            .await
            .unwrap()
            .value
    );
}

/// GOFF-LIFE-002: one client serves several domains.
#[tokio::test]
async fn one_client_serves_several_domains() {
    let relay = relay(json!(true));
    let options =
        GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone())).disable_cache(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut api = OpenFeature::default();
    api.set_named_provider("a", GoFeatureFlagProvider::from(&goff))
        .await;
    api.set_named_provider("b", GoFeatureFlagProvider::from(&goff))
        .await;
    for domain in ["a", "b"] {
        let client = api.create_named_client(domain);
        let value = client.get_bool_value("flag", Some(&context()), None).await;
        assert!(value.unwrap());
    }
    assert_eq!(relay.requests().len(), 2);
}

/// GOFF-META-001, GOFF-META-002, GOFF-ENG-003.
#[test]
fn names_are_those_of_the_specification() {
    assert_eq!(
        provider(&relay(json!(1))).metadata().name,
        "GO Feature Flag Provider"
    );
    assert_eq!(SPECIFICATION_VERSION, "1.0");
}

/// GOFF-HOOK-001, GOFF-HOOK-002, GOFF-HOOK-003: there from construction, enrichment first, and never
/// doubled.
#[tokio::test]
async fn hooks_are_registered_once_enrichment_first() {
    let mut provider = provider(&relay(json!(true)));
    let context = context();
    for _ in 0..3 {
        let mut enriches = Vec::new();
        for hook in provider.hooks() {
            let hook_context = HookContext {
                flag_key: "flag",
                flag_type: Type::Bool,
                evaluation_context: &context,
                provider_metadata: provider.metadata().clone(),
                default_value: None,
                client_metadata: ClientMetadata::default(),
            };
            enriches.push(hook.before(&hook_context, None).await.unwrap().is_some());
        }
        assert_eq!(enriches, [true, false]);
        provider.initialize(&EvaluationContext::default()).await;
    }
}

/// GOFF-CTX-006, GOFF-CTX-007, GOFF-HOOK-003, through the SDK.
#[tokio::test]
async fn evaluation_carries_exporter_metadata_and_the_callers_siblings() {
    let relay = relay(json!(true));
    let context = context().with_custom_field(
        "gofeatureflag",
        EvaluationContextFieldValue::new_struct(
            json!({"flagList": ["flag"], "currentDateTime": "2026-01-01T00:00:00Z"}),
        ),
    );
    client(&relay)
        .await
        .get_bool_value("flag", Some(&context), None)
        .await
        .unwrap();
    let seen = &relay.requests()[0].context;
    assert_eq!(
        seen.attribute("gofeatureflag").unwrap(),
        Attribute::from(json!({
            "flagList": ["flag"],
            "currentDateTime": "2026-01-01T00:00:00Z",
            "exporterMetadata": {"provider": "rust", "openfeature": true},
        }))
    );
    assert_eq!(seen.attribute("age").unwrap(), Attribute::from(30));
    assert_eq!(seen.targeting_key(), Some("user-1"));
}

#[tokio::test]
async fn context_that_cannot_be_read_is_invalid_and_nothing_is_sent() {
    struct Opaque;
    let relay = relay(json!(true));
    let client = client(&relay).await;
    for field in [
        EvaluationContextFieldValue::new_struct(Opaque),
        f64::NAN.into(),
        f64::INFINITY.into(),
        Attribute::from_serialize(vec![f64::NAN]).into(),
    ] {
        let context = context().with_custom_field("broken", field);
        let error = client
            .get_bool_value("flag", Some(&context), None)
            .await
            .unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::InvalidContext);
        assert!(error.message.unwrap().contains("`broken`"));
    }
    assert!(relay.requests().is_empty());
}

/// The slot that usage data are read from holds the outcome as the caller got it.
#[tokio::test]
async fn resolver_fills_the_slot_with_the_projected_outcome() {
    let mut provider = provider(&relay(json!("text")));
    provider.initialize(&EvaluationContext::default()).await;
    let with_slot = || {
        let goff = GoFeatureFlagAttribute::new(None, ExporterMetadata::default());
        context().with_custom_field("gofeatureflag", goff)
    };
    let context = with_slot();
    provider
        .resolve_string_value("flag", &context)
        .await
        .unwrap();
    let outcome = GoFeatureFlagAttribute::find(&context)
        .unwrap()
        .slot()
        .take()
        .unwrap();
    assert_eq!(outcome.origin, Origin::Relay);
    assert_eq!(outcome.result.unwrap().value, "text");
    assert_eq!(&*outcome.flag_key, "flag");

    let context = with_slot();
    provider
        .resolve_bool_value("flag", &context)
        .await
        .unwrap_err();
    let outcome = GoFeatureFlagAttribute::find(&context)
        .unwrap()
        .slot()
        .take()
        .unwrap();
    assert_eq!(outcome.origin, Origin::Relay);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code().as_str(), "TYPE_MISMATCH");
}
