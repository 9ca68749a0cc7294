//! The native client.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use goff_core::{
    ContextView, EvaluationFailure, ExporterMetadata, FlagType, Origin, Outcome, Projection,
    RelayError, Resolution, ResolutionError, project, project_with,
};
use goff_hooks::Enriched;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::evaluation::EvaluationDetails;
use crate::options::{GoFeatureFlagOptions, InitializeError, OptionsError, Settings};
use crate::remote::RemoteEvaluator;
use crate::status::{Status, StatusCell};

/// A client of one relay proxy. Clones are handles to the same client; what two clients do in one
/// process is never shared.
///
/// ```no_run
/// use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "http")] {
/// let options = GoFeatureFlagOptions::new("http://localhost:1031");
/// let goff = GoFeatureFlag::connect(options).await?;
/// let context = EvaluationContext::builder().targeting_key("user-1").build();
/// let new_checkout = goff.evaluate("new-checkout", &context, false).await;
/// println!("{} because {}", new_checkout.value, new_checkout.reason());
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct GoFeatureFlag {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    evaluator: RemoteEvaluator,
    exporter_metadata: ExporterMetadata,
    status: StatusCell,
}

impl GoFeatureFlag {
    /// Checks the options. Nothing is sent, and evaluations are refused until
    /// [`initialize`](Self::initialize).
    ///
    /// # Errors
    /// The first option that cannot be used, and why (GOFF-CFG-001).
    pub fn new(options: GoFeatureFlagOptions) -> Result<Self, OptionsError> {
        let Settings {
            relay,
            exporter_metadata,
        } = options.check()?;
        Ok(Self {
            shared: Arc::new(Shared {
                evaluator: RemoteEvaluator::new(relay),
                exporter_metadata,
                status: StatusCell::default(),
            }),
        })
    }

    /// Makes the client ready. Remote evaluation needs no I/O for that (Python A22); an
    /// unreachable relay proxy is noticed by the first evaluation. On a client that is ready it
    /// does nothing, so that one handle can serve several OpenFeature domains (GOFF-LIFE-002).
    ///
    /// # Errors
    /// None in remote mode.
    #[expect(
        clippy::unused_async,
        reason = "other modes of evaluation load a configuration here"
    )]
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        self.shared.status.set(Status::Ready);
        Ok(())
    }

    /// [`new`](Self::new) and [`initialize`](Self::initialize) in one.
    ///
    /// # Errors
    /// Those of both.
    pub async fn connect(options: GoFeatureFlagOptions) -> Result<Self, InitializeError> {
        let client = Self::new(options)?;
        client.initialize().await?;
        Ok(client)
    }

    /// How the client is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status.get()
    }

    /// What is sent with every evaluation to label usage data.
    #[must_use]
    pub fn exporter_metadata(&self) -> &ExporterMetadata {
        &self.shared.exporter_metadata
    }

    /// Evaluates a flag as a `bool`, `i64`, `f64`, `String`, JSON object (`serde_json::Map`) or
    /// any JSON (`serde_json::Value`). It never fails: the caller's default is the value wherever
    /// the flag has none, and [`EvaluationDetails`] says why. Nothing is coerced (GOFF-EVAL-003
    /// to -006).
    pub async fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_with(flag_key, context, default, project::<T>)
            .await
    }

    /// Evaluates a flag as a type of the caller's own. A value that does not deserialise is
    /// `TYPE_MISMATCH` with the decoder's words.
    ///
    /// ```no_run
    /// # use goff_client::{EvaluationContext, GoFeatureFlag};
    /// #[derive(serde::Deserialize)]
    /// struct Limits { requests: u32, window_seconds: f64 }
    ///
    /// # async fn example(goff: GoFeatureFlag, context: EvaluationContext) {
    /// let default = Limits { requests: 10, window_seconds: 1.0 };
    /// let limits = goff.evaluate_as("limits", &context, default).await.value;
    /// # }
    /// ```
    pub async fn evaluate_as<T: DeserializeOwned>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_with(flag_key, context, default, |flag_key, resolution| {
            project_with(flag_key, resolution, "the asked type", |value| {
                T::deserialize(value)
                    .map_err(|error| Cow::Owned(format!("a value of another shape ({error})")))
            })
        })
        .await
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names, in one
    /// request. Disabled flags and failed ones have the value null. It is never cached and makes
    /// no usage data, as on the relay proxy.
    ///
    /// # Errors
    /// When the request as a whole failed, or the client is not ready.
    pub async fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        self.refuse_unless_ready()?;
        let enriched = Enriched::new(context, &self.shared.exporter_metadata);
        let flags = self.shared.evaluator.resolve_all(&enriched).await?;
        let details = |result: Result<Resolution, EvaluationFailure>| match result {
            Ok(resolution) => {
                let resolution = Arc::new(resolution);
                let value = if resolution.is_disabled() {
                    Projection::Disabled
                } else {
                    Projection::Value(resolution.value.clone())
                };
                EvaluationDetails::resolved(value, resolution, Value::Null)
            }
            Err(failure) => {
                EvaluationDetails::failed(RelayError::Evaluation(failure).into(), Value::Null)
            }
        };
        Ok(flags
            .into_iter()
            .map(|(flag_key, result)| (flag_key, details(result)))
            .collect())
    }

    /// The untyped evaluation beneath [`evaluate`](Self::evaluate) and the OpenFeature provider.
    /// It takes the context as it is: enrichment is the caller's.
    pub async fn resolve(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        if let Err(error) = self.refuse_unless_ready() {
            return Outcome {
                flag_key: flag_key.into(),
                result: Err(error),
                origin: Origin::NotEvaluated,
            };
        }
        self.shared.evaluator.resolve(flag_key, context).await
    }

    async fn evaluate_with<T>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
        project: impl FnOnce(&str, &Arc<Resolution>) -> Result<Projection<T>, ResolutionError>,
    ) -> EvaluationDetails<T> {
        let enriched = Enriched::new(context, &self.shared.exporter_metadata);
        let projected = self
            .resolve(flag_key, &enriched)
            .await
            .result
            .and_then(|resolution| Ok((project(flag_key, &resolution)?, resolution)));
        match projected {
            Ok((projection, resolution)) => {
                EvaluationDetails::resolved(projection, resolution, default)
            }
            Err(error) => EvaluationDetails::failed(error, default),
        }
    }

    /// GOFF-LIFE-006.
    fn refuse_unless_ready(&self) -> Result<(), ResolutionError> {
        match self.status() {
            Status::Ready => Ok(()),
            Status::NotReady => Err(ResolutionError::NotReady {
                reason: "the client is not initialised; call `initialize`, or make it with `connect`",
            }),
        }
    }
}
