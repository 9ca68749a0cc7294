//! Flags without `async`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{
    ContextView, EvaluationType, EventSink, ExporterMetadata, FlagType, ResolutionError,
};
use goff_hooks::__internal::QueuedSink;
use goff_hooks::{DeliveryReport, EnrichedContext};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::lifecycle::Lifecycle;
use crate::client::pending::not_evaluated;
use crate::details::{EvaluationDetails, PROVIDER_NAME, TypedRequest};
use crate::in_process::left_out::FlagsError;
use crate::in_process::snapshot::Snapshot;
use crate::options::{DEFAULT_MAX_PENDING_BYTES, DEFAULT_MAX_PENDING_EVENTS};

/// Flags that are evaluated on the calling thread, without a runtime, without waiting, and without
/// a fallback to the relay proxy. Clones share the flags.
///
/// [`GoFeatureFlag::local`](crate::GoFeatureFlag::local) gives the current flags of a client at
/// any time; [`from_flags`](Self::from_flags) needs no client.
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
/// # Ok::<(), goff_client::FlagsError>(())
/// ```
#[derive(Clone)]
pub struct LocalFlags(Flags);

#[derive(Clone)]
enum Flags {
    Client(Arc<Lifecycle>),
    Fixed {
        snapshot: Arc<Snapshot>,
        exporter_metadata: ExporterMetadata,
        sink: Option<Arc<QueuedSink>>,
    },
}

impl LocalFlags {
    /// Flags from a JSON object of flags by key, as in the member `flags` of the relay proxy's
    /// configuration. Usage data is not recorded; see
    /// [`from_flags_with_event_sink`](Self::from_flags_with_event_sink).
    ///
    /// # Errors
    /// The text is not a JSON object of flags, or a relay proxy would refuse some of them: a
    /// variation that does not exist, no variations, a null variation, variations of several
    /// types, a query that is none, a repeated rule name, and the like. The error names each such
    /// flag, and the member that is wrong.
    ///
    /// ```
    /// use goff_client::LocalFlags;
    ///
    /// let error = LocalFlags::from_flags(r#"{
    ///     "banner": {"variations": {"on": true}, "defaultRule": {"variation": "onn"}}
    /// }"#).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the text has flags that fail validation: \
    ///      flag `banner`: `defaultRule.variation`: invalid variation: onn does not exist",
    /// );
    /// ```
    pub fn from_flags(text: &str) -> Result<Self, FlagsError> {
        Ok(Self(Flags::Fixed {
            snapshot: Arc::new(Snapshot::of_text(text)?),
            exporter_metadata: ExporterMetadata::default(),
            sink: None,
        }))
    }

    /// [`from_flags`](Self::from_flags) whose evaluations are recorded into a sink, which is called
    /// on a thread of its own, as for the option
    /// [`event_sink`](crate::GoFeatureFlagOptions::event_sink). Call [`flush`](Self::flush) before
    /// the process ends. The thread ends with the last clone.
    ///
    /// # Errors
    /// Those of `from_flags`.
    pub fn from_flags_with_event_sink(
        text: &str,
        sink: Arc<dyn EventSink>,
    ) -> Result<Self, FlagsError> {
        let snapshot = Arc::new(Snapshot::of_text(text)?);
        let (events, bytes) = (DEFAULT_MAX_PENDING_EVENTS, DEFAULT_MAX_PENDING_BYTES);
        let queue = QueuedSink::new(sink, events, bytes);
        queue.start();
        Ok(Self(Flags::Fixed {
            snapshot,
            exporter_metadata: ExporterMetadata::default(),
            sink: Some(Arc::new(queue)),
        }))
    }

    /// Waits until the event sink has taken what was recorded so far, for at most `timeout`, and says
    /// what became of its events. It blocks the thread. For the flags of a client, see also
    /// [`GoFeatureFlag::flush`](crate::GoFeatureFlag::flush), which delivers to the data collector.
    pub fn flush(&self, timeout: Duration) -> DeliveryReport {
        match &self.0 {
            Flags::Client(lifecycle) => lifecycle.collection().flush_sink(timeout),
            Flags::Fixed { sink, .. } => sink
                .as_ref()
                .map_or_else(DeliveryReport::default, |sink| sink.flush_blocking(timeout)),
        }
    }

    pub(crate) fn of_client(lifecycle: Arc<Lifecycle>) -> Self {
        Self(Flags::Client(lifecycle))
    }

    /// Evaluates a flag, like [`GoFeatureFlag::evaluate`](crate::GoFeatureFlag::evaluate).
    pub fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_as_requested(TypedRequest::typed(flag_key, context, default))
    }

    /// Evaluates a flag as your own type, like
    /// [`GoFeatureFlag::evaluate_as`](crate::GoFeatureFlag::evaluate_as).
    pub fn evaluate_as<T: DeserializeOwned>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.evaluate_as_requested(TypedRequest::deserialized(flag_key, context, default))
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names, like
    /// [`GoFeatureFlag::evaluate_all`](crate::GoFeatureFlag::evaluate_all).
    ///
    /// # Errors
    /// The client is not ready.
    pub fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        let enriched = EnrichedContext::new(context, self.exporter_metadata());
        self.with_snapshot(|snapshot| snapshot.evaluate_all(&enriched))
    }

    fn evaluate_as_requested<T>(&self, request: TypedRequest<'_, T>) -> EvaluationDetails<T> {
        let (sink, telemetry) = match &self.0 {
            Flags::Client(lifecycle) => (lifecycle.sink(), lifecycle.telemetry()),
            Flags::Fixed { sink, .. } => {
                let sink = sink.as_deref().map(|sink| sink as &dyn EventSink);
                (sink, None)
            }
        };
        let _active = telemetry.map(|telemetry| telemetry.active(request.flag_key, PROVIDER_NAME));
        let enriched = EnrichedContext::new(request.context, self.exporter_metadata());
        let outcome = self
            .with_snapshot(|snapshot| snapshot.evaluate(request.flag_key, &enriched).outcome())
            .unwrap_or_else(|error| not_evaluated(request.flag_key, error));
        request.conclude(outcome, sink, telemetry, EvaluationType::InProcess)
    }

    fn with_snapshot<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> Result<T, ResolutionError> {
        let lifecycle = match &self.0 {
            Flags::Fixed { snapshot, .. } => return Ok(read(snapshot)),
            Flags::Client(lifecycle) => lifecycle,
        };
        let session = lifecycle.session();
        session
            .as_ref()
            .and_then(|session| session.evaluator.in_process()?.with_snapshot(read))
            .ok_or_else(|| lifecycle.not_ready())
    }

    fn exporter_metadata(&self) -> &ExporterMetadata {
        match &self.0 {
            Flags::Client(lifecycle) => lifecycle.exporter_metadata(),
            Flags::Fixed {
                exporter_metadata, ..
            } => exporter_metadata,
        }
    }
}

impl fmt::Debug for LocalFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LocalFlags");
        match &self.0 {
            Flags::Client(lifecycle) => debug.field("status", &lifecycle.status()),
            Flags::Fixed { snapshot, .. } => debug.field("flags", snapshot),
        };
        debug.finish_non_exhaustive()
    }
}
