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
    EvaluationReason, EvaluationResult, FlagMetadata, Hook, HookContext, HookHints, HookWrapper,
    OpenFeature, StructValue, Value as SdkValue,
};
use serde_json::{Value, json};

/// A provider with a fixed answer. It puts its outcome, if it has one, into the slot.
struct TestProvider {
    metadata: ProviderMetadata,
    hooks: Vec<HookWrapper>,
    answer: Answer,
    outcome: Option<Outcome>,
}

/// The reason of a value, or the code of an error.
type Answer = Result<EvaluationReason, EvaluationErrorCode>;

type Resolved<T> = EvaluationResult<ResolutionDetails<T>>;

impl TestProvider {
    fn resolve<T>(&self, context: &EvaluationContext, value: T) -> Resolved<T> {
        let attribute = GoFeatureFlagAttribute::find(context);
        if let (Some(attribute), Some(outcome)) = (attribute, &self.outcome) {
            attribute.slot().fill(outcome.clone());
        }
        let reason = self.answer.clone().map_err(error)?;
        Ok(ResolutionDetails::builder()
            .value(value)
            .variant("on")
            .reason(reason)
            .flag_metadata(FlagMetadata::default().with_value("version", 3))
            .build())
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

    async fn resolve_bool_value(&self, _: &str, context: &EvaluationContext) -> Resolved<bool> {
        self.resolve(context, true)
    }

    async fn resolve_int_value(&self, _: &str, context: &EvaluationContext) -> Resolved<i64> {
        self.resolve(context, 7)
    }

    async fn resolve_float_value(&self, _: &str, context: &EvaluationContext) -> Resolved<f64> {
        self.resolve(context, f64::NAN)
    }

    async fn resolve_string_value(&self, _: &str, context: &EvaluationContext) -> Resolved<String> {
        self.resolve(context, "text".to_owned())
    }

    async fn resolve_struct_value(
        &self,
        _: &str,
        context: &EvaluationContext,
    ) -> Resolved<StructValue> {
        let value = StructValue::default().with_field("labels", vec!["pro", "beta"]);
        self.resolve(context, value)
    }
}

/// Fails in one stage.
struct FailingHook(&'static str);

type Hints<'a> = Option<&'a HookHints>;
type Details = EvaluationDetails<SdkValue>;

#[async_trait]
impl Hook for FailingHook {
    async fn before<'a>(
        &self,
        _: &HookContext<'a>,
        _: Hints<'a>,
    ) -> EvaluationResult<Option<EvaluationContext>> {
        self.fail_in("before").map(|()| None)
    }

    async fn after<'a>(
        &self,
        _: &HookContext<'a>,
        _: &Details,
        _: Hints<'a>,
    ) -> EvaluationResult<()> {
        self.fail_in("after")
    }

    async fn error<'a>(&self, _: &HookContext<'a>, _: &EvaluationError, _: Hints<'a>) {}
    async fn finally<'a>(&self, _: &HookContext<'a>, _: &Details, _: Hints<'a>) {}
}

impl FailingHook {
    fn fail_in(&self, stage: &str) -> EvaluationResult<()> {
        let code = || EvaluationErrorCode::General("hook".to_owned());
        (self.0 != stage).then_some(()).ok_or_else(|| error(code()))
    }
}

fn error(code: EvaluationErrorCode) -> EvaluationError {
    EvaluationError::builder().code(code).build()
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

/// A client with the plain form, and the sink of its events.
async fn plain_client(answer: Answer) -> (Client, RecordingSink) {
    let sink = RecordingSink::default();
    let hook = DataCollectorHook::new(Arc::new(sink.clone()));
    let client = client(answer, None, vec![HookWrapper::new(hook)]).await;
    (client, sink)
}

/// goff-provider's hooks, and the sink of their events.
fn hooks(evaluation_type: EvaluationType) -> (Vec<HookWrapper>, RecordingSink) {
    let sink = RecordingSink::default();
    let metadata = ExporterMetadata::default();
    let hooks = provider_hooks(&metadata, Some(Arc::new(sink.clone())), evaluation_type);
    (hooks, sink)
}

fn user() -> EvaluationContext {
    EvaluationContext::default().with_targeting_key("test_user_key")
}

async fn evaluate(client: Client, context: &EvaluationContext) {
    let _ = client.get_bool_details("flag", Some(context), None).await;
}

/// The JSON of the recorded events without their creation dates.
fn recorded(sink: &RecordingSink) -> Vec<Value> {
    let without_date = |event: &Event| {
        let mut wire = serde_json::to_value(event).unwrap();
        let date = wire.as_object_mut().unwrap().remove("creationDate");
        assert!(date.unwrap().as_i64().unwrap() > 1_700_000_000);
        wire
    };
    sink.events().iter().map(without_date).collect()
}

/// The events of one evaluation with the plain form.
async fn plain(answer: Answer, context: &EvaluationContext) -> Vec<Value> {
    let (client, sink) = plain_client(answer).await;
    evaluate(client, context).await;
    recorded(&sink)
}

/// The events of one evaluation with goff-provider's hooks.
async fn with_slot(answer: Answer, outcome: Option<Outcome>) -> Vec<Value> {
    let (hooks, sink) = hooks(EvaluationType::Remote);
    evaluate(client(answer, outcome, hooks).await, &user()).await;
    recorded(&sink)
}

/// The events of one cache hit with goff-provider's hooks and a hook that fails in `stage`.
async fn with_failing_hook(stage: &'static str) -> Vec<Value> {
    let (hooks, sink) = hooks(EvaluationType::Remote);
    let client = client(cached(), hit(), hooks).await;
    evaluate(client.with_hook(FailingHook(stage)), &user()).await;
    recorded(&sink)
}

fn cached() -> Answer {
    Ok(EvaluationReason::Cached)
}

fn general(text: &str) -> Answer {
    Err(EvaluationErrorCode::General(text.to_owned()))
}

fn outcome(resolution: Resolution, origin: Origin) -> Option<Outcome> {
    Some(Outcome::new("flag", Ok(Arc::new(resolution)), origin))
}

fn resolution() -> Resolution {
    Resolution::new(json!(true), Reason::Cached).with_variant("on")
}

fn hit() -> Option<Outcome> {
    outcome(resolution(), Origin::Cache)
}

fn refusal(error: impl Into<ResolutionError>) -> Option<Outcome> {
    let error = Box::new(error.into());
    Some(Outcome::new("flag", Err(error), Origin::NotEvaluated))
}

/// docs/python-parity.md A.6, row 32; GOFF-HOOK-005: the error stage.
#[tokio::test]
async fn plain_form_records_an_error() {
    let context = user().with_custom_field("anonymous", true);
    assert_eq!(
        plain(general("x"), &context).await,
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
        let events = plain(Err(code), &user()).await;
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
        assert!(plain(Ok(reason), &user()).await.is_empty());
    }
}

/// docs/python-parity.md D2: the caller gets its default, but the evaluation did not fail.
#[tokio::test]
async fn plain_form_skips_disabled_flags_and_null_values() {
    for code in [FLAG_DISABLED, NULL_VALUE] {
        assert!(plain(general(code), &user()).await.is_empty());
    }
}

/// Not a number is null, because JSON cannot hold it.
#[tokio::test]
async fn plain_form_carries_values_of_every_type() {
    let (client, sink) = plain_client(cached()).await;
    let context = EvaluationContext::default();
    macro_rules! get {
        ($resolver:ident $(::<$type:ty>)?) => {
            let _ = client.$resolver$(::<$type>)?("flag", Some(&context), None).await;
        };
    }
    get!(get_int_details);
    get!(get_float_details);
    get!(get_string_details);
    get!(get_struct_details::<StructValue>);
    let events = recorded(&sink);
    let values: Vec<_> = events.iter().map(|event| &event["value"]).collect();
    let labels = json!({"labels": ["pro", "beta"]});
    assert_eq!(values, [&json!(7), &json!(null), &json!("text"), &labels]);
    assert_eq!(events[0]["userKey"], "undefined-targetingKey");
}

/// The outcome decides, not the reason.
#[tokio::test]
async fn provider_form_records_by_the_outcome() {
    assert_eq!(
        with_slot(cached(), hit()).await,
        [json!({
            "kind": "feature", "contextKind": "user", "userKey": "test_user_key", "key": "flag",
            "variation": "on", "value": true, "default": false, "source": "PROVIDER_CACHE",
        })]
    );
    let of_relay = outcome(resolution(), Origin::Relay);
    assert!(with_slot(cached(), of_relay).await.is_empty());
    let remaining = std::time::Duration::ZERO;
    let refused = refusal(RelayError::RateLimited { remaining });
    let events = with_slot(general("x"), refused).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["default"], true);
    assert_eq!(events[0]["value"], json!(null));
}

/// docs/python-parity.md D2; GOFF-HOOK-006: a disabled flag reaches the error stage without having
/// failed. Its value is the caller's default, which the SDK does not pass on: null.
#[tokio::test]
async fn provider_form_records_a_disabled_hit_without_default() {
    let disabled = Resolution::new(json!(false), Reason::Disabled).with_variant("SdkDefault");
    let events = with_slot(general(FLAG_DISABLED), outcome(disabled, Origin::Cache)).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["default"], false);
    assert_eq!(events[0]["value"], json!(null));
    assert_eq!(events[0]["variation"], "SdkDefault");
}

/// GOFF-HOOK-006, GOFF-COLL-022: in the after stage as in the error stage.
#[tokio::test]
async fn provider_form_records_nothing_of_an_untracked_flag() {
    for answer in [cached(), Err(EvaluationErrorCode::TypeMismatch)] {
        for tracked in [true, false] {
            let resolution = resolution().with_track_events(tracked);
            let events = with_slot(answer.clone(), outcome(resolution, Origin::Cache)).await;
            assert_eq!(events.len(), usize::from(tracked));
        }
    }
}

/// Both `after` and `error` run when the `after` stage of another hook fails.
#[tokio::test]
async fn provider_form_records_once_when_another_hook_fails() {
    let events = with_failing_hook("after").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["default"], false);
}

/// `error` also runs when the `before` stage of a hook failed.
#[tokio::test]
async fn provider_form_records_nothing_when_nothing_was_evaluated() {
    assert!(with_failing_hook("before").await.is_empty());
    // The resolver left no outcome.
    assert!(with_slot(cached(), None).await.is_empty());
    assert!(with_slot(general("x"), None).await.is_empty());
    let refused = refusal(ResolutionError::NotReady { reason: "closed" });
    let not_ready = Err(EvaluationErrorCode::ProviderNotReady);
    assert!(with_slot(not_ready, refused).await.is_empty());
}

/// Without the enrichment hook there is no slot.
#[tokio::test]
async fn provider_form_without_its_attribute_records_nothing() {
    let (mut hooks, sink) = hooks(EvaluationType::Remote);
    hooks.remove(0);
    evaluate(client(cached(), hit(), hooks).await, &user()).await;
    assert!(sink.events().is_empty());
}

/// GOFF-HOOK-006.
#[tokio::test]
async fn disabled_collection_keeps_the_hooks() {
    for answer in [cached(), general("x")] {
        let hooks = provider_hooks(&ExporterMetadata::default(), None, EvaluationType::Remote);
        assert_eq!(hooks.len(), 2);
        evaluate(client(answer, hit(), hooks).await, &user()).await;
    }
}

/// GOFF-COLL-010.
#[tokio::test]
async fn source_of_a_refusal_follows_the_evaluation_type() {
    for (evaluation_type, source) in [
        (EvaluationType::Remote, "PROVIDER_CACHE"),
        (EvaluationType::InProcess, "INPROCESS"),
    ] {
        let (hooks, sink) = hooks(evaluation_type);
        let refused = refusal(RelayError::UnreachableFlagKey {
            flag_key: "".into(),
            reason: "is empty",
        });
        evaluate(client(general("x"), refused, hooks).await, &user()).await;
        assert_eq!(recorded(&sink)[0]["source"], source);
    }
}
