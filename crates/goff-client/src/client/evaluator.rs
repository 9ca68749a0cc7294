//! The two ways to evaluate, behind one.

use std::collections::BTreeMap;
use std::sync::Arc;

use goff_core::{ContextView, RelayError};
use serde_json::Value;

use crate::details::EvaluationDetails;
#[cfg(feature = "in-process")]
use crate::in_process::{InProcessEvaluator, Life};
use crate::remote::RemoteEvaluator;

/// Who evaluates. An enum, because a boxed call would cost an allocation for each evaluation.
#[derive(Debug, Clone)]
pub(crate) enum Evaluator {
    Remote(Arc<RemoteEvaluator>),
    #[cfg(feature = "in-process")]
    InProcess(Arc<InProcessEvaluator>, Life),
}

/// What the relay proxy is to be asked.
pub(crate) enum Question {
    /// To evaluate, as it always does.
    Evaluate(Arc<RemoteEvaluator>),
    /// To evaluate what the engine gave up on, like this.
    #[cfg(feature = "in-process")]
    FallBack(Arc<InProcessEvaluator>, goff_core::Outcome),
}

impl Evaluator {
    /// Nothing is evaluated in process from then on.
    pub(crate) fn end(&self) {
        match self {
            // It has no state that could outlast it.
            Self::Remote(_) => {}
            #[cfg(feature = "in-process")]
            Self::InProcess(in_process, life) => in_process.end(*life),
        }
    }

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
            Self::InProcess(in_process, _) => {
                let snapshot = in_process.snapshot();
                Ok(snapshot.map(|snapshot| snapshot.evaluate_all(context)))
            }
        }
    }
}
