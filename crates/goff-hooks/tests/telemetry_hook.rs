//! [`TelemetryHook`] with a provider that knows nothing of it.
//!
//! A separate test binary: tracing caches for the whole process which events are enabled.
#![cfg(feature = "open-feature")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

use async_trait::async_trait;
use goff_core::{FLAG_DISABLED, NULL_VALUE};
use goff_hooks::{TelemetryHook, TelemetryOptions};
use goff_testkit::RecordingLog;
use open_feature::provider::{FeatureProvider, ProviderMetadata, ResolutionDetails};
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode, EvaluationReason,
    EvaluationResult, FlagMetadata, Hook, HookContext, HookHints, OpenFeature, StructValue, Value,
};
use tracing::subscriber::with_default;

/// A provider of booleans only.
struct OtherProvider(ProviderMetadata, Answer);

type Answer = EvaluationResult<EvaluationReason>;

#[async_trait]
impl FeatureProvider for OtherProvider {
    fn metadata(&self) -> &ProviderMetadata {
        &self.0
    }

    async fn resolve_bool_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        let metadata = FlagMetadata::default()
            .with_value("version", 3)
            .with_value("flagSetId", "shop");
        Ok(ResolutionDetails::builder()
            .value(true)
            .variant("on")
            .reason(self.1.clone()?)
            .flag_metadata(metadata)
            .build())
    }

    async fn resolve_int_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        Err(error(EvaluationErrorCode::TypeMismatch))
    }

    async fn resolve_float_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        Err(error(EvaluationErrorCode::TypeMismatch))
    }

    async fn resolve_string_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        Err(error(EvaluationErrorCode::TypeMismatch))
    }

    async fn resolve_struct_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        Err(error(EvaluationErrorCode::TypeMismatch))
    }
}

/// Another hook, whose `after` may fail.
struct Failing(bool);

#[async_trait]
impl Hook for Failing {
    async fn before<'a>(
        &self,
        _: &HookContext<'a>,
        _: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        Ok(None)
    }

    async fn after<'a>(
        &self,
        _: &HookContext<'a>,
        _: &EvaluationDetails<Value>,
        _: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        match self.0 {
            true => Err(error(EvaluationErrorCode::InvalidContext)),
            false => Ok(()),
        }
    }

    async fn error<'a>(&self, _: &HookContext<'a>, _: &EvaluationError, _: Option<&'a HookHints>) {}

    async fn finally<'a>(
        &self,
        _: &HookContext<'a>,
        _: &EvaluationDetails<Value>,
        _: Option<&'a HookHints>,
    ) {
    }
}

fn error(code: EvaluationErrorCode) -> EvaluationError {
    EvaluationError {
        code,
        message: Some("why".to_owned()),
    }
}

fn general(code: &str) -> EvaluationErrorCode {
    EvaluationErrorCode::General(code.to_owned())
}

/// Evaluates once with the hook before or behind another one.
async fn evaluate(answer: Answer, hook: TelemetryHook, after_fails: bool) {
    let mut api = OpenFeature::default();
    let provider = OtherProvider(ProviderMetadata::new("other"), answer);
    api.set_provider(provider).await;
    let client = api
        .create_client()
        .with_hook(Failing(false))
        .with_hook(hook)
        .with_hook(Failing(after_fails));
    let context = EvaluationContext::default().with_targeting_key("user-1");
    let _ = client.get_bool_value("flag", Some(&context), None).await;
}

/// The fields of the one event of an evaluation.
fn event_of(answer: Answer, options: &TelemetryOptions, after_fails: bool) -> String {
    let log = RecordingLog::of("feature_flag");
    with_default(log.clone(), || {
        let hook = TelemetryHook::new(options);
        pollster::block_on(evaluate(answer, hook, after_fails));
    });
    let [(_, event)] = &log.lines()[..] else {
        panic!("{:?}", log.lines())
    };
    event.clone()
}

#[test]
fn any_provider_is_told_by_one_event() {
    let flag = "feature_flag.key=\"flag\" feature_flag.provider.name=\"other\"";
    let set = "feature_flag.version=\"3\" feature_flag.set.id=\"shop\"";
    let on = "feature_flag.result.variant=\"on\"";
    let reason = |reason: &str| format!("feature_flag.result.reason=\"{reason}\"");
    // Without the message, which may quote the context or the value.
    let failed =
        |error_type: &str| format!("{flag} {} error.type=\"{error_type}\"", reason("error"));
    let custom = EvaluationReason::Other("TARGETING_MATCH_SPLIT".to_owned());
    for (answer, expected) in [
        (
            Ok(EvaluationReason::TargetingMatch),
            format!("{flag} {on} {} {set}", reason("targeting_match")),
        ),
        (
            Ok(custom),
            format!("{flag} {on} {} {set}", reason("targeting_match_split")),
        ),
        (
            Ok(EvaluationReason::Error),
            format!(
                "{flag} {on} {} {set} error.type=\"general\"",
                reason("error")
            ),
        ),
        (
            Err(error(EvaluationErrorCode::TargetingKeyMissing)),
            failed("targeting_key_missing"),
        ),
        (Err(error(general("FLAG_CONFIG"))), failed("flag_config")),
        // A provider that puts a message, perhaps with personal data, where the code belongs.
        (Err(error(general("no such user: Jane"))), failed("general")),
        // No failures.
        (
            Err(error(general(FLAG_DISABLED))),
            format!("{flag} {}", reason("disabled")),
        ),
        (
            Err(error(general(NULL_VALUE))),
            format!("{flag} {}", reason("default")),
        ),
    ] {
        let event = event_of(answer, &TelemetryOptions::new(), false);
        assert_eq!(event.trim(), expected);
    }
    // Another hook fails after the evaluation: one event, of its error.
    let event = event_of(Ok(EvaluationReason::Static), &TelemetryOptions::new(), true);
    assert_eq!(event.trim(), failed("invalid_context"));
    // Only what the options add.
    let with_value = TelemetryOptions::new().result_value(true);
    let event = event_of(Err(error(general("FLAG_CONFIG"))), &with_value, false);
    let message = "feature_flag.error.message=\"why\"";
    assert_eq!(event.trim(), format!("{} {message}", failed("flag_config")));
    let options = TelemetryOptions::new().context_id(true).result_value(true);
    let event = event_of(Ok(EvaluationReason::Static), &options, false);
    let value = "feature_flag.result.value=true";
    let id = "feature_flag.context.id=\"user-1\"";
    let expected = format!("{flag} {on} {} {value} {set} {id}", reason("static"));
    assert_eq!(event.trim(), expected);
}
