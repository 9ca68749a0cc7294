//! An application's hook that keeps what the SDK gives it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, Hook, HookContext, HookHints, Value,
};

use crate::surfaces::{Seen, seen_by_hook};

/// Keeps the stages that ran, in order, each with the flag and what it got.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Vec<Stage>>>);

/// Its name, the flag, and what it got.
pub(crate) type Stage = (&'static str, String, Seen);

impl Recording {
    /// What has run so far.
    pub(crate) fn seen(&self) -> Vec<Stage> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, stage: &'static str, flag: &str, seen: Seen) {
        self.0.lock().unwrap().push((stage, flag.to_owned(), seen));
    }
}

#[async_trait]
impl Hook for Recording {
    async fn before<'a>(
        &self,
        context: &HookContext<'a>,
        _: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        self.add("before", context.flag_key, Seen::default());
        Ok(None)
    }

    async fn after<'a>(
        &self,
        _: &HookContext<'a>,
        details: &EvaluationDetails<Value>,
        _: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        self.add("after", &details.flag_key, seen_by_hook(Ok(details)));
        Ok(())
    }

    async fn error<'a>(
        &self,
        context: &HookContext<'a>,
        error: &EvaluationError,
        _: Option<&'a HookHints>,
    ) {
        self.add("error", context.flag_key, seen_by_hook(Err(error)));
    }

    async fn finally<'a>(
        &self,
        _: &HookContext<'a>,
        details: &EvaluationDetails<Value>,
        _: Option<&'a HookHints>,
    ) {
        self.add("finally", &details.flag_key, seen_by_hook(Ok(details)));
    }
}
