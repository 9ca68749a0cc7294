//! The data-collector hook in both forms, through the OpenFeature client.
#![cfg(feature = "open-feature")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use goff_core::__internal::GoFeatureFlagAttribute;
use goff_core::{
    EvaluationType, Event, ExporterMetadata, FLAG_DISABLED, NULL_VALUE, Origin, Outcome, Reason,
    RelayError, Resolution, ResolutionError,
};
use goff_hooks::__internal::provider_hooks;
use goff_hooks::DataCollectorHook;
use goff_testkit::RecordingSink;
use open_feature::provider::{FeatureProvider, ProviderMetadata, ResolutionDetails};
use open_feature::{
    Client, EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode,
    EvaluationReason, EvaluationResult, Hook, HookContext, HookHints, HookWrapper, OpenFeature,
    StructValue, Value,
};
use serde_json::json;

/// A provider with a fixed answer. It puts its outcome, if it has one, into the slot.
struct TestProvider {
    metadata: ProviderMetadata,
    hooks: Vec<HookWrapper>,
    answer: Answer,
    outcome: Option<Outcome>,
}

#[derive(Clone)]
enum Answer {
    Value(EvaluationReason),
    Error(EvaluationErrorCode),
}

impl TestProvider {
    fn resolve<T>(
        &self,
        context: &EvaluationContext,
        value: T,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        if let (Some(attribute), Some(outcome)) =
            (GoFeatureFlagAttribute::find(context), &self.outcome)
        {
            attribute.slot().fill(outcome.clone());
        }
        match &self.answer {
            Answer::Value(reason) => Ok(ResolutionDetails {
                value,
                variant: Some("on".to_owned()),
                reason: Some(reason.clone()),
                flag_metadata: Some(open_feature::FlagMetadata::default().with_value("version", 3)),
            }),
            Answer::Error(code) => Err(EvaluationError {
                code: code.clone(),
                message: None,
            }),
        }
    }
}

#[async_trait]
impl FeatureProvider for TestProvider {
    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    fn hooks(&self) -> &[HookWrapper] {
        &self.hooks
    }

    async fn resolve_bool_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.resolve(context, true)
    }

    async fn resolve_int_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.resolve(context, 7)
    }

    async fn resolve_float_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.resolve(context, f64::NAN)
    }

    async fn resolve_string_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.resolve(context, "text".to_owned())
    }

    async fn resolve_struct_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        let value = StructValue::default().with_field("labels", vec!["pro", "beta"]);
        self.resolve(context, value)
    }
}

async fn client(answer: Answer, outcome: Option<Outcome>, hooks: Vec<HookWrapper>) -> Client {
    let mut api = OpenFeature::default();
    api.set_provider(TestProvider {
        metadata: ProviderMetadata::new("test"),
        hooks,
        answer,
        outcome,
    })
    .await;
    api.create_client()
}

fn user() -> EvaluationContext {
    EvaluationContext::default().with_targeting_key("test_user_key")
}

/// The JSON of the recorded events without their creation dates.
fn recorded(sink: &RecordingSink) -> Vec<serde_json::Value> {
    let without_date = |event: &Event| {
        let mut wire = serde_json::to_value(event).unwrap();
        let date = wire.as_object_mut().unwrap().remove("creationDate");
        assert!(date.unwrap().as_i64().unwrap() > 1_700_000_000);
        wire
    };
    sink.events().iter().map(without_date).collect()
}

fn outcome(origin: Origin) -> Outcome {
    Outcome::new(
        "flag",
        Ok(Arc::new(
            Resolution::new(json!(true), Reason::Cached).with_variant("on"),
        )),
        origin,
    )
}

fn failure(error: impl Into<ResolutionError>, origin: Origin) -> Outcome {
    Outcome::new("flag", Err(Box::new(error.into())), origin)
}

/// Fails in one stage.
struct FailingHook(&'static str);

#[async_trait]
impl Hook for FailingHook {
    async fn before<'a>(
        &self,
        _: &HookContext<'a>,
        _: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        self.fail_in("before").map(|()| None)
    }

    async fn after<'a>(
        &self,
        _: &HookContext<'a>,
        _: &EvaluationDetails<Value>,
        _: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        self.fail_in("after")
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

impl FailingHook {
    fn fail_in(&self, stage: &str) -> Result<(), EvaluationError> {
        if self.0 == stage {
            return Err(EvaluationError {
                code: EvaluationErrorCode::General("hook".to_owned()),
                message: None,
            });
        }
        Ok(())
    }
}

/// The events of one evaluation with the plain form.
async fn plain(answer: Answer, context: &EvaluationContext) -> Vec<serde_json::Value> {
    let sink = RecordingSink::default();
    let hook = DataCollectorHook::new(Arc::new(sink.clone()));
    let client = client(answer, None, vec![HookWrapper::new(hook)]).await;
    let _ = client.get_bool_details("flag", Some(context), None).await;
    recorded(&sink)
}

/// The events of one evaluation with goff-provider's hooks.
async fn with_slot(
    answer: Answer,
    outcome: Option<Outcome>,
    other_hook: Option<FailingHook>,
) -> Vec<serde_json::Value> {
    let sink = RecordingSink::default();
    let hooks = provider_hooks(
        &ExporterMetadata::default(),
        Some(Arc::new(sink.clone())),
        EvaluationType::Remote,
    );
    let mut client = client(answer, outcome, hooks).await;
    if let Some(hook) = other_hook {
        client = client.with_hook(hook);
    }
    let _ = client.get_bool_details("flag", Some(&user()), None).await;
    recorded(&sink)
}

fn cached() -> Answer {
    Answer::Value(EvaluationReason::Cached)
}

fn general() -> Answer {
    Answer::Error(EvaluationErrorCode::General("x".to_owned()))
}

/// docs/python-parity.md A.6, row 32; GOFF-HOOK-005: the error stage.
#[tokio::test]
async fn plain_form_records_an_error() {
    let context = user().with_custom_field("anonymous", true);
    assert_eq!(
        plain(general(), &context).await,
        [json!({
            "kind": "feature", "contextKind": "anonymousUser", "userKey": "test_user_key",
            "key": "flag", "variation": "SdkDefault", "value": null, "default": true,
            "source": "PROVIDER_CACHE",
        })]
    );
}

/// docs/python-parity.md A.6, row 35; GOFF-COLL-009; GOFF-HOOK-005: the after stage.
#[tokio::test]
async fn plain_form_records_a_cache_hit() {
    assert_eq!(
        plain(cached(), &user()).await,
        [json!({
            "kind": "feature", "contextKind": "user", "userKey": "test_user_key",
            "key": "flag", "variation": "on", "value": true, "default": false, "version": "3",
            "source": "PROVIDER_CACHE",
        })]
    );
}

/// docs/python-parity.md A.6, row 36.
#[tokio::test]
async fn plain_form_records_an_error_of_a_known_user() {
    for code in [
        EvaluationErrorCode::General("x".to_owned()),
        EvaluationErrorCode::FlagNotFound,
        EvaluationErrorCode::ParseError,
        EvaluationErrorCode::TypeMismatch,
        EvaluationErrorCode::TargetingKeyMissing,
        EvaluationErrorCode::InvalidContext,
    ] {
        let events = plain(Answer::Error(code), &user()).await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["contextKind"], "user");
        assert_eq!(events[0]["default"], true);
    }
}

/// docs/python-parity.md A50: the relay proxy records what it evaluates.
#[tokio::test]
async fn plain_form_records_no_other_value() {
    for reason in [
        EvaluationReason::Static,
        EvaluationReason::TargetingMatch,
        EvaluationReason::Disabled,
        EvaluationReason::Other("CUSTOM".to_owned()),
    ] {
        assert!(plain(Answer::Value(reason), &user()).await.is_empty());
    }
}

/// docs/python-parity.md D2: the caller gets its default, but the evaluation did not fail.
#[tokio::test]
async fn plain_form_skips_disabled_flags_and_null_values() {
    for code in [FLAG_DISABLED, NULL_VALUE] {
        let code = EvaluationErrorCode::General(code.to_owned());
        assert!(plain(Answer::Error(code), &user()).await.is_empty());
    }
}

#[tokio::test]
async fn plain_form_carries_values_of_every_type() {
    let sink = RecordingSink::default();
    let hook = DataCollectorHook::new(Arc::new(sink.clone()));
    let client = client(cached(), None, vec![HookWrapper::new(hook)]).await;
    let context = EvaluationContext::default();
    let _ = client.get_int_details("flag", Some(&context), None).await;
    let _ = client.get_float_details("flag", Some(&context), None).await;
    let _ = client
        .get_string_details("flag", Some(&context), None)
        .await;
    let _ = client
        .get_struct_details::<StructValue>("flag", Some(&context), None)
        .await;
    let events = recorded(&sink);
    let values: Vec<_> = events.iter().map(|event| event["value"].clone()).collect();
    assert_eq!(
        values,
        [
            json!(7),
            json!(null),
            json!("text"),
            json!({"labels": ["pro", "beta"]})
        ]
    );
    assert_eq!(events[0]["userKey"], "undefined-targetingKey");
}

/// The outcome decides, not the reason.
#[tokio::test]
async fn provider_form_records_by_the_outcome() {
    let hit = with_slot(cached(), Some(outcome(Origin::Cache)), None).await;
    assert_eq!(
        hit,
        [json!({
            "kind": "feature", "contextKind": "user", "userKey": "test_user_key", "key": "flag",
            "variation": "on", "value": true, "default": false, "source": "PROVIDER_CACHE",
        })]
    );
    assert!(
        with_slot(cached(), Some(outcome(Origin::Relay)), None)
            .await
            .is_empty()
    );
    let rate_limited = RelayError::RateLimited {
        remaining: std::time::Duration::ZERO,
    };
    let refused = failure(rate_limited, Origin::NotEvaluated);
    let events = with_slot(general(), Some(refused), None).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["default"], true);
    assert_eq!(events[0]["value"], json!(null));
}

/// docs/python-parity.md D2; GOFF-HOOK-006: a disabled flag reaches the error stage without having
/// failed. Its value is the caller's default, which the SDK does not pass on: null.
#[tokio::test]
async fn provider_form_records_a_disabled_hit_without_default() {
    let disabled = Outcome::new(
        "flag",
        Ok(Arc::new(
            Resolution::new(json!(false), Reason::Disabled).with_variant("SdkDefault"),
        )),
        Origin::Cache,
    );
    let answer = Answer::Error(EvaluationErrorCode::General(FLAG_DISABLED.to_owned()));
    let events = with_slot(answer, Some(disabled), None).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["default"], false);
    assert_eq!(events[0]["value"], json!(null));
    assert_eq!(events[0]["variation"], "SdkDefault");
}

/// GOFF-HOOK-006, GOFF-COLL-022: in the after stage as in the error stage.
#[tokio::test]
async fn provider_form_records_nothing_of_an_untracked_flag() {
    let type_mismatch = || Answer::Error(EvaluationErrorCode::TypeMismatch);
    for (answer, tracked) in [
        (cached(), true),
        (cached(), false),
        (type_mismatch(), true),
        (type_mismatch(), false),
    ] {
        let outcome = Outcome::new(
            "flag",
            Ok(Arc::new(
                Resolution::new(json!(true), Reason::Cached).with_track_events(tracked),
            )),
            Origin::Cache,
        );
        let events = with_slot(answer, Some(outcome), None).await;
        assert_eq!(events.len(), usize::from(tracked));
    }
}

/// Both `after` and `error` run when the `after` stage of another hook fails.
#[tokio::test]
async fn provider_form_records_once_when_another_hook_fails() {
    let events = with_slot(
        cached(),
        Some(outcome(Origin::Cache)),
        Some(FailingHook("after")),
    )
    .await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["default"], false);
}

/// `error` also runs when the `before` stage of a hook failed.
#[tokio::test]
async fn provider_form_records_nothing_when_nothing_was_evaluated() {
    let failing = Some(FailingHook("before"));
    assert!(
        with_slot(cached(), Some(outcome(Origin::Cache)), failing)
            .await
            .is_empty()
    );
    // The resolver left no outcome.
    assert!(with_slot(cached(), None, None).await.is_empty());
    assert!(with_slot(general(), None, None).await.is_empty());
    let not_ready = ResolutionError::NotReady { reason: "closed" };
    let refused = failure(not_ready, Origin::NotEvaluated);
    let answer = Answer::Error(EvaluationErrorCode::ProviderNotReady);
    assert!(with_slot(answer, Some(refused), None).await.is_empty());
}

/// Without the enrichment hook there is no slot.
#[tokio::test]
async fn provider_form_without_its_attribute_records_nothing() {
    let sink = RecordingSink::default();
    let mut hooks = provider_hooks(
        &ExporterMetadata::default(),
        Some(Arc::new(sink.clone())),
        EvaluationType::Remote,
    );
    hooks.remove(0);
    let client = client(cached(), Some(outcome(Origin::Cache)), hooks).await;
    let _ = client.get_bool_details("flag", Some(&user()), None).await;
    assert!(sink.events().is_empty());
}

/// GOFF-HOOK-006.
#[tokio::test]
async fn disabled_collection_keeps_the_hooks() {
    let hooks = provider_hooks(&ExporterMetadata::default(), None, EvaluationType::Remote);
    assert_eq!(hooks.len(), 2);
    for answer in [cached(), general()] {
        let hooks = provider_hooks(&ExporterMetadata::default(), None, EvaluationType::Remote);
        let client = client(answer, Some(outcome(Origin::Cache)), hooks).await;
        let _ = client.get_bool_details("flag", Some(&user()), None).await;
    }
}

/// GOFF-COLL-010.
#[tokio::test]
async fn source_of_a_refusal_follows_the_evaluation_type() {
    for (evaluation_type, source) in [
        (EvaluationType::Remote, "PROVIDER_CACHE"),
        (EvaluationType::InProcess, "INPROCESS"),
    ] {
        let sink = RecordingSink::default();
        let hooks = provider_hooks(
            &ExporterMetadata::default(),
            Some(Arc::new(sink.clone())),
            evaluation_type,
        );
        let error = RelayError::UnreachableFlagKey { reason: "is empty" };
        let refused = failure(error, Origin::NotEvaluated);
        let client = client(general(), Some(refused), hooks).await;
        let _ = client.get_bool_details("flag", Some(&user()), None).await;
        assert_eq!(recorded(&sink)[0]["source"], source);
    }
}
