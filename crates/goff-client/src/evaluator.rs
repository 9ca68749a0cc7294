//! The two ways to evaluate, behind one.

use std::collections::BTreeMap;
use std::sync::Arc;

use goff_core::{ContextView, Outcome, RelayError};
use serde_json::Value;

use crate::evaluation::EvaluationDetails;
#[cfg(feature = "in-process")]
use crate::in_process::{Attempt, InProcessEvaluator};
use crate::remote::RemoteEvaluator;
#[cfg(feature = "in-process")]
use crate::snapshot::Evaluated;

/// Who evaluates. An enum, because a boxed call would cost an allocation for each evaluation.
#[derive(Debug, Clone)]
pub(crate) enum Evaluator {
    Remote(Arc<RemoteEvaluator>),
    #[cfg(feature = "in-process")]
    InProcess(Arc<InProcessEvaluator>),
}

/// What is known of an evaluation without waiting.
pub(crate) enum LookUp {
    Answered(Outcome),
    /// The relay proxy is to be asked.
    Ask(Question),
    /// There is no configuration yet (GOFF-LIFE-006).
    #[cfg(feature = "in-process")]
    NotLoaded,
}

/// What the relay proxy is to be asked.
pub(crate) enum Question {
    /// To evaluate, as it always does.
    Evaluate(Arc<RemoteEvaluator>),
    /// To evaluate what the engine gave up on, like this.
    #[cfg(feature = "in-process")]
    FallBack(Arc<InProcessEvaluator>, Evaluated),
}

impl Evaluator {
    /// The answer, if it takes no request.
    #[inline]
    pub(crate) fn look_up(&self, flag_key: &str, context: &dyn ContextView) -> LookUp {
        match self {
            Self::Remote(remote) => match remote.look_up(flag_key, context) {
                Some(outcome) => LookUp::Answered(outcome),
                None => LookUp::Ask(Question::Evaluate(Arc::clone(remote))),
            },
            #[cfg(feature = "in-process")]
            Self::InProcess(in_process) => match in_process.attempt(flag_key, context) {
                Attempt::Evaluated(outcome) => LookUp::Answered(outcome),
                Attempt::FallBack(evaluated) => {
                    LookUp::Ask(Question::FallBack(Arc::clone(in_process), evaluated))
                }
                Attempt::NotLoaded => LookUp::NotLoaded,
            },
        }
    }
}

impl Evaluator {
    /// Every flag, or those that the context names; `None` where there is no configuration yet.
    pub(crate) async fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<Option<BTreeMap<String, EvaluationDetails<Value>>>, RelayError> {
        match self {
            Self::Remote(remote) => {
                let flags = remote.ask_all(context).await?;
                let details = flags.into_iter().map(|(flag_key, result)| {
                    let result = result
                        .map(Arc::new)
                        .map_err(|failure| RelayError::Evaluation(failure).into());
                    (flag_key, EvaluationDetails::of_bulk(result))
                });
                Ok(Some(details.collect()))
            }
            #[cfg(feature = "in-process")]
            Self::InProcess(in_process) => {
                let snapshot = in_process.snapshot();
                Ok(snapshot.map(|snapshot| snapshot.evaluate_all(context)))
            }
        }
    }
}
