//! Hooks whose stages never wait.

use open_feature::{EvaluationContext, EvaluationDetails, EvaluationError, HookContext, Value};

/// The stages of a hook without futures. A stage that is not implemented does nothing.
pub(super) trait SyncHook {
    /// Returns the whole context for the evaluation and later hooks, if it changes.
    fn before(&self, _context: &HookContext<'_>) -> Option<EvaluationContext> {
        None
    }

    fn after(&self, _context: &HookContext<'_>, _details: &EvaluationDetails<Value>) {}

    fn error(&self, _context: &HookContext<'_>, _error: &EvaluationError) {}
}

/// Implements the SDK's `Hook` for a type that implements [`SyncHook`]. It is a macro because the
/// language allows no blanket implementation of another crate's trait.
macro_rules! implement_hook {
    ($hook:ty) => {
        #[async_trait::async_trait]
        impl open_feature::Hook for $hook {
            async fn before<'a>(
                &self,
                context: &HookContext<'a>,
                _: Option<&'a open_feature::HookHints>,
            ) -> Result<Option<EvaluationContext>, EvaluationError> {
                Ok(SyncHook::before(self, context))
            }

            async fn after<'a>(
                &self,
                context: &HookContext<'a>,
                details: &EvaluationDetails<Value>,
                _: Option<&'a open_feature::HookHints>,
            ) -> Result<(), EvaluationError> {
                SyncHook::after(self, context, details);
                Ok(())
            }

            async fn error<'a>(
                &self,
                context: &HookContext<'a>,
                error: &EvaluationError,
                _: Option<&'a open_feature::HookHints>,
            ) {
                SyncHook::error(self, context, error);
            }

            async fn finally<'a>(
                &self,
                _: &HookContext<'a>,
                _: &EvaluationDetails<Value>,
                _: Option<&'a open_feature::HookHints>,
            ) {
            }
        }
    };
}

pub(super) use implement_hook;
