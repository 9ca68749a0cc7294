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

/// The name that the provider has in OpenFeature.
///
/// *Specification*: GOFF-META-001, GOFF-META-002.
pub const PROVIDER_NAME: &str = goff_client::__internal::PROVIDER_NAME;

/// The version of the provider specification that this provider targets.
///
/// *Specification*: GOFF-ENG-003.
pub const SPECIFICATION_VERSION: &str = "1.0";

/// Resolves flags for the OpenFeature SDK through a [`GoFeatureFlag`] client.
///
/// The SDK passes no default value to a provider: callers apply their default to an `Err`. So a
/// disabled flag is an error that [`is_disabled`](goff_core::is_disabled) recognizes, a null value is
/// the error [`NULL_VALUE`](goff_core::NULL_VALUE), and neither is ever the type's zero value.
///
/// Keep the client, which [`client`](Self::client) returns: the SDK drops a provider silently, and
/// only the client has status, statistics and shutdown.
#[derive(Debug)]
pub struct GoFeatureFlagProvider {
    client: GoFeatureFlag,
    metadata: ProviderMetadata,
    hooks: Hooks,
}

impl GoFeatureFlagProvider {
    /// A provider with a new client, which the SDK initializes on registration.
    ///
    /// # Errors
    /// The first invalid option, and why.
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
            // Boxed here, because the SDK boxes the outer future for every evaluation.
            Err(pending) => Box::pin(pending.outcome()).await,
        };
        let result = project_outcome(flag_key, &mut outcome);
        // The collector hook reads the outcome from this attribute; another hook may have removed it.
        if let Some(attribute) = GoFeatureFlagAttribute::find(context) {
            attribute.slot().fill(outcome);
        }
        result
    }
}

impl From<&GoFeatureFlag> for GoFeatureFlagProvider {
    /// A provider over an existing client.
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
    /// Initializes the client, unless it is started. The SDK holds its registry's write lock during
    /// the call. A failure is in [`status`](Self::status).
    async fn initialize(&mut self, _context: &EvaluationContext) {
        // The SDK's signature has no error; the client keeps it in its status.
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

/// Projects an outcome into the requested type, for the SDK and for the collector hook: a type
/// mismatch becomes the outcome.
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
