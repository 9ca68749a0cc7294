//! [`ScriptedRelay`]: a relay proxy in memory, above the wire.

mod configuration;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::__internal::canonical_hash;
use goff_core::{
    BulkEvaluation, ConfigurationUpdate, ContextView, ErrorCode, Etag, EvaluationContext,
    EvaluationFailure, EventBatch, FlagConfiguration, Reason, RelayClient, RelayError, Resolution,
    SDK_DEFAULT_VARIANT,
};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

pub use self::configuration::ConfigurationRequest;
use self::configuration::ConfigurationScript;

/// A [`RelayClient`] without a wire: it gives the answers that a test scripts, and records the
/// requests. Clones share one script.
///
/// As with a real relay proxy, an unknown flag is `FLAG_NOT_FOUND`, and a context that cannot be
/// written as JSON is `INVALID_CONTEXT`.
///
/// ```
/// # use goff_testkit::ScriptedRelay;
/// # use goff_core::{EvaluationContext, RelayClient};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let relay = ScriptedRelay::new().with_value("new-checkout", true);
/// let context = EvaluationContext::builder().targeting_key("user-1").build();
/// assert_eq!(relay.evaluate("new-checkout", &context).await.unwrap().value, true);
/// assert_eq!(relay.requests()[0].flag_key, "new-checkout");
/// # }
/// ```
///
/// `Debug` shows how many requests there were.
#[derive(Clone, Default)]
pub struct ScriptedRelay {
    script: Arc<Mutex<Script>>,
    request_count: Arc<watch::Sender<usize>>,
    configuration_request_count: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Result<Resolution, RelayError>>,
    requests: Vec<ScriptedRequest>,
    is_manual: bool,
    /// Requests that wait for their completion, by their place in `requests`.
    waiting: HashMap<usize, oneshot::Sender<()>>,
    batches: Vec<EventBatch>,
    refused_batches: usize,
    collector_failure: Option<RelayError>,
    collector_delay: Option<Duration>,
    configuration: ConfigurationScript,
}

/// A request for an evaluation that a [`ScriptedRelay`] received.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScriptedRequest {
    /// The flag's key; empty for a bulk evaluation.
    pub flag_key: String,
    /// The context as received, enrichment included.
    pub context: EvaluationContext,
}

impl fmt::Debug for ScriptedRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedRelay")
            .field("requests", &*self.request_count.borrow())
            .finish_non_exhaustive()
    }
}

impl ScriptedRelay {
    /// A relay proxy without flags.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a flag with a cacheable static answer: `value`, variant `scripted`.
    #[must_use]
    pub fn with_value(self, flag_key: &str, value: impl Into<Value>) -> Self {
        let resolution = Resolution::new(value, Reason::Static).with_variant("scripted");
        self.with_answer(flag_key, Ok(resolution.with_cacheable(true)))
    }

    /// Adds a flag with this answer.
    #[must_use]
    pub fn with_answer(self, flag_key: &str, answer: Result<Resolution, RelayError>) -> Self {
        self.set_answer(flag_key, answer);
        self
    }

    /// Changes the answer for a flag. Requests that are already waiting keep the earlier one.
    pub fn set_answer(&self, flag_key: &str, answer: Result<Resolution, RelayError>) {
        self.lock().answers.insert(flag_key.to_owned(), answer);
    }

    /// Makes each request for an evaluation wait until [`complete`](Self::complete) names it, so
    /// that a test chooses the order of the answers. A request is answered with what the script
    /// held when the request arrived.
    #[must_use]
    pub fn manual(self) -> Self {
        self.lock().is_manual = true;
        self
    }

    /// Answers one request of a [manual](Self::manual) relay: the one at `index` in
    /// [`requests`](Self::requests). Returns whether it was waiting.
    pub fn complete(&self, index: usize) -> bool {
        let waiting = self.lock().waiting.remove(&index);
        waiting.is_some_and(|waiting| waiting.send(()).is_ok())
    }

    /// How many requests of a [manual](Self::manual) relay wait; canceled ones do not count.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let script = self.lock();
        let waiting = script.waiting.values();
        waiting.filter(|waiting| !waiting.is_closed()).count()
    }

    /// Waits until `count` requests for an evaluation have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        wait_for(&self.request_count, count).await;
    }

    /// The requests for an evaluation so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<ScriptedRequest> {
        self.lock().requests.clone()
    }

    /// The number of requests for an evaluation so far.
    #[must_use]
    pub fn request_count(&self) -> usize {
        *self.request_count.borrow()
    }

    /// Makes the data collector refuse batches with `failure`; `None` makes it accept them.
    pub fn set_collector_failure(&self, failure: Option<RelayError>) {
        self.lock().collector_failure = failure;
    }

    /// Makes the data collector answer later batches after `delay`; `None` means at once. A batch
    /// whose request is canceled during the delay is not accepted.
    pub fn set_collector_delay(&self, delay: Option<Duration>) {
        self.lock().collector_delay = delay;
    }

    /// The accepted batches of usage data, in order.
    #[must_use]
    pub fn batches(&self) -> Vec<EventBatch> {
        self.lock().batches.clone()
    }

    /// The number of refused batches.
    #[must_use]
    pub fn refused_batches(&self) -> usize {
        self.lock().refused_batches
    }

    /// Replaces the configuration: the flags as a JSON object, and an optional ETag.
    pub fn set_flags(&self, flags: &Value, etag: Option<&str>) {
        let etag = etag.and_then(|etag| Etag::from_bytes(etag.as_bytes()));
        self.set_configuration(FlagConfiguration::new(flags.to_string()).with_etag(etag));
    }

    /// Replaces the whole configuration, which is empty at first. A request with its ETag is
    /// answered with "not modified".
    pub fn set_configuration(&self, configuration: FlagConfiguration) {
        self.lock().configuration.configuration = configuration;
    }

    /// Makes requests for the configuration fail with `failure`; `None` makes them succeed.
    pub fn set_configuration_failure(&self, failure: Option<RelayError>) {
        self.lock().configuration.failure = failure;
    }

    /// Answers every request for the configuration that has an ETag with "not modified", as an
    /// instance that lags behind would.
    pub fn set_always_not_modified(&self, always: bool) {
        self.lock().configuration.is_always_not_modified = always;
    }

    /// Answers later requests for the configuration after `delay`; `None` means at once. The
    /// answer is what the script held when the request arrived.
    pub fn set_configuration_delay(&self, delay: Option<Duration>) {
        self.lock().configuration.delay = delay;
    }

    /// The requests for the configuration so far, in order.
    #[must_use]
    pub fn configuration_requests(&self) -> Vec<ConfigurationRequest> {
        self.lock().configuration.requests.clone()
    }

    /// Waits until `count` requests for the configuration have arrived.
    pub async fn wait_for_configuration_requests(&self, count: usize) {
        wait_for(&self.configuration_request_count, count).await;
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the request, waits for its completion on a manual relay, and returns the answer
    /// that the script held when the request arrived.
    async fn receive(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let context = EvaluationContext::from_view(context);
        canonical_hash(&context).map_err(RelayError::InvalidContext)?;
        let (answer, count, completed) = {
            let mut script = self.lock();
            let index = script.requests.len();
            script.requests.push(ScriptedRequest {
                flag_key: flag_key.to_owned(),
                context,
            });
            let completed = script.is_manual.then(|| {
                let (complete, completed) = oneshot::channel();
                script.waiting.insert(index, complete);
                completed
            });
            (script.answer(flag_key), index + 1, completed)
        };
        count_up(&self.request_count, count);
        if let Some(completed) = completed {
            // The script holds the sender and outlives the request.
            let _ = completed.await;
        }
        answer
    }
}

/// Publishes a count that may be overtaken by a later one.
fn count_up(counter: &watch::Sender<usize>, count: usize) {
    counter.send_modify(|counted| *counted = count.max(*counted));
}

async fn wait_for(counter: &watch::Sender<usize>, count: usize) {
    let mut counter = counter.subscribe();
    // The channel stays open: its sender is borrowed.
    let _ = counter.wait_for(|counted| *counted >= count).await;
}

impl Script {
    fn answer(&self, flag_key: &str) -> Result<Resolution, RelayError> {
        let answer = self.answers.get(flag_key).cloned();
        answer.unwrap_or_else(|| Err(not_found()))
    }
}

#[async_trait]
impl RelayClient for ScriptedRelay {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        self.receive(flag_key, context).await
    }

    /// Every scripted flag, except those whose answer is not an evaluation.
    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        if let Err(error @ RelayError::InvalidContext(_)) = self.receive("", context).await {
            return Err(error);
        }
        let script = self.lock();
        let evaluated = script.answers.iter().filter_map(|(flag_key, answer)| {
            let answer = match answer.clone() {
                Ok(resolution) => Ok(resolution),
                Err(RelayError::Evaluation(failure)) => Err(failure),
                Err(_) => return None,
            };
            Some((flag_key.clone(), answer))
        });
        Ok(evaluated.collect())
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let (count, delay, answer) = {
            let script = &mut self.lock().configuration;
            script.requests.push(ConfigurationRequest {
                flags: flags.to_vec(),
                held: held.cloned(),
            });
            (script.requests.len(), script.delay, script.answer(held))
        };
        count_up(&self.configuration_request_count, count);
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        answer
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        let delay = self.lock().collector_delay;
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        let mut script = self.lock();
        match script.collector_failure.clone() {
            Some(error) => {
                script.refused_batches += 1;
                Err(error)
            }
            None => {
                script.batches.push(batch.clone());
                Ok(())
            }
        }
    }
}

fn not_found() -> RelayError {
    let resolution = Resolution::new(Value::Null, Reason::Error).with_variant(SDK_DEFAULT_VARIANT);
    let (code, resolution) = (ErrorCode::FlagNotFound, Arc::new(resolution));
    RelayError::Evaluation(EvaluationFailure::new(code, String::new(), resolution))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> EventBatch {
        EventBatch::new(goff_core::ExporterMetadata::default(), Vec::new())
    }

    #[tokio::test]
    async fn answers_follow_the_script_and_requests_are_recorded() {
        let relay = ScriptedRelay::new().with_value("flag", 7);
        let context = EvaluationContext::builder().targeting_key("user").build();
        assert_eq!(relay.evaluate("flag", &context).await.unwrap().value, 7);
        let error = relay.evaluate("other", &context).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FlagNotFound);
        relay.set_answer(
            "flag",
            Err(RelayError::UnreachableFlagKey {
                flag_key: "".into(),
                reason: "x",
            }),
        );
        assert!(relay.evaluate("flag", &context).await.is_err());
        assert!(relay.evaluate_all(&context).await.unwrap().is_empty());
        let requests = relay.requests().into_iter();
        let requested: Vec<_> = requests.map(|request| request.flag_key).collect();
        assert_eq!(requested, ["flag", "other", "flag", ""]);
    }

    #[tokio::test]
    async fn a_context_that_cannot_be_sent_is_refused() {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let context = EvaluationContext::builder().attribute("rate", f64::NAN);
        let context = context.build();
        let error = relay.evaluate("flag", &context).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidContext);
        assert!(relay.evaluate_all(&context).await.is_err());
        assert!(relay.requests().is_empty());
    }

    #[tokio::test]
    async fn batches_are_accepted_or_refused() {
        let relay = ScriptedRelay::new();
        relay.set_collector_failure(Some(RelayError::UnreachableFlagKey {
            flag_key: "".into(),
            reason: "x",
        }));
        assert!(relay.collect(&batch()).await.is_err());
        relay.set_collector_failure(None);
        relay.collect(&batch()).await.unwrap();
        assert_eq!((relay.refused_batches(), relay.batches().len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_accepted_after_the_delay_unless_it_is_canceled() {
        let relay = ScriptedRelay::new();
        let delay = Duration::from_secs(5);
        relay.set_collector_delay(Some(delay));
        let canceled = tokio::time::timeout(delay / 2, relay.collect(&batch())).await;
        assert!(canceled.is_err());
        assert!(relay.batches().is_empty());
        let start = tokio::time::Instant::now();
        relay.collect(&batch()).await.unwrap();
        assert_eq!((start.elapsed(), relay.batches().len()), (delay, 1));
    }

    #[tokio::test]
    async fn manual_requests_complete_in_any_order_with_the_answer_of_their_arrival() {
        let relay = ScriptedRelay::new().with_value("flag", 1).manual();
        let evaluate = || {
            let relay = relay.clone();
            tokio::spawn(async move {
                let answer = relay.evaluate("flag", &EvaluationContext::default()).await;
                answer.unwrap().value
            })
        };
        let first = evaluate();
        relay.wait_for_requests(1).await;
        relay.set_answer(
            "flag",
            Err(RelayError::UnreachableFlagKey {
                flag_key: "".into(),
                reason: "x",
            }),
        );
        let relay = relay.clone().with_value("flag", 2);
        let second = evaluate();
        let canceled = evaluate();
        relay.wait_for_requests(3).await;
        assert_eq!(relay.waiting(), 3);
        canceled.abort();
        assert!(canceled.await.is_err());
        assert_eq!(relay.waiting(), 2);
        assert!(relay.complete(1));
        assert_eq!(second.await.unwrap(), 2);
        assert!(!first.is_finished());
        assert!(relay.complete(0));
        assert_eq!(first.await.unwrap(), 1);
        assert!(!relay.complete(0), "it is complete");
        assert!(!relay.complete(2), "it was canceled");
    }
}
