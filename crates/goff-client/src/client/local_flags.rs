//! Flags without `async`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{
    ContextView, EvaluationType, EventSink, ExporterMetadata, FlagType, Origin, ResolutionError,
};
use goff_engine::Explanation;
use goff_hooks::__internal::QueuedSink;
use goff_hooks::{DeliveryReport, EnrichedContext};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::lifecycle::Lifecycle;
use crate::client::panicked::{BULK, caught_call};
use crate::client::snapshot::Snapshot;
use crate::details::{BorrowedOutcome, EvaluationDetails, Recorder, Recording, TypedRequest};
use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::left_out::FlagsError;
use crate::in_process::now;
use crate::options::{DEFAULT_MAX_PENDING_BYTES, DEFAULT_MAX_PENDING_EVENTS};

/// Flags that are evaluated on the calling thread, without a runtime, without waiting, and without
/// a fallback to the relay proxy. Clones share the flags.
///
/// [`GoFeatureFlag::local`](crate::GoFeatureFlag::local) gives the current flags of a client at
/// any time; [`from_flags`](Self::from_flags) needs no client. For flags of a YAML file take `local`
/// of a client with the option `from_file`.
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
    Fixed(Arc<FixedFlags>),
}

/// Flags that never change.
struct FixedFlags {
    compiled: Arc<CompiledConfiguration>,
    exporter_metadata: ExporterMetadata,
    sink: Option<QueuedSink>,
}

impl Recorder for FixedFlags {
    fn recording(&self) -> Recording<'_> {
        Recording {
            sink: self.sink.as_ref().map(|sink| sink as &dyn EventSink),
            telemetry: None,
            exporter_metadata: &self.exporter_metadata,
            evaluation_type: EvaluationType::InProcess,
        }
    }
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
        Ok(Self::fixed(CompiledConfiguration::of_text(text)?, None))
    }

    /// [`from_flags`](Self::from_flags) whose evaluations are recorded into a sink, which is called
    /// on a separate thread, as for the option
    /// [`event_sink`](crate::GoFeatureFlagOptions::event_sink). Call [`flush`](Self::flush) before
    /// the process ends. The thread ends with the last clone.
    ///
    /// # Errors
    /// Those of `from_flags`.
    pub fn from_flags_with_event_sink(
        text: &str,
        sink: Arc<dyn EventSink>,
    ) -> Result<Self, FlagsError> {
        let compiled = CompiledConfiguration::of_text(text)?;
        let (events, bytes) = (DEFAULT_MAX_PENDING_EVENTS, DEFAULT_MAX_PENDING_BYTES);
        let queue = QueuedSink::new(sink, events, bytes);
        queue.start();
        Ok(Self::fixed(compiled, Some(queue)))
    }

    fn fixed(compiled: CompiledConfiguration, sink: Option<QueuedSink>) -> Self {
        Self(Flags::Fixed(Arc::new(FixedFlags {
            compiled: Arc::new(compiled),
            exporter_metadata: ExporterMetadata::default(),
            sink,
        })))
    }

    /// Waits until the event sink has taken what was recorded so far, for at most `timeout`, and says
    /// what became of its events. It blocks the thread. For the flags of a client, see also
    /// [`GoFeatureFlag::flush`](crate::GoFeatureFlag::flush), which delivers to the data collector.
    pub fn flush(&self, timeout: Duration) -> DeliveryReport {
        match &self.0 {
            Flags::Client(lifecycle) => lifecycle.collection().flush_sink(timeout),
            Flags::Fixed(fixed) => {
                let sink = fixed.sink.as_ref();
                sink.map_or_else(DeliveryReport::default, |sink| sink.flush_blocking(timeout))
            }
        }
    }

    pub(crate) fn of_client(lifecycle: Arc<Lifecycle>) -> Self {
        Self(Flags::Client(lifecycle))
    }

    /// The flags as they are now, for one request of the application: see [`Snapshot`]. Where the
    /// client is not ready, each evaluation gives its default and `PROVIDER_NOT_READY`.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        match &self.0 {
            Flags::Fixed(fixed) => {
                Snapshot::compiled(Ok(Arc::clone(&fixed.compiled)), Arc::clone(fixed) as _)
            }
            Flags::Client(lifecycle) => {
                let session = lifecycle.session();
                let current = session
                    .as_ref()
                    .and_then(|session| session.evaluator.in_process()?.current())
                    .ok_or_else(|| lifecycle.not_ready());
                Snapshot::compiled(current, Arc::clone(lifecycle) as _)
            }
        }
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
    /// The client is not ready, or the context panicked.
    pub fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        let enriched = EnrichedContext::new(context, self.recording().exporter_metadata);
        self.with_current(|current| {
            let current = current?;
            caught_call(BULK, || current.evaluate_all(&enriched, now()))
        })
    }

    /// Says why a flag has its value for a context, like
    /// [`GoFeatureFlag::explain`](crate::GoFeatureFlag::explain). Nothing is recorded as usage data.
    ///
    /// ```
    /// use goff_client::{EvaluationContext, LocalFlags};
    ///
    /// let flags = LocalFlags::from_flags(r#"{
    ///     "new-checkout": {
    ///         "variations": {"on": true, "off": false},
    ///         "targeting": [{"query": "age ge 18", "variation": "on"}],
    ///         "defaultRule": {"variation": "off"}
    ///     }
    /// }"#)?;
    /// let context = EvaluationContext::builder().attribute("age", "42").build();
    /// let explanation = flags.explain("new-checkout", &context)?;
    /// assert_eq!(
    ///     explanation.rules[0].conditions[0].why,
    ///     "`age` is the string \"42\", and a string is never at least a number",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The client is not ready.
    pub fn explain(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Explanation, ResolutionError> {
        let enriched = EnrichedContext::new(context, self.recording().exporter_metadata);
        self.with_current(|current| Ok(current?.explain(flag_key, &enriched, now())))
    }

    fn evaluate_as_requested<T>(&self, request: TypedRequest<'_, T>) -> EvaluationDetails<T> {
        let (flag_key, context) = (request.flag_key, request.context);
        let recording = self.recording();
        self.with_current(|current| {
            let details = request.evaluate(recording, || match current {
                Ok(compiled) => {
                    let enriched = EnrichedContext::new(context, recording.exporter_metadata);
                    compiled.evaluate(flag_key, &enriched, now()).outcome
                }
                Err(error) => BorrowedOutcome::failed(flag_key, error, Origin::NotEvaluated),
            });
            details.into_owned()
        })
    }

    fn with_current<T>(
        &self,
        read: impl FnOnce(Result<&CompiledConfiguration, ResolutionError>) -> T,
    ) -> T {
        let lifecycle = match &self.0 {
            Flags::Fixed(fixed) => return read(Ok(&fixed.compiled)),
            Flags::Client(lifecycle) => lifecycle,
        };
        let session = lifecycle.session();
        let session = session.as_ref();
        let current = session.and_then(|session| Some(session.evaluator.in_process()?.load()));
        match current.as_ref().and_then(|current| current.as_deref()) {
            Some(compiled) => read(Ok(compiled)),
            None => read(Err(lifecycle.not_ready())),
        }
    }

    fn recording(&self) -> Recording<'_> {
        match &self.0 {
            Flags::Client(lifecycle) => lifecycle.recording(),
            Flags::Fixed(fixed) => fixed.recording(),
        }
    }
}

impl fmt::Debug for LocalFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LocalFlags");
        match &self.0 {
            Flags::Client(lifecycle) => debug.field("status", &lifecycle.status()),
            Flags::Fixed(fixed) => debug.field("flags", &fixed.compiled),
        };
        debug.finish_non_exhaustive()
    }
}
