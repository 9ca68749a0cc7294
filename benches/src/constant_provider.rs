//! The OpenFeature client over a provider that returns a constant: the cost of the SDK.

use std::hint::black_box;

use async_trait::async_trait;
use open_feature::provider::{FeatureProvider, ProviderMetadata, ResolutionDetails};
use open_feature::{
    Client, EvaluationContext, EvaluationContextFieldValue, EvaluationDetails, EvaluationError,
    EvaluationReason, EvaluationResult, FlagMetadata, Hook, HookContext, HookHints, HookWrapper,
    OpenFeature, StructValue, Value,
};
use tokio::runtime::Runtime;

/// Returns one answer; as a boolean it is true, unless [`answering`](Self::answering) changes that.
#[expect(missing_debug_implementations, reason = "the SDK's hooks have none")]
pub struct ConstantProvider {
    answer: Answer,
    boolean: bool,
    metadata: ProviderMetadata,
    hooks: Vec<HookWrapper>,
}

/// The details that a [`ConstantProvider`] returns beside the value.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The variant.
    pub variant: &'static str,
    /// The reason.
    pub reason: EvaluationReason,
    /// The only entry of the metadata: its key and text.
    pub metadata: (&'static str, &'static str),
}

impl ConstantProvider {
    /// Without hooks.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            answer,
            boolean: true,
            metadata: ProviderMetadata::new("constant"),
            hooks: Vec::new(),
        }
    }

    /// With two hooks of the shape of goff-hooks': one returns the context plus one shared field, the
    /// other does nothing.
    #[must_use]
    pub fn with_hooks(answer: Answer) -> Self {
        let field = EvaluationContextFieldValue::new_struct(serde_json::Map::new());
        Self {
            hooks: vec![
                HookWrapper::new(SameShape { adds: Some(field) }),
                HookWrapper::new(SameShape { adds: None }),
            ],
            ..Self::new(answer)
        }
    }

    /// With this value for booleans.
    #[must_use]
    pub fn answering(self, boolean: bool) -> Self {
        Self { boolean, ..self }
    }

    fn details<T>(&self, value: T) -> EvaluationResult<ResolutionDetails<T>> {
        let (key, text) = self.answer.metadata;
        Ok(ResolutionDetails {
            value,
            variant: Some(self.answer.variant.to_owned()),
            reason: Some(self.answer.reason.clone()),
            flag_metadata: Some(FlagMetadata::default().with_value(key, text)),
        })
    }
}

#[async_trait]
impl FeatureProvider for ConstantProvider {
    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    fn hooks(&self) -> &[HookWrapper] {
        &self.hooks
    }

    async fn resolve_bool_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.details(self.boolean)
    }

    async fn resolve_int_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.details(1)
    }

    async fn resolve_float_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.details(1.0)
    }

    async fn resolve_string_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.details(String::new())
    }

    async fn resolve_struct_value(
        &self,
        _: &str,
        _: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        self.details(StructValue::default())
    }
}

struct SameShape {
    adds: Option<EvaluationContextFieldValue>,
}

#[async_trait]
impl Hook for SameShape {
    async fn before<'a>(
        &self,
        context: &HookContext<'a>,
        _: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        let Some(field) = &self.adds else {
            return Ok(None);
        };
        let context = context.evaluation_context.clone();
        Ok(Some(
            context.with_custom_field("gofeatureflag", field.clone()),
        ))
    }

    async fn after<'a>(
        &self,
        _: &HookContext<'a>,
        _: &EvaluationDetails<Value>,
        _: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        Ok(())
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

/// An OpenFeature client over a provider.
pub fn client(runtime: &Runtime, provider: impl FeatureProvider) -> Client {
    runtime.block_on(async {
        let mut api = OpenFeature::default();
        api.set_provider(provider).await;
        api.create_client()
    })
}

/// Evaluates a boolean flag through an OpenFeature client, the given number of times.
pub fn evaluate_through<'a>(
    runtime: &'a Runtime,
    client: &'a Client,
    flag_key: &'a str,
    context: &'a EvaluationContext,
) -> impl FnMut(u64) + 'a {
    move |operations| {
        runtime.block_on(async {
            for _ in 0..operations {
                let value = client.get_bool_details(flag_key, Some(context), None).await;
                black_box(value.is_ok());
            }
        });
    }
}
