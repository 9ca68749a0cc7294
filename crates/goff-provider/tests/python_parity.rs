//! The Python provider's tests of evaluation (docs/python-parity.md A.6, rows 1, 3 to 27, 33 and 34),
//! each as the provider specification supersedes it. The tests of usage data and cache cover the other
//! rows.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use goff_core::is_disabled;
use goff_provider::native::EvaluationDetails;
use goff_provider::{FlagType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use open_feature::provider::FeatureProvider;
use open_feature::{
    Client, EvaluationContext, EvaluationContextFieldValue, EvaluationError, EvaluationErrorCode,
    EvaluationReason, FlagMetadata, OpenFeature, StructValue, Value,
};
use serde_json::json;
use support::{CannedTransport, fixture};

/// The context of a row, unless it has its own.
fn context() -> EvaluationContext {
    EvaluationContext::default()
        .with_targeting_key("d45e303a-38c2-11ed-a261-0242ac120002")
        .with_custom_field("email", "john.doe@gofeatureflag.org")
        .with_custom_field("firstname", "john")
        .with_custom_field("lastname", "doe")
        .with_custom_field("anonymous", false)
        .with_custom_field("professional", true)
        .with_custom_field("rate", 3.25)
        .with_custom_field("age", 30)
        .with_custom_field(
            "company_info",
            EvaluationContextFieldValue::new_struct(json!({"name": "my_company", "size": 120})),
        )
        .with_custom_field(
            "labels",
            EvaluationContextFieldValue::new_struct(json!(["pro", "beta"])),
        )
}

fn options(transport: &CannedTransport) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new("https://gofeatureflag.org/")
        .api_key("apikey1")
        .disable_cache(true)
        .http_transport(transport.clone())
}

async fn client_with(options: GoFeatureFlagOptions) -> Client {
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    api.create_client()
}

async fn client(transport: &CannedTransport) -> Client {
    client_with(options(transport)).await
}

/// The answer of a resolver to the fixture of this name.
macro_rules! get {
    ($resolver:ident $(::<$type:ty>)?, $name:expr) => {
        client(&CannedTransport::ok(fixture($name)))
            .await
            .$resolver$(::<$type>)?($name, Some(&context()), None)
            .await
    };
}

/// The details of a flag whose rule matched.
macro_rules! assert_matched {
    ($details:expr, $value:expr) => {
        assert_eq!($details.value, $value);
        assert_eq!($details.reason, Some(EvaluationReason::TargetingMatch));
        assert_eq!($details.variant.as_deref(), Some("True"));
    };
}

fn full_metadata() -> FlagMetadata {
    FlagMetadata::default()
        .with_value("test", "test1")
        .with_value("test2", false)
        .with_value("test3", 123.3)
}

/// The same through the native API.
async fn natively<T: FlagType>(name: &str, default: T) -> EvaluationDetails<T> {
    let transport = CannedTransport::ok(fixture(name));
    let goff = GoFeatureFlag::connect(options(&transport)).await.unwrap();
    goff.evaluate(name, &context(), default).await
}

fn refused_option(options: GoFeatureFlagOptions, option: &str, reason: &str) {
    let error = GoFeatureFlagProvider::new(options).unwrap_err();
    assert_eq!(error.option(), option);
    assert!(error.to_string().contains(reason), "{error}");
}

/// Row 1, superseded by GOFF-META-001.
#[test]
fn row_01_provider_metadata() {
    let provider = GoFeatureFlagProvider::new(options(&CannedTransport::ok("{}"))).unwrap();
    assert_eq!(provider.metadata().name, "GO Feature Flag Provider");
}

/// Rows 3 to 5: Rust cannot express options without an endpoint, only an empty one.
#[test]
fn rows_03_to_05_endpoint_is_required() {
    refused_option(GoFeatureFlagOptions::new(""), "endpoint", "is empty");
}

/// Row 6.
#[test]
fn row_06_endpoint_that_is_no_url() {
    refused_option(
        GoFeatureFlagOptions::new("not a url"),
        "endpoint",
        "not an absolute URL",
    );
}

/// Row 7.
#[test]
fn row_07_valid_endpoint() {
    let options = GoFeatureFlagOptions::new("https://app.gofeatureflag.org/");
    assert!(GoFeatureFlagProvider::new(options).is_ok());
}

/// Row 8, with the status in the message (GOFF-ERR-004).
#[tokio::test]
async fn row_08_endpoint_not_available() {
    let transport = CannedTransport::new(500, "Internal Server Error");
    let client = client(&transport).await;
    let error = client
        .get_bool_details("fail_500", Some(&context()), None)
        .await
        .unwrap_err();
    assert_eq!(
        error.code,
        EvaluationErrorCode::General("GENERAL".to_owned())
    );
    let message = error.message.unwrap();
    assert!(message.contains("500"), "{message}");
    assert!(message.contains("/v1/feature/fail_500/eval"), "{message}");
    let value = client
        .get_bool_value("fail_500", Some(&context()), None)
        .await;
    assert!(!value.unwrap_or(false));
}

/// Row 9.
#[tokio::test]
async fn row_09_flag_does_not_exist() {
    let error = get!(get_bool_details, "flag_not_found").unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::FlagNotFound);
}

fn mismatch(error: &EvaluationError, flag_key: &str) {
    assert_eq!(error.code, EvaluationErrorCode::TypeMismatch);
    let message = error.message.as_deref().unwrap();
    assert!(message.contains(&format!("`{flag_key}`")), "{message}");
}

/// Row 10.
#[tokio::test]
async fn row_10_boolean_expected_another_type_found() {
    let error = get!(get_bool_details, "string_key").unwrap_err();
    mismatch(&error, "string_key");
}

/// Rows 11 and 12: the second without an `errorCode` member.
#[tokio::test]
async fn rows_11_and_12_boolean_with_targeting_match() {
    for name in [
        "bool_targeting_match",
        "bool_targeting_match_no_error_field",
    ] {
        let details = get!(get_bool_details, name).unwrap();
        assert_eq!(details.flag_key, name);
        assert_matched!(details, true);
        assert_eq!(details.flag_metadata, full_metadata());
    }
}

/// Row 13.
#[tokio::test]
async fn row_13_custom_reason() {
    let details = get!(get_bool_details, "unknown_reason").unwrap();
    assert!(details.value);
    assert_eq!(
        details.reason,
        Some(EvaluationReason::Other("CUSTOM_REASON".to_owned()))
    );
    assert_eq!(details.variant.as_deref(), Some("True"));
}

/// Rows 14, 17, 20, 23 and 25 (docs/python-parity.md D1): a recognizable error, so that the caller's
/// default applies whatever the value in the body; natively the default with reason, variant and
/// metadata (GOFF-EVAL-008, docs/python-parity.md C26).
#[tokio::test]
async fn rows_14_17_20_23_25_disabled_flag_gives_the_default() {
    fn check(error: EvaluationError, name: &str) {
        assert!(is_disabled(&error), "{error:?}");
        let message = error.message.unwrap();
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    macro_rules! disabled {
        ($resolver:ident $(::<$type:ty>)?, $name:literal) => {
            check(get!($resolver$(::<$type>)?, $name).unwrap_err(), $name);
        };
    }
    disabled!(get_bool_value, "disabled_bool");
    disabled!(get_string_value, "disabled_string");
    disabled!(get_int_value, "disabled_int");
    disabled!(get_float_value, "disabled_float");
    disabled!(get_struct_value::<StructValue>, "disabled_object");

    let details = natively("disabled_int", 1225_i64).await;
    assert_eq!(details.value, 1225);
    assert_eq!(details.reason().as_str(), "DISABLED");
    assert_eq!(details.variant(), Some("defaultSdk"));
    assert!(details.error().is_none());
}

/// Row 15.
#[tokio::test]
async fn row_15_string_expected_another_type_found() {
    let error = get!(get_string_details, "object_key").unwrap_err();
    mismatch(&error, "object_key");
}

/// Row 16.
#[tokio::test]
async fn row_16_string_with_targeting_match() {
    let details = get!(get_string_details, "string_key").unwrap();
    assert_matched!(details, "CC0000");
}

/// Row 18.
#[tokio::test]
async fn row_18_integer_expected_another_type_found() {
    let error = get!(get_int_details, "string_key").unwrap_err();
    mismatch(&error, "string_key");
}

/// Row 19.
#[tokio::test]
async fn row_19_integer_with_targeting_match() {
    let details = get!(get_int_details, "integer_key").unwrap();
    assert_matched!(details, 100);
}

/// Row 21, and GOFF-EVAL-003: a float flag with a whole number.
#[tokio::test]
async fn row_21_double_with_targeting_match() {
    for (name, value) in [("double_key", 100.25), ("integer_key", 100.0)] {
        assert_matched!(get!(get_float_details, name).unwrap(), value);
    }
}

/// Row 22: a fraction is never truncated.
#[tokio::test]
async fn row_22_integer_expected_double_found() {
    let error = get!(get_int_details, "double_key").unwrap_err();
    mismatch(&error, "double_key");
}

/// Row 24 (docs/python-parity.md D3): the SDK has no null, so the member is left out; the native API
/// keeps it.
#[tokio::test]
async fn row_24_object_with_targeting_match() {
    let details = get!(get_struct_details::<StructValue>, "object_key").unwrap();
    let value = StructValue::default()
        .with_field("test", "test1")
        .with_field("test2", false)
        .with_field("test3", 123.3)
        .with_field("test4", Value::Int(1));
    assert_matched!(details, value);
    let native = natively("object_key", json!(null)).await;
    assert_eq!(
        native.value,
        json!({"test": "test1", "test2": false, "test3": 123.3, "test4": 1, "test5": null})
    );
}

/// Row 26, superseded by GOFF-CTX-003: an empty context is sent, and the server decides.
#[tokio::test]
async fn row_26_no_targeting_key_is_passed_on() {
    let transport = CannedTransport::ok(fixture("string_key"));
    let client = client(&transport).await;
    let value = client
        .get_string_value("string_key", Some(&EvaluationContext::default()), None)
        .await;
    assert_eq!(value.unwrap(), "CC0000");
    assert_eq!(transport.last_body()["evaluationContext"]["key"], json!(""));

    transport.answer(
        200,
        r#"{"value":null,"reason":"ERROR","errorCode":"TARGETING_KEY_MISSING",
            "errorDetails":"Error: Empty targeting key","variationType":"SdkDefault"}"#,
    );
    let error = client
        .get_string_value("string_key", Some(&EvaluationContext::default()), None)
        .await
        .unwrap_err();
    assert_eq!(error.code, EvaluationErrorCode::TargetingKeyMissing);
    assert_eq!(error.message.as_deref(), Some("Error: Empty targeting key"));
}

/// Row 27 (docs/python-parity.md D3): the SDK's structures are maps, so a list is a mismatch there
/// and a value natively.
#[tokio::test]
async fn row_27_list() {
    let error = get!(get_struct_details::<StructValue>, "list_key").unwrap_err();
    mismatch(&error, "list_key");

    let native = natively("list_key", json!({})).await;
    assert_eq!(
        native.value,
        json!(["test", "test1", "test2", "false", "test3"])
    );
    assert_eq!(native.reason().as_str(), "TARGETING_MATCH");
    assert_eq!(native.variant(), Some("True"));
}

/// Row 33.
#[tokio::test]
async fn row_33_url_parsing() {
    let transport = CannedTransport::ok(fixture("bool_targeting_match"));
    let options = GoFeatureFlagOptions::new("https://gofeatureflag.org/ff/")
        .http_transport(transport.clone());
    let client = client_with(options).await;
    let value = client
        .get_bool_value("bool_targeting_match", Some(&context()), None)
        .await;
    assert!(value.unwrap());
    assert_eq!(
        transport.last_url(),
        "https://gofeatureflag.org/ff/v1/feature/bool_targeting_match/eval"
    );
}

/// Row 34, superseded by docs/python-parity.md C3: the metadata is where the server reads it, and
/// nowhere else.
#[tokio::test]
async fn row_34_evaluation_carries_exporter_metadata() {
    let transport = CannedTransport::ok(fixture("bool_targeting_match"));
    let options = options(&transport)
        .exporter_metadata("version", "1.0.0")
        .exporter_metadata("name", "myapp")
        .exporter_metadata("id", 123);
    let expected = json!({
        "version": "1.0.0", "name": "myapp", "id": 123, "provider": "rust", "openfeature": true,
    });
    let client = client_with(options.clone()).await;
    let value = client
        .get_bool_value("bool_targeting_match", Some(&context()), None)
        .await;
    assert!(value.unwrap());
    let check = || {
        let body = transport.last_body();
        assert_eq!(
            body["evaluationContext"]["custom"]["gofeatureflag"]["exporterMetadata"],
            expected
        );
        assert_eq!(body.get("gofeatureflag"), None);
    };
    check();

    let goff = GoFeatureFlag::connect(options).await.unwrap();
    assert!(
        goff.evaluate("bool_targeting_match", &context(), false)
            .await
            .value
    );
    check();
}
