//! The relay proxy's answers for one context, from one request.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use goff_core::__internal::{CacheKey, CacheKeyRef, FlagKeyRef, flag_not_found, shown_flag_key};
use goff_core::{
    BulkEvaluation, ContextView, ErrorCode, EvaluationFailure, Origin, Reason, RelayError,
    Resolution, ResolutionError, SDK_DEFAULT_VARIANT,
};
use serde_json::Value;

use crate::client::flag_list::flag_list;
use crate::client::panicked::{BULK, caught, caught_call};
use crate::details::{BorrowedOutcome, EvaluationDetails};

/// What the relay proxy answered for every flag and one context. Neither its request nor its
/// answer is an evaluation that the relay proxy records (docs/relay-protocol.md 19), so each
/// evaluation that is read from it is recorded here.
pub(crate) struct Prefetched {
    /// Of the context, and no flag.
    key: CacheKey,
    answers: BTreeMap<String, Result<Arc<Resolution>, ResolutionError>>,
}

impl Prefetched {
    /// # Errors
    /// A context that cannot be read.
    pub(crate) fn new(
        all: BulkEvaluation,
        context: &dyn ContextView,
    ) -> Result<Self, ResolutionError> {
        let key = CacheKeyRef::new("", context).map_err(RelayError::InvalidContext)?;
        let answers = all.into_iter().map(|(flag_key, answer)| {
            let answer = answer.map(Arc::new);
            (
                flag_key,
                answer.map_err(|failure| RelayError::Evaluation(failure).into()),
            )
        });
        Ok(Self {
            key: key.to_owned_key(context),
            answers: answers.collect(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    /// The answer for a flag.
    pub(crate) fn read<'k, 'r>(
        &'r self,
        flag_key: &'k str,
        context: &dyn ContextView,
    ) -> BorrowedOutcome<'k, 'r> {
        let read = caught(flag_key, || {
            match (self.check(context), self.answers.get(flag_key)) {
                (Err(error), _) => (Err(error), Origin::NotEvaluated),
                (Ok(()), Some(Ok(resolution))) => (Ok(resolution), Origin::Cache),
                (Ok(()), Some(Err(error))) => (Err(error.clone()), Origin::Cache),
                (Ok(()), None) => (Err(not_answered(flag_key, context)), Origin::Cache),
            }
        });
        let (result, origin) = read.unwrap_or_else(|error| (Err(error), Origin::NotEvaluated));
        BorrowedOutcome {
            flag_key: FlagKeyRef::Text(flag_key),
            result: result.map_err(Box::new),
            origin,
        }
    }

    /// Every answer.
    ///
    /// # Errors
    /// Another context.
    pub(crate) fn read_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        caught_call(BULK, || self.check(context))??;
        let all = self.answers.iter().map(|(flag_key, answer)| {
            (flag_key.clone(), EvaluationDetails::of_bulk(answer.clone()))
        });
        Ok(all.collect())
    }

    /// # Errors
    /// A context other than the one that was sent, or one that cannot be read.
    fn check(&self, context: &dyn ContextView) -> Result<(), ResolutionError> {
        let key = CacheKeyRef::new("", context).map_err(RelayError::InvalidContext)?;
        if key.matches(&self.key) {
            return Ok(());
        }
        let details = "the snapshot is for another context; call `prefetch` with this one";
        Err(failure(ErrorCode::InvalidContext, details))
    }
}

/// Why there is no answer for a flag.
#[cold]
fn not_answered(flag_key: &str, context: &dyn ContextView) -> ResolutionError {
    match flag_list(context) {
        Some(listed) if !listed.contains(flag_key) => {
            let details = format!(
                "flag `{}` is not in the snapshot, because `gofeatureflag.flagList` of the context does not name it",
                shown_flag_key(flag_key)
            );
            failure(ErrorCode::General, details)
        }
        _ => failure(ErrorCode::FlagNotFound, flag_not_found(flag_key)),
    }
}

fn failure(code: ErrorCode, details: impl Into<String>) -> ResolutionError {
    static NO_RESOLUTION: LazyLock<Arc<Resolution>> = LazyLock::new(|| {
        Arc::new(Resolution::new(Value::Null, Reason::Error).with_variant(SDK_DEFAULT_VARIANT))
    });
    let failure = EvaluationFailure::new(code, details, Arc::clone(&NO_RESOLUTION));
    RelayError::Evaluation(failure).into()
}
