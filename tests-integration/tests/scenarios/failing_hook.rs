//! An application's hook that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode, Hook, HookContext,
    HookHints,
};

/// A hook whose `after` fails, so that the SDK runs every `error`. Counts the runs of its `error`.
#[derive(Clone, Default)]
pub(crate) struct Failing(pub(crate) Arc<AtomicUsize>);

#[async_trait]
impl Hook for Failing {
    async fn before<'a>(
        &self,
        _: &HookContext<'a>,
        _: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        Ok(None)
    }

    async fn after<'a>(
        &self,
        _: &HookContext<'a>,
        _: &EvaluationDetails<open_feature::Value>,
        _: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        Err(EvaluationError {
            code: EvaluationErrorCode::General("a hook failed".to_owned()),
            message: None,
        })
    }

    async fn error<'a>(&self, _: &HookContext<'a>, _: &EvaluationError, _: Option<&'a HookHints>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    async fn finally<'a>(
        &self,
        _: &HookContext<'a>,
        _: &EvaluationDetails<open_feature::Value>,
        _: Option<&'a HookHints>,
    ) {
    }
}
