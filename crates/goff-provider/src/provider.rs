//! The provider: a thin adapter from the SDK's `FeatureProvider` to the native client.

use async_trait::async_trait;
use goff_client::{GoFeatureFlag, GoFeatureFlagOptions, OptionsError, State};
use goff_core::__internal::{GoFeatureFlagAttribute, project, resolution_details};
use goff_core::{FlagType, Outcome};
use goff_hooks::__internal::provider_hooks;
use open_feature::provider::{
    FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails,
};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationResult, HookWrapper, StructValue,
};

/// The name that the provider has in OpenFeature (GOFF-META-001, GOFF-META-002).
pub const PROVIDER_NAME: &str = "GO Feature Flag Provider";

/// The version of the provider specification that this provider targets (GOFF-ENG-003).
pub const SPECIFICATION_VERSION: &str = "1.0";

/// Resolves flags for the OpenFeature SDK through a [`GoFeatureFlag`] client.
///
/// The SDK passes no default value to a provider; a caller's default is what it does with `Err`.
/// So a disabled flag is an error that [`is_disabled`](goff_core::is_disabled) recognises, a null
/// value is [`NULL_VALUE`](goff_core::NULL_VALUE), and neither is ever the type's zero value.
///
/// Keep the client, from which the provider is made or which [`client`](Self::client) gives: the
/// SDK drops a provider without a word, and only the client can say how it is doing.
#[derive(Debug)]
pub struct GoFeatureFlagProvider {
    client: GoFeatureFlag,
    metadata: ProviderMetadata,
    hooks: Hooks,
}

impl GoFeatureFlagProvider {
    /// A provider with a client of its own, which the SDK initialises on registration.
    ///
    /// # Errors
    /// The first option that cannot be used, and why.
    pub fn new(options: GoFeatureFlagOptions) -> Result<Self, OptionsError> {
        Ok(Self::from(&GoFeatureFlag::new(options)?))
    }

    /// The client that evaluates.
    #[must_use]
    pub fn client(&self) -> &GoFeatureFlag {
        &self.client
    }

    async fn resolve<T: FlagType>(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let mut outcome = match self.client.look_up(flag_key, context) {
            Ok(outcome) => outcome,
            // The SDK boxes this future for every evaluation; a request is boxed only where it is made.
            Err(pending) => Box::pin(pending.outcome()).await,
        };
        let result = project_outcome(flag_key, &mut outcome);
        // Without the attribute no hook of ours waits for the outcome.
        if let Some(attribute) = GoFeatureFlagAttribute::find(context) {
            attribute.slot().fill(outcome);
        }
        result
    }
}

impl From<&GoFeatureFlag> for GoFeatureFlagProvider {
    /// A provider over a client that the application keeps.
    fn from(client: &GoFeatureFlag) -> Self {
        Self {
            hooks: Hooks(provider_hooks(
                client.exporter_metadata(),
                client.event_sink(),
                client.evaluation_type(),
            )),
            metadata: ProviderMetadata::new(PROVIDER_NAME),
            client: client.clone(),
        }
    }
}

#[async_trait]
impl FeatureProvider for GoFeatureFlagProvider {
    /// Initialises the client, which on a client that was started does nothing. The SDK holds its
    /// registry's write lock meanwhile; a failure shows in [`status`](Self::status).
    async fn initialize(&mut self, _context: &EvaluationContext) {
        // The client keeps the failure in its status; the SDK has no way to hear of it.
        let _ = self.client.initialize().await;
    }

    fn status(&self) -> ProviderStatus {
        match self.client.status().state {
            State::Ready => ProviderStatus::Ready,
            State::Stale => ProviderStatus::STALE,
            State::Error | State::Fatal => ProviderStatus::Error,
            _ => ProviderStatus::NotReady,
        }
    }

    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    fn hooks(&self) -> &[HookWrapper] {
        &self.hooks.0
    }

    async fn resolve_bool_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.resolve(flag_key, context).await
    }

    async fn resolve_int_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.resolve(flag_key, context).await
    }

    async fn resolve_float_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        self.resolve(flag_key, context).await
    }

    async fn resolve_string_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.resolve(flag_key, context).await
    }

    async fn resolve_struct_value(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        self.resolve(flag_key, context).await
    }
}

/// Projects an outcome into the asked type, once: for the SDK, and for the hook that records it,
/// to which a type mismatch is an outcome too.
fn project_outcome<T: FlagType>(
    flag_key: &str,
    outcome: &mut Outcome,
) -> EvaluationResult<ResolutionDetails<T>> {
    let error = match &outcome.result {
        Ok(resolution) => match project(flag_key, resolution) {
            Ok(projection) => return resolution_details(flag_key, projection, resolution),
            Err(error) => error,
        },
        Err(error) => return Err(EvaluationError::from(&**error)),
    };
    let answer = EvaluationError::from(&error);
    outcome.result = Err(Box::new(error));
    Err(answer)
}

/// The SDK's hooks have no `Debug`.
struct Hooks(Vec<HookWrapper>);

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
