//! A relay proxy in memory: it answers what a test told it to, and remembers what it was asked.

mod configuration;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{
    BulkEvaluation, ConfigurationUpdate, ContextError, ContextView, ErrorCode, Etag,
    EvaluationContext, EvaluationFailure, EventBatch, Reason, RelayClient, RelayError, Resolution,
    SDK_DEFAULT_VARIANT,
};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot, watch};

pub use self::configuration::ConfigurationRequest;
use self::configuration::ConfigurationScript;

/// A [`RelayClient`] without a wire: flags with the answers a test gives them. Clones share one
/// script.
///
/// It answers as a real relay proxy does: an unknown flag is `FLAG_NOT_FOUND`, a context that
/// cannot be sent is `INVALID_CONTEXT`.
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
#[derive(Debug, Clone)]
pub struct ScriptedRelay {
    script: Arc<Mutex<Script>>,
    /// Closed to answer freely; else a permit lets one request through.
    gate: Arc<Semaphore>,
    /// How many requests came.
    asked: Arc<watch::Sender<usize>>,
    /// How many requests for the configuration came.
    configuration_asked: Arc<watch::Sender<usize>>,
}

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, Result<Resolution, RelayError>>,
    requests: Vec<ScriptedRequest>,
    is_by_hand: bool,
    /// Those that wait to be let go, by their place in `requests`.
    waiting: HashMap<usize, oneshot::Sender<()>>,
    batches: Vec<EventBatch>,
    refused_batches: usize,
    collector_failure: Option<RelayError>,
    collector_delay: Option<Duration>,
    configuration: ConfigurationScript,
}

/// One evaluation that a [`ScriptedRelay`] was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedRequest {
    /// The flag's key.
    pub flag_key: String,
    /// The context as it was seen, enrichment included.
    pub context: EvaluationContext,
}

impl ScriptedRelay {
    /// A relay proxy without flags.
    #[must_use]
    pub fn new() -> Self {
        let gate = Semaphore::new(0);
        gate.close();
        Self {
            script: Arc::default(),
            gate: Arc::new(gate),
            asked: Arc::default(),
            configuration_asked: Arc::default(),
        }
    }

    /// Adds a flag that gives `value` as a cacheable static answer with variant `scripted`.
    #[must_use]
    pub fn with_value(self, flag_key: &str, value: impl Into<Value>) -> Self {
        self.with_answer(
            flag_key,
            Ok(Resolution {
                value: value.into(),
                reason: Reason::Static,
                variant: Some("scripted".to_owned()),
                cacheable: true,
                ..Resolution::default()
            }),
        )
    }

    /// Adds a flag that gives `answer`.
    #[must_use]
    pub fn with_answer(self, flag_key: &str, answer: Result<Resolution, RelayError>) -> Self {
        self.set_answer(flag_key, answer);
        self
    }

    /// Changes what a flag gives from now on.
    pub fn set_answer(&self, flag_key: &str, answer: Result<Resolution, RelayError>) {
        self.lock().answers.insert(flag_key.to_owned(), answer);
    }

    /// Makes every request wait until [`release`](Self::release) lets it through.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.gate = Arc::new(Semaphore::new(0));
        self
    }

    /// Lets `count` held requests through. Without effect on a relay that is not
    /// [`held`](Self::held).
    pub fn release(&self, count: usize) {
        self.gate.add_permits(count);
    }

    /// Makes every request wait until [`let_go`](Self::let_go) names it, so that answers arrive in
    /// any order. Each is what the script said when its request came, however the script changes
    /// meanwhile: an answer that is late is old.
    #[must_use]
    pub fn by_hand(self) -> Self {
        self.lock().is_by_hand = true;
        self
    }

    /// Lets one request of a relay [by hand](Self::by_hand) through: the one at `index` in
    /// [`requests`](Self::requests). Tells whether it was waiting.
    pub fn let_go(&self, index: usize) -> bool {
        let waiting = self.lock().waiting.remove(&index);
        waiting.is_some_and(|waiting| waiting.send(()).is_ok())
    }

    /// How many requests of a relay [by hand](Self::by_hand) wait; one that was given up does not.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let script = self.lock();
        let waiting = script.waiting.values();
        waiting.filter(|waiting| !waiting.is_closed()).count()
    }

    /// Waits until that many evaluations have been asked for.
    pub async fn wait_for_requests(&self, count: usize) {
        // The sender is in `self`, so the channel is open.
        let mut asked = self.asked.subscribe();
        let _ = asked.wait_for(|asked| *asked >= count).await;
    }

    /// Every evaluation asked for so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<ScriptedRequest> {
        self.lock().requests.clone()
    }

    /// How many evaluations were asked for so far.
    #[must_use]
    pub fn request_count(&self) -> usize {
        *self.asked.borrow()
    }

    /// Makes the data collector refuse batches with `failure`, or take them again.
    pub fn set_collector_failure(&self, failure: Option<RelayError>) {
        self.lock().collector_failure = failure;
    }

    /// Makes the data collector answer each later batch after `delay`, or at once. A batch that is
    /// given up meanwhile is not taken.
    pub fn set_collector_delay(&self, delay: Option<Duration>) {
        self.lock().collector_delay = delay;
    }

    /// Every batch of usage data that was taken, in order.
    #[must_use]
    pub fn batches(&self) -> Vec<EventBatch> {
        self.lock().batches.clone()
    }

    /// How many batches were refused.
    #[must_use]
    pub fn refused_batches(&self) -> usize {
        self.lock().refused_batches
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the request, then waits at the gate. What is to be answered already, if it is.
    async fn admit(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Option<Result<Resolution, RelayError>>, ContextError> {
        let context = EvaluationContext::from_view(context);
        context.canonical_hash()?;
        let (count, by_hand) = {
            let mut script = self.lock();
            let index = script.requests.len();
            script.requests.push(ScriptedRequest {
                flag_key: flag_key.to_owned(),
                context,
            });
            let by_hand = script.is_by_hand.then(|| {
                let (go, waits) = oneshot::channel();
                script.waiting.insert(index, go);
                (script.answer(flag_key), waits)
            });
            (index + 1, by_hand)
        };
        self.asked.send_modify(|asked| *asked = count.max(*asked));
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        Ok(match by_hand {
            None => None,
            Some((answer, waits)) => {
                // The sender is in the script, which outlives the request.
                let _ = waits.await;
                Some(answer)
            }
        })
    }
}

impl Script {
    fn answer(&self, flag_key: &str) -> Result<Resolution, RelayError> {
        self.answers
            .get(flag_key)
            .cloned()
            .unwrap_or_else(|| Err(not_found()))
    }
}

impl Default for ScriptedRelay {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl RelayClient for ScriptedRelay {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let old = self
            .admit(flag_key, context)
            .await
            .map_err(RelayError::InvalidContext)?;
        old.unwrap_or_else(|| self.lock().answer(flag_key))
    }

    /// Every scripted flag; an answer that is no evaluation is left out.
    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        self.admit("", context)
            .await
            .map_err(RelayError::InvalidContext)?;
        Ok(self
            .lock()
            .answers
            .iter()
            .filter_map(|(flag_key, answer)| {
                let answer = match answer.clone() {
                    Ok(resolution) => Ok(resolution),
                    Err(RelayError::Evaluation(failure)) => Err(failure),
                    Err(_) => return None,
                };
                Some((flag_key.clone(), answer))
            })
            .collect())
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        self.configuration_update(flags, held).await
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
    RelayError::Evaluation(EvaluationFailure {
        code: ErrorCode::FlagNotFound,
        details: String::new(),
        resolution: Arc::new(Resolution {
            reason: Reason::Error,
            variant: Some(SDK_DEFAULT_VARIANT.to_owned()),
            ..Resolution::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_by_script_and_remembers_requests() {
        let relay = ScriptedRelay::new().with_value("flag", 7);
        let context = EvaluationContext::builder().targeting_key("user").build();
        assert_eq!(relay.evaluate("flag", &context).await.unwrap().value, 7);
        let error = relay.evaluate("other", &context).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FlagNotFound);
        relay.set_answer("flag", Err(RelayError::UnreachableFlagKey { reason: "x" }));
        assert!(relay.evaluate("flag", &context).await.is_err());
        assert!(relay.evaluate_all(&context).await.unwrap().is_empty());
        let asked: Vec<_> = relay
            .requests()
            .into_iter()
            .map(|request| request.flag_key)
            .collect();
        assert_eq!(asked, ["flag", "other", "flag", ""]);
    }

    #[tokio::test]
    async fn refuses_a_context_that_cannot_be_sent() {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let context = EvaluationContext::builder()
            .attribute("rate", f64::NAN)
            .build();
        let error = relay.evaluate("flag", &context).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidContext);
        assert!(relay.requests().is_empty());
    }

    #[tokio::test]
    async fn collector_takes_or_refuses_batches() {
        let relay = ScriptedRelay::new();
        let batch = EventBatch {
            meta: goff_core::ExporterMetadata::default(),
            events: Vec::new(),
        };
        relay.set_collector_failure(Some(RelayError::UnreachableFlagKey { reason: "x" }));
        assert!(relay.collect(&batch).await.is_err());
        relay.set_collector_failure(None);
        relay.collect(&batch).await.unwrap();
        assert_eq!((relay.refused_batches(), relay.batches().len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn collector_takes_its_time() {
        let relay = ScriptedRelay::new();
        let batch = EventBatch {
            meta: goff_core::ExporterMetadata::default(),
            events: Vec::new(),
        };
        let delay = Duration::from_secs(5);
        relay.set_collector_delay(Some(delay));
        let given_up = tokio::time::timeout(delay / 2, relay.collect(&batch)).await;
        assert!(given_up.is_err());
        assert!(relay.batches().is_empty());
        let start = tokio::time::Instant::now();
        relay.collect(&batch).await.unwrap();
        assert_eq!((start.elapsed(), relay.batches().len()), (delay, 1));
    }

    #[tokio::test]
    async fn held_requests_wait_for_their_release() {
        let relay = ScriptedRelay::new().with_value("flag", true).held();
        let asking = tokio::spawn({
            let relay = relay.clone();
            async move {
                relay
                    .evaluate("flag", &EvaluationContext::default())
                    .await
                    .unwrap()
                    .value
            }
        });
        while relay.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!asking.is_finished());
        relay.release(1);
        assert_eq!(asking.await.unwrap(), true);
    }

    #[tokio::test]
    async fn requests_by_hand_are_answered_in_any_order_as_of_when_they_came() {
        let relay = ScriptedRelay::new().with_value("flag", 1).by_hand();
        let ask = || {
            let relay = relay.clone();
            tokio::spawn(async move {
                let answer = relay.evaluate("flag", &EvaluationContext::default()).await;
                answer.unwrap().value
            })
        };
        let first = ask();
        relay.wait_for_requests(1).await;
        relay.set_answer("flag", Err(RelayError::UnreachableFlagKey { reason: "x" }));
        let relay = relay.clone().with_value("flag", 2);
        let second = ask();
        let given_up = ask();
        relay.wait_for_requests(3).await;
        assert_eq!(relay.waiting(), 3);
        given_up.abort();
        assert!(given_up.await.is_err());
        assert_eq!(relay.waiting(), 2);
        assert!(relay.let_go(1));
        assert_eq!(second.await.unwrap(), 2);
        assert!(!first.is_finished());
        assert!(relay.let_go(0));
        assert_eq!(first.await.unwrap(), 1);
        assert!(!relay.let_go(0), "it is gone");
        assert!(!relay.let_go(2), "it was given up");
    }
}
