//! Enrichment as an OpenFeature hook, in two forms.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use goff_core::__internal::GoFeatureFlagAttribute;
use goff_core::{EvaluationType, EventSink, ExporterMetadata, GOFEATUREFLAG};
use open_feature::{
    EvaluationContext, EvaluationContextFieldValue, EvaluationDetails, EvaluationError, Hook,
    HookContext, HookHints, HookWrapper, Value,
};

use super::data_collector::DataCollectorHook;
use super::sync_hook::{After, Before, Ends, done};

/// Adds the exporter metadata to the `gofeatureflag` attribute before each evaluation, so that the
/// relay proxy records it with the evaluation (GOFF-HOOK-003, GOFF-HOOK-004, GOFF-CTX-006 to -009).
///
/// This form is for any provider: the attribute is a plain `serde_json::Value`, shared between
/// evaluations unless the caller's context has members of its own there. `goff-provider` registers
/// the form that [`provider_hooks`] makes, by itself.
#[derive(Debug)]
pub struct EnrichEvaluationContextHook {
    exporter_metadata: ExporterMetadata,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// With the attribute of a context that has none yet, made once.
    Plain(Arc<serde_json::Value>),
    /// With a fresh slot for every evaluation.
    WithSlot,
}

/// The hooks of this project's own provider, in the order in which they are registered
/// (GOFF-HOOK-001): enrichment, then the data collector. The resolver finds a [`GoFeatureFlagAttribute`] in
/// the context and fills its slot with the outcome, which the collector takes.
///
/// Disabled data collection is no `sink`: both hooks are there all the same (GOFF-HOOK-003,
/// GOFF-HOOK-006). `evaluation_type` is the client's.
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
    /// The form for any provider.
    #[must_use]
    pub fn new(exporter_metadata: &ExporterMetadata) -> Self {
        let bare = GoFeatureFlagAttribute::new(None, exporter_metadata.clone()).to_json();
        Self {
            exporter_metadata: exporter_metadata.clone(),
            form: Form::Plain(Arc::new(bare)),
        }
    }

    fn enriched(&self, context: &EvaluationContext) -> EvaluationContext {
        let mut enriched = context.clone();
        match enriched.custom_fields.entry(GOFEATUREFLAG.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(self.attribute(None));
            }
            Entry::Occupied(mut place) => {
                let attribute = self.attribute(Some(place.get()));
                place.insert(attribute);
            }
        }
        enriched
    }

    fn attribute(
        &self,
        existing: Option<&EvaluationContextFieldValue>,
    ) -> EvaluationContextFieldValue {
        match (&self.form, existing) {
            (Form::Plain(bare), None) => EvaluationContextFieldValue::Struct(bare.clone()),
            (Form::Plain(_), Some(_)) => EvaluationContextFieldValue::new_struct(
                GoFeatureFlagAttribute::new(existing, self.exporter_metadata.clone()).to_json(),
            ),
            (Form::WithSlot, existing) => {
                GoFeatureFlagAttribute::new(existing, self.exporter_metadata.clone()).into()
            }
        }
    }
}

impl Hook for EnrichEvaluationContextHook {
    /// The whole context plus the attribute: what a hook returns replaces what later hooks see.
    fn before<'a, 'life0, 'life1, 'async_trait>(
        &'life0 self,
        context: &'life1 HookContext<'a>,
        _hints: Option<&'a HookHints>,
    ) -> Before<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
    {
        Box::pin(async move { Ok(Some(self.enriched(context.evaluation_context))) })
    }

    fn after<'a, 'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        _context: &'life1 HookContext<'a>,
        _details: &'life2 EvaluationDetails<Value>,
        _hints: Option<&'a HookHints>,
    ) -> After<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        done()
    }

    fn error<'a, 'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        _context: &'life1 HookContext<'a>,
        _error: &'life2 EvaluationError,
        _hints: Option<&'a HookHints>,
    ) -> Ends<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        done()
    }

    fn finally<'a, 'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        _context: &'life1 HookContext<'a>,
        _details: &'life2 EvaluationDetails<Value>,
        _hints: Option<&'a HookHints>,
    ) -> Ends<'async_trait>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
    {
        done()
    }
}

#[cfg(test)]
mod tests {
    use open_feature::provider::ProviderMetadata;
    use open_feature::{ClientMetadata, StructValue, Type};
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

    /// GOFF-HOOK-004: a new context, with everything the old one had.
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

    /// GOFF-CTX-006, GOFF-CTX-008, Python B5.
    #[tokio::test]
    async fn siblings_are_kept_and_a_non_map_is_replaced() {
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

    /// Design of the usage data: each evaluation has a slot of its own, even when its context
    /// went through an earlier one.
    #[tokio::test]
    async fn provider_form_has_a_fresh_slot_for_every_evaluation() {
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
