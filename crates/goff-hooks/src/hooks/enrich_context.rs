//! Enrichment as an OpenFeature hook, in two forms.

use std::sync::Arc;

use goff_core::__internal::GoFeatureFlagAttribute;
use goff_core::{EvaluationType, EventSink, ExporterMetadata, GOFEATUREFLAG};
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationDetails, EvaluationError,
    HookContext, HookWrapper, Value,
};

use super::data_collector::DataCollectorHook;
use super::sync_hook::{Stage, SyncHook, complete, implement_hook};

/// Adds the exporter metadata to the `gofeatureflag` attribute before each evaluation, so that the
/// relay proxy records it with the evaluation.
///
/// [`new`](Self::new) creates the form for any provider: the attribute is a `serde_json::Value`.
/// `goff-provider` registers a form whose attribute also carries the outcome of the evaluation to
/// the [`DataCollectorHook`].
///
/// *Specification*: GOFF-HOOK-003, GOFF-HOOK-004, GOFF-CTX-006 to -009.
#[derive(Debug)]
pub struct EnrichEvaluationContextHook {
    exporter_metadata: ExporterMetadata,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// For any provider. Contexts without the attribute share this one.
    Plain(Arc<serde_json::Value>),
    /// For goff-provider: a new slot for each evaluation.
    WithSlot,
}

/// The hooks of goff-provider in their order of registration: enrichment, then the data collector.
/// The resolver finds a [`GoFeatureFlagAttribute`] in the context and puts the outcome into its
/// slot; the collector takes it from there.
///
/// Without a `sink` data collection is disabled; both hooks are registered all the same.
/// `evaluation_type` is the client's.
///
/// *Specification*: GOFF-HOOK-001, GOFF-HOOK-003, GOFF-HOOK-006.
#[must_use]
pub fn provider_hooks(
    exporter_metadata: &ExporterMetadata,
    sink: Option<Arc<dyn EventSink>>,
    evaluation_type: EvaluationType,
) -> Vec<HookWrapper> {
    vec![
        HookWrapper::new(EnrichEvaluationContextHook {
            exporter_metadata: exporter_metadata.clone(),
            form: Form::WithSlot,
        }),
        HookWrapper::new(DataCollectorHook::with_slot(sink, evaluation_type)),
    ]
}

impl EnrichEvaluationContextHook {
    /// Creates the form for any provider.
    #[must_use]
    pub fn new(exporter_metadata: &ExporterMetadata) -> Self {
        let shared = GoFeatureFlagAttribute::new(None, exporter_metadata.clone()).to_json();
        Self {
            exporter_metadata: exporter_metadata.clone(),
            form: Form::Plain(Arc::new(shared)),
        }
    }

    /// The whole context plus the attribute: the SDK replaces the context by what a hook returns.
    fn enriched(&self, context: &EvaluationContext) -> EvaluationContext {
        let attribute = self.attribute(context.custom_fields.get(GOFEATUREFLAG));
        context.clone().with_custom_field(GOFEATUREFLAG, attribute)
    }

    fn attribute(
        &self,
        existing: Option<&EvaluationContextFieldValue>,
    ) -> EvaluationContextFieldValue {
        match (&self.form, existing) {
            (Form::Plain(shared), None) => EvaluationContextFieldValue::Struct(shared.clone()),
            (Form::Plain(_), Some(_)) => EvaluationContextFieldValue::new_struct(
                GoFeatureFlagAttribute::new(existing, self.exporter_metadata.clone()).to_json(),
            ),
            (Form::WithSlot, existing) => {
                GoFeatureFlagAttribute::new(existing, self.exporter_metadata.clone()).into()
            }
        }
    }
}

impl SyncHook for EnrichEvaluationContextHook {
    fn before(&self, context: &HookContext<'_>) -> Option<EvaluationContext> {
        Some(self.enriched(context.evaluation_context))
    }
}

implement_hook!(EnrichEvaluationContextHook);

#[cfg(test)]
mod tests {
    use open_feature::provider::ProviderMetadata;
    use open_feature::{ClientMetadata, Hook, StructValue, Type};
    use serde_json::json;

    use super::*;

    async fn before(hook: &dyn Hook, context: &EvaluationContext) -> EvaluationContext {
        let hook_context = HookContext {
            flag_key: "flag",
            flag_type: Type::Bool,
            evaluation_context: context,
            provider_metadata: ProviderMetadata::default(),
            default_value: None,
            client_metadata: ClientMetadata::default(),
        };
        hook.before(&hook_context, None).await.unwrap().unwrap()
    }

    fn metadata() -> ExporterMetadata {
        ExporterMetadata::new([("service".to_owned(), json!("checkout"))]).unwrap()
    }

    fn plain(context: &EvaluationContext) -> &serde_json::Value {
        match &context.custom_fields[GOFEATUREFLAG] {
            EvaluationContextFieldValue::Struct(opaque) => opaque.downcast_ref().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn exporter() -> serde_json::Value {
        json!({"service": "checkout", "provider": "rust", "openfeature": true})
    }

    /// GOFF-HOOK-004: a new context with everything from the old one.
    #[tokio::test]
    async fn context_is_kept_whole() {
        let context = EvaluationContext::default()
            .with_targeting_key("user-1")
            .with_custom_field("age", 30);
        let enriched = before(&EnrichEvaluationContextHook::new(&metadata()), &context).await;
        assert_eq!(enriched.targeting_key.as_deref(), Some("user-1"));
        assert_eq!(enriched.custom_fields["age"], 30.into());
        assert_eq!(enriched.custom_fields.len(), 2);
        assert_eq!(context.custom_fields.len(), 1);
        assert_eq!(*plain(&enriched), json!({"exporterMetadata": exporter()}));
    }

    /// docs/python-parity.md B5; GOFF-CTX-006, GOFF-CTX-008.
    #[tokio::test]
    async fn other_members_are_kept_and_a_non_map_is_replaced() {
        let hook = EnrichEvaluationContextHook::new(&metadata());
        let siblings = StructValue::default().with_field("flagList", vec!["a"]);
        for (existing, expected) in [
            (
                EvaluationContextFieldValue::new_struct(json!({"flagList": ["a"]})),
                json!({"flagList": ["a"], "exporterMetadata": exporter()}),
            ),
            (
                EvaluationContextFieldValue::new_struct(siblings),
                json!({"flagList": ["a"], "exporterMetadata": exporter()}),
            ),
            ("no map".into(), json!({"exporterMetadata": exporter()})),
        ] {
            let context =
                EvaluationContext::default().with_custom_field(GOFEATUREFLAG, existing.clone());
            assert_eq!(*plain(&before(&hook, &context).await), expected);
        }
    }

    #[tokio::test]
    async fn plain_attribute_is_shared_between_evaluations() {
        let hook = EnrichEvaluationContextHook::new(&metadata());
        let context = EvaluationContext::default();
        let (first, second) = (before(&hook, &context).await, before(&hook, &context).await);
        assert!(std::ptr::eq(plain(&first), plain(&second)));
    }

    /// Also when the context comes from an earlier evaluation.
    #[tokio::test]
    async fn provider_form_has_a_new_slot_for_each_evaluation() {
        let hooks = provider_hooks(&metadata(), None, EvaluationType::Remote);
        let context = EvaluationContext::default();
        let first = before(&*hooks[0], &context).await;
        let second = before(&*hooks[0], &first).await;
        let (first, second) = (
            GoFeatureFlagAttribute::find(&first).unwrap(),
            GoFeatureFlagAttribute::find(&second).unwrap(),
        );
        assert!(!std::ptr::eq(first, second));
        assert_eq!(first.to_json(), json!({"exporterMetadata": exporter()}));
        assert_eq!(second.to_json(), first.to_json());
    }
}
