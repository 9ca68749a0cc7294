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
    Client, ClientMetadata, EvaluationContext, EvaluationContextFieldValue, EvaluationErrorCode,
    EvaluationReason, EvaluationResult, HookContext, OpenFeature, StructValue, Type,
    Value as SdkValue,
};
use serde_json::{Value, json};

fn provider(relay: &ScriptedRelay) -> GoFeatureFlagProvider {
    // Each evaluation must reach the relay proxy.
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
        Ok(Resolution::new(value, Reason::from(reason)).with_variant("A")),
    )
}

/// The answer of a resolver to the flag of a relay proxy.
macro_rules! get {
    ($resolver:ident $(::<$type:ty>)?, $relay:expr) => {
        client(&$relay)
            .await
            .$resolver$(::<$type>)?("flag", Some(&context()), None)
            .await
    };
}

fn assert_mismatch<T: std::fmt::Debug>(result: EvaluationResult<T>) {
    assert_eq!(result.unwrap_err().code, EvaluationErrorCode::TypeMismatch);
}

/// GOFF-EVAL-001.
#[tokio::test]
async fn each_resolver_gives_its_type() {
    assert_eq!(get!(get_bool_value, relay(json!(true))), Ok(true));
    assert_eq!(get!(get_int_value, relay(json!(7))), Ok(7));
    assert_eq!(get!(get_float_value, relay(json!(7.5))), Ok(7.5));
    let text = get!(get_string_value, relay(json!("on")));
    assert_eq!(text.as_deref(), Ok("on"));
    let object = get!(get_struct_value::<StructValue>, relay(json!({"a": 1})));
    assert_eq!(object, Ok(StructValue::default().with_field("a", 1)));
}

/// GOFF-EVAL-003, GOFF-EVAL-004, GOFF-EVAL-005.
#[tokio::test]
async fn numbers_are_never_coerced() {
    assert_eq!(get!(get_float_value, relay(json!(100))), Ok(100.0));
    assert_eq!(get!(get_int_value, relay(json!(100.0))), Ok(100));
    for value in [json!(100.25), json!(u64::MAX), json!(1e30), json!(true)] {
        assert_mismatch(get!(get_int_value, relay(value)));
    }
    assert_mismatch(get!(get_float_value, relay(json!(true))));
}

/// GOFF-EVAL-002.
#[tokio::test]
async fn struct_resolver_takes_objects_only_and_leaves_null_members_out() {
    for value in [json!([1]), json!("{}"), json!(1), json!(true)] {
        assert_mismatch(get!(get_struct_value::<StructValue>, relay(value)));
    }
    let relay = relay(json!({"a": null, "b": {"c": null, "d": [1, "x"]}}));
    let list = SdkValue::Array(vec![1.into(), "x".into()]);
    let inner = StructValue::default().with_field("d", list);
    assert_eq!(
        get!(get_struct_value::<StructValue>, relay),
        Ok(StructValue::default().with_field("b", inner))
    );
}

/// GOFF-EVAL-006, GOFF-EVAL-008, docs/python-parity.md D1: `unwrap_or(true)` gives true.
#[tokio::test]
async fn disabled_and_null_never_arrive_as_a_zero_value() {
    for (relay, expected) in [
        (answering("DISABLED", json!(false)), FLAG_DISABLED),
        (answering("DISABLED", json!(null)), FLAG_DISABLED),
        (answering("DISABLED", json!("another type")), FLAG_DISABLED),
        (answering("TARGETING_MATCH", json!(null)), NULL_VALUE),
    ] {
        let error = get!(get_bool_value, relay).unwrap_err();
        let code = EvaluationErrorCode::General(expected.to_owned());
        assert_eq!(error.code, code);
        assert_eq!(is_disabled(&error), expected == FLAG_DISABLED);
        assert!(error.message.unwrap().contains("`flag`"));
    }
}

/// GOFF-EVAL-007.
#[tokio::test]
async fn reason_outside_the_sdks_enumeration_passes_through() {
    for wire in ["TARGETING_MATCH_SPLIT", "OFFLINE", "CUSTOM_REASON"] {
        let details = get!(get_bool_details, answering(wire, json!(true))).unwrap();
        let reason = EvaluationReason::Other(wire.to_owned());
        assert_eq!(details.reason, Some(reason));
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
        let failure = RelayError::Evaluation(EvaluationFailure::new(
            wire,
            format!("details of {wire}"),
            Arc::default(),
        ));
        let relay = ScriptedRelay::new().with_answer("flag", Err(failure));
        let error = get!(get_string_value, relay).unwrap_err();
        assert_eq!(error.code, expected);
        assert_eq!(error.message, Some(format!("details of {wire}")));
    }
}

/// GOFF-LIFE-006: the SDK client ignores the status, so the resolvers refuse.
#[tokio::test]
async fn provider_is_not_ready_until_it_is_initialized() {
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

/// GOFF-LIFE-002.
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

/// GOFF-HOOK-001, GOFF-HOOK-002, GOFF-HOOK-003: from construction on, and never doubled.
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

/// GOFF-CTX-006, GOFF-CTX-007, GOFF-HOOK-003.
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

/// The collector hook reads the outcome from the slot.
#[tokio::test]
async fn resolver_fills_the_slot_with_the_projected_outcome() {
    let mut provider = provider(&relay(json!("text")));
    provider.initialize(&EvaluationContext::default()).await;
    let with_slot = || {
        let attribute = GoFeatureFlagAttribute::new(None, ExporterMetadata::default());
        context().with_custom_field("gofeatureflag", attribute)
    };
    let take_outcome = |context| {
        let attribute = GoFeatureFlagAttribute::find(context).unwrap();
        attribute.slot().read_once(Clone::clone).unwrap()
    };
    let context = with_slot();
    provider
        .resolve_string_value("flag", &context)
        .await
        .unwrap();
    let outcome = take_outcome(&context);
    assert_eq!(outcome.origin, Origin::Relay);
    assert_eq!(outcome.result.unwrap().value, "text");
    assert_eq!(&*outcome.flag_key, "flag");

    let context = with_slot();
    provider
        .resolve_bool_value("flag", &context)
        .await
        .unwrap_err();
    let outcome = take_outcome(&context);
    assert_eq!(outcome.origin, Origin::Relay);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code().as_str(), "TYPE_MISMATCH");
}
