//! Flags without `async`: evaluation in this process, from any thread.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use goff_core::{
    ContextView, EvaluationType, EventSink, ExporterMetadata, FlagConfiguration, FlagType, Origin,
    Outcome, ResolutionError,
};
use goff_engine::FlagSetError;
use goff_hooks::Enriched;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::lifecycle::Lifecycle;
use crate::details::{Asked, EvaluationDetails};
use crate::in_process::snapshot::Snapshot;

/// Flags that are evaluated at once, where the caller is: nothing is spawned or waited for, no
/// runtime is needed, and the relay proxy is never asked. Clones share the flags.
///
/// [`GoFeatureFlag::local`](crate::GoFeatureFlag::local) gives those of a client, always the
/// current ones; [`from_flags`](Self::from_flags) needs no client.
///
/// ```
/// use goff_client::{EvaluationContext, LocalFlags};
///
/// let flags = LocalFlags::from_flags(r#"{
///     "new-checkout": {
///         "variations": {"on": true, "off": false},
///         "targeting": [{"query": "plan eq \"pro\"", "variation": "on"}],
///         "defaultRule": {"variation": "off"}
///     }
/// }"#)?;
/// let context = EvaluationContext::builder().attribute("plan", "pro").build();
/// assert!(flags.evaluate("new-checkout", &context, false).value);
/// # Ok::<(), goff_client::InvalidFlags>(())
/// ```
#[derive(Clone)]
pub struct LocalFlags(Holder);

#[derive(Clone)]
enum Holder {
    Client(Arc<Lifecycle>),
    Alone {
        snapshot: Arc<Snapshot>,
        exporter_metadata: ExporterMetadata,
    },
}

impl LocalFlags {
    /// Flags from a JSON object of flags by key, as in the member `flags` of the relay proxy's
    /// configuration. Nothing is recorded.
    ///
    /// # Errors
    /// A text that is no object of flags. A flag that cannot be read is an error of its own
    /// evaluations only.
    pub fn from_flags(text: &str) -> Result<Self, InvalidFlags> {
        let snapshot = Snapshot::compile(FlagConfiguration {
            flags: Some(text.into()),
            ..FlagConfiguration::default()
        })
        .map_err(InvalidFlags)?;
        Ok(Self(Holder::Alone {
            snapshot: Arc::new(snapshot),
            exporter_metadata: ExporterMetadata::default(),
        }))
    }

    pub(crate) fn of_client(lifecycle: Arc<Lifecycle>) -> Self {
        Self(Holder::Client(lifecycle))
    }

    /// Evaluates a flag, like [`GoFeatureFlag::evaluate`](crate::GoFeatureFlag::evaluate).
    pub fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_with(Asked::typed(flag_key, context, default))
    }

    /// Evaluates a flag as a type of the caller's own, like
    /// [`GoFeatureFlag::evaluate_as`](crate::GoFeatureFlag::evaluate_as).
    pub fn evaluate_as<T: DeserializeOwned>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_with(Asked::deserialised(flag_key, context, default))
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names, like
    /// [`GoFeatureFlag::evaluate_all`](crate::GoFeatureFlag::evaluate_all).
    ///
    /// # Errors
    /// When the client is not ready.
    pub fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        let enriched = Enriched::new(context, self.exporter_metadata());
        self.ask(|snapshot| snapshot.evaluate_all(&enriched))
    }

    fn evaluate_with<T>(&self, asked: Asked<'_, T>) -> EvaluationDetails<T> {
        let enriched = Enriched::new(asked.context, self.exporter_metadata());
        let outcome = self
            .ask(|snapshot| snapshot.evaluate(asked.flag_key, &enriched).outcome())
            .unwrap_or_else(|error| Outcome {
                flag_key: asked.flag_key.into(),
                result: Err(Box::new(error)),
                origin: Origin::NotEvaluated,
            });
        let sink = match &self.0 {
            Holder::Client(lifecycle) => lifecycle.publisher(),
            Holder::Alone { .. } => None,
        };
        asked.conclude(
            outcome,
            sink.map(|sink| &**sink as &dyn EventSink),
            EvaluationType::InProcess,
        )
    }

    /// Asks the flags; those of a client are the ones of the moment.
    fn ask<T>(&self, ask: impl FnOnce(&Snapshot) -> T) -> Result<T, ResolutionError> {
        let lifecycle = match &self.0 {
            Holder::Alone { snapshot, .. } => return Ok(ask(snapshot)),
            Holder::Client(lifecycle) => lifecycle,
        };
        lifecycle
            .in_process()
            .and_then(|in_process| in_process.with_snapshot(ask))
            .ok_or_else(|| lifecycle.not_loaded())
    }

    fn exporter_metadata(&self) -> &ExporterMetadata {
        match &self.0 {
            Holder::Client(lifecycle) => lifecycle.exporter_metadata(),
            Holder::Alone {
                exporter_metadata, ..
            } => exporter_metadata,
        }
    }
}

impl fmt::Debug for LocalFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LocalFlags");
        match &self.0 {
            Holder::Client(lifecycle) => debug.field("status", &lifecycle.status()),
            Holder::Alone { snapshot, .. } => debug.field("flags", snapshot),
        };
        debug.finish_non_exhaustive()
    }
}

/// A text that is not an object of flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFlags(FlagSetError);

impl fmt::Display for InvalidFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the flags are not a JSON object of flags by key: {}",
            self.0
        )
    }
}

impl Error for InvalidFlags {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
