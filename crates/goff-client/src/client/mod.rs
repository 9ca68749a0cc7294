//! The native client.

pub(crate) mod changes;
pub(crate) mod evaluator;
pub(crate) mod lifecycle;
#[cfg(feature = "in-process")]
pub(crate) mod local_flags;
pub(crate) mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{
    ContextView, EvaluationType, Event, EventSink, ExporterMetadata, FlagType, InvalidationSink,
    Origin, Outcome, RelayError, ResolutionError,
};
use goff_hooks::{DeliveryReport, Enriched, tracking_event, unix_seconds};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::client::evaluator::{Evaluator, Question};
use crate::client::lifecycle::Lifecycle;
#[cfg(feature = "in-process")]
use crate::client::local_flags::LocalFlags;
use crate::client::session::{Counted, Running};
use crate::details::{Asked, EvaluationDetails};
#[cfg(feature = "in-process")]
use crate::in_process::snapshot::LocalEvaluation;
use crate::options::{GoFeatureFlagOptions, InitializeError, OptionsError};
#[cfg(doc)]
use crate::status::State;
use crate::status::Status;
use crate::status::events::Subscription;
use crate::status::stats::Stats;

/// A client of one relay proxy. Clones are handles to the same client; what two clients do in one
/// process is never shared.
///
/// Shut it down before the process ends: [`shutdown`](Self::shutdown) delivers the usage data that
/// are still buffered. Dropping the last handle instead loses those and leaves no task behind.
///
/// ```no_run
/// use std::time::Duration;
///
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
/// goff.shutdown(Duration::from_secs(5)).await;
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct GoFeatureFlag {
    lifecycle: Arc<Lifecycle>,
}

impl GoFeatureFlag {
    /// Checks the options. Nothing is sent, and evaluations are refused until
    /// [`initialize`](Self::initialize).
    ///
    /// # Errors
    /// The first option that cannot be used, and why (GOFF-CFG-001).
    pub fn new(options: GoFeatureFlagOptions) -> Result<Self, OptionsError> {
        let lifecycle = Arc::new(Lifecycle::new(options.check()?));
        Ok(Self { lifecycle })
    }

    /// Makes the client ready: an empty cache, the change stream and the delivery of usage data.
    /// Remote evaluation waits for no I/O (Python A22); an unreachable relay proxy is noticed by
    /// the first evaluation. In-process evaluation ends with the first attempt to load the flags,
    /// which the option `timeout` bounds (GOFF-LIFE-001); where it fails, [`status`](Self::status)
    /// is [`Error`](State::Error) and heals by itself (GOFF-EVT-008).
    ///
    /// On a client that was started it does nothing, so that one handle can serve several OpenFeature
    /// domains (GOFF-LIFE-002). After [`shutdown`](Self::shutdown), or when the relay proxy has
    /// refused the key, it starts afresh, with whatever usage data are still buffered
    /// (GOFF-LIFE-003).
    ///
    /// # Errors
    /// [`InitializeError::NoRuntime`], outside a tokio runtime, and [`InitializeError::Refused`].
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        self.lifecycle.initialize().await
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
        self.lifecycle.status()
    }

    /// What the client has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.lifecycle.stats()
    }

    /// Waits until evaluations are answered, at most for `deadline`; tells whether they are. A
    /// client that the relay proxy has refused is not waited for.
    pub async fn wait_until_ready(&self, deadline: Duration) -> bool {
        self.lifecycle.wait_until_ready(deadline).await
    }

    /// Events of this client from now on (GOFF-EVT-001).
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.lifecycle.subscribe()
    }

    /// Who evaluates.
    #[must_use]
    pub fn evaluation_type(&self) -> EvaluationType {
        self.lifecycle.evaluation_type()
    }

    /// The same flags without `async`: in-process evaluation only. It shares the life of this
    /// client and records usage data like it.
    #[cfg(feature = "in-process")]
    #[must_use]
    pub fn local(&self) -> Option<LocalFlags> {
        (self.evaluation_type() == EvaluationType::InProcess)
            .then(|| LocalFlags::of_client(Arc::clone(&self.lifecycle)))
    }

    /// What is sent with every evaluation to label usage data.
    #[must_use]
    pub fn exporter_metadata(&self) -> &ExporterMetadata {
        self.lifecycle.exporter_metadata()
    }

    /// Where usage data of this client go; none with `disable_data_collection`.
    #[must_use]
    pub fn event_sink(&self) -> Option<Arc<dyn EventSink>> {
        self.lifecycle.event_sink()
    }

    /// Takes changes that the caller has learned of in its own way: the named flags are not served
    /// from the cache any more, and subscribers hear of it. A `ChangeListener` of goff-ws can be
    /// started with it. As from one, [`Invalidation::All`](crate::Invalidation::All) before
    /// [`StreamState::Open`](crate::StreamState::Open) is taken for a connection, not for a
    /// change. It does nothing while the client is not initialised.
    #[must_use]
    pub fn invalidation_sink(&self) -> Arc<dyn InvalidationSink> {
        Lifecycle::invalidation_sink(&self.lifecycle)
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
        self.evaluate_with(Asked::typed(flag_key, context, default))
            .await
    }

    /// Evaluates a flag as a type of the caller's own. A value that does not deserialise is
    /// `TYPE_MISMATCH` with the decoder's words. Where the default is served, usage data have null
    /// for a value, since the type need not serialise.
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
        self.evaluate_with(Asked::deserialised(flag_key, context, default))
            .await
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names: in one
    /// request, or, in process, by the engine alone. Disabled flags and failed ones have the value
    /// null. It is never cached and makes no usage data, as on the relay proxy.
    ///
    /// # Errors
    /// When the request as a whole failed, or the client is not ready.
    pub async fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        let running = Counted::new(self.running()?);
        let enriched = Enriched::new(context, self.exporter_metadata());
        running
            .until_cut_off(running.evaluator.evaluate_all(&enriched))
            .await
            .ok_or(CLOSED)??
            .ok_or_else(|| self.lifecycle.not_loaded())
    }

    /// The untyped evaluation beneath [`evaluate`](Self::evaluate) and the OpenFeature provider.
    /// It takes the context as it is and records nothing: enrichment and usage data are the
    /// caller's.
    pub async fn resolve(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        match self.look_up(flag_key, context) {
            Ok(outcome) => outcome,
            Err(asking) => asking.outcome().await,
        }
    }

    /// The first half of [`resolve`](Self::resolve): the outcome where nothing has to be waited
    /// for, as for a cache hit and in process. Where the relay proxy has to be asked, it is
    /// [`Asking::outcome`] that asks.
    ///
    /// # Errors
    /// None in that sense: `Err` is what is to be awaited.
    pub fn look_up<'a>(
        &self,
        flag_key: &'a str,
        context: &'a dyn ContextView,
    ) -> Result<Outcome, Asking<'a>> {
        #[cfg(feature = "in-process")]
        if let Some(in_process) = self.lifecycle.in_process() {
            return match in_process.evaluate(flag_key, context) {
                Some(LocalEvaluation::Done(outcome)) => Ok(outcome),
                None => Ok(not_evaluated(flag_key, self.lifecycle.not_loaded())),
                Some(LocalEvaluation::FallBack(outcome)) => {
                    let question = Question::FallBack(Arc::clone(in_process), outcome);
                    self.asking(question, flag_key, context)
                }
            };
        }
        // A look-up takes no reference to what is running: on many cores that would be contended.
        let question = match self.lifecycle.running_now().as_deref() {
            Some(Running {
                evaluator: Evaluator::Remote(remote),
                ..
            }) => match remote.look_up(flag_key, context) {
                Some(outcome) => return Ok(outcome),
                None => Question::Evaluate(Arc::clone(remote)),
            },
            _ => return Ok(not_evaluated(flag_key, self.lifecycle.not_running())),
        };
        self.asking(question, flag_key, context)
    }

    /// What is to be awaited, unless the client was shut down meanwhile.
    fn asking<'a>(
        &self,
        question: Question,
        flag_key: &'a str,
        context: &'a dyn ContextView,
    ) -> Result<Outcome, Asking<'a>> {
        match self.running() {
            Ok(running) => Err(Asking(Box::new(Unanswered {
                running: Counted::new(running),
                question,
                flag_key,
                context,
            }))),
            Err(error) => Ok(not_evaluated(flag_key, error)),
        }
    }

    /// Records that something happened to a user, for experiments (GOFF-TRACK-001 to -005). It is
    /// delivered with the usage data of evaluations. Nothing is recorded with
    /// `disable_data_collection`. Without a relay proxy nothing is either; that is warned of once
    /// and counted in [`stats`](Self::stats).
    ///
    /// # Errors
    /// A context with an attribute that cannot be read, or a client that is not ready.
    pub fn track(
        &self,
        name: &str,
        context: &dyn ContextView,
        details: Map<String, Value>,
    ) -> Result<(), ResolutionError> {
        let _running = self.running()?;
        let Some(sink) = self.lifecycle.publisher() else {
            self.lifecycle.not_collected();
            return Ok(());
        };
        let enriched = Enriched::new(context, self.exporter_metadata());
        let event = tracking_event(name, &enriched, details, unix_seconds())
            .map_err(RelayError::InvalidContext)?;
        sink.record(Event::from(event));
        Ok(())
    }

    /// Delivers the usage data that are buffered, for at most `deadline`.
    pub async fn flush(&self, deadline: Duration) -> DeliveryReport {
        self.lifecycle.flush(deadline).await
    }

    /// Refuses new evaluations and tracking at once, stops the change stream, lets evaluations
    /// under way finish, and delivers the usage data; all of it within `deadline`
    /// (GOFF-LIFE-004, GOFF-LIFE-005). What is not delivered by then is counted as still buffered
    /// and goes out after another [`initialize`](Self::initialize). To call it twice does no harm.
    pub async fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        self.lifecycle.shutdown(deadline).await
    }

    async fn evaluate_with<T>(&self, asked: Asked<'_, T>) -> EvaluationDetails<T> {
        let enriched = Enriched::new(asked.context, self.exporter_metadata());
        let (outcome, counted) = match self.look_up(asked.flag_key, &enriched) {
            Ok(outcome) => (outcome, None),
            Err(asking) => {
                let (outcome, counted) = asking.0.ask().await;
                (outcome, Some(counted))
            }
        };
        let details = asked.conclude(
            outcome,
            self.lifecycle
                .publisher()
                .map(|sink| &**sink as &dyn EventSink),
            self.evaluation_type(),
        );
        drop(counted);
        details
    }

    fn running(&self) -> Result<Arc<Running>, ResolutionError> {
        self.lifecycle
            .running_now()
            .as_ref()
            .map(Arc::clone)
            .ok_or_else(|| self.lifecycle.not_running())
    }
}

/// An evaluation for which the relay proxy has to be asked. Nothing is sent before
/// [`outcome`](Self::outcome) is awaited; shutdown counts it as under way from now on.
#[must_use = "nothing is evaluated before the outcome is awaited"]
pub struct Asking<'a>(Box<Unanswered<'a>>);

/// Boxed in its place, so that what is usual, an outcome, is handed on in little room.
struct Unanswered<'a> {
    running: Counted,
    question: Question,
    flag_key: &'a str,
    context: &'a dyn ContextView,
}

impl Asking<'_> {
    /// Asks. The future is large, for it holds a whole request; box it where it is rarely awaited.
    pub async fn outcome(self) -> Outcome {
        self.0.ask().await.0
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").finish_non_exhaustive()
    }
}

impl Unanswered<'_> {
    /// The outcome, and what keeps shutdown waiting for as long as it is held.
    async fn ask(self) -> (Outcome, Counted) {
        let (running, flag_key, context) = (self.running, self.flag_key, self.context);
        // A future is as large as what it awaits, so it is not wrapped more often than need be.
        let outcome = match self.question {
            Question::Evaluate(remote) => {
                let asking = remote.ask(flag_key, context);
                running.until_cut_off(asking).await
            }
            #[cfg(feature = "in-process")]
            Question::FallBack(in_process, evaluated) => {
                let asking = in_process.fall_back(flag_key, context, evaluated);
                running.until_cut_off(asking).await
            }
        };
        let outcome = outcome.unwrap_or_else(|| not_evaluated(flag_key, CLOSED));
        (outcome, running)
    }
}

fn not_evaluated(flag_key: &str, error: ResolutionError) -> Outcome {
    Outcome {
        flag_key: flag_key.into(),
        result: Err(Box::new(error)),
        origin: Origin::NotEvaluated,
    }
}

pub(crate) const CLOSED: ResolutionError = ResolutionError::NotReady {
    reason: "the client was shut down; `initialize` starts it again",
};
