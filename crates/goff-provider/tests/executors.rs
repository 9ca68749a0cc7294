//! The provider polled by an executor other than tokio.

use std::sync::Arc;
use std::time::Duration;

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_testkit::ScriptedRelay;
use open_feature::EvaluationContext;
use open_feature::provider::{FeatureProvider, ProviderStatus};
use pollster::block_on;
use serde_json::json;

/// Every call of the SDK works by the rule, or gives an error.
#[test]
fn provider_works_outside_tokio() {
    let relay = ScriptedRelay::new()
        .with_value("bool", true)
        .with_value("int", 1)
        .with_value("float", 1.5)
        .with_value("text", "on")
        .with_value("object", json!({"a": 1}));
    let options = || GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(GoFeatureFlag::connect(options())).unwrap();
    let provider = GoFeatureFlagProvider::from(&client);
    let context = EvaluationContext::default().with_targeting_key("user-1");
    block_on(async {
        for _ in 0..2 {
            let value = provider.resolve_bool_value("bool", &context).await.unwrap();
            assert!(value.value);
            let value = provider.resolve_int_value("int", &context).await.unwrap();
            assert_eq!(value.value, 1);
            let value = provider.resolve_float_value("float", &context).await;
            assert_eq!(value.unwrap().value.to_string(), "1.5");
            let value = provider.resolve_string_value("text", &context).await;
            assert_eq!(value.unwrap().value, "on");
            let value = provider.resolve_struct_value("object", &context).await;
            assert_eq!(value.unwrap().value.fields.len(), 1);
        }
        client.shutdown(Duration::from_secs(5)).await;

        let mut unstarted = GoFeatureFlagProvider::new(options()).unwrap();
        unstarted.initialize(&context).await;
        assert_eq!(unstarted.status(), ProviderStatus::NotReady);
        let error = unstarted.client().status().last_error.unwrap();
        assert!(error.to_string().contains("tokio runtime"), "{error}");
        let resolved = unstarted.resolve_bool_value("bool", &context).await;
        assert!(resolved.is_err());
    });
}

/// A provider is often part of a state that is logged by `Debug`.
#[test]
fn debug_shows_no_user() {
    let relay = ScriptedRelay::new().with_value("bool", true);
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(GoFeatureFlag::connect(options)).unwrap();
    let provider = GoFeatureFlagProvider::from(&client);
    let context = EvaluationContext::default()
        .with_targeting_key("jane-1234")
        .with_custom_field("email", "jane@example.org");
    for _ in 0..2 {
        runtime
            .block_on(provider.resolve_bool_value("bool", &context))
            .unwrap();
    }
    let text = format!("{provider:?}");
    assert!(text.contains("Ready"), "{text}");
    assert!(!text.contains("jane"), "{text}");
}
