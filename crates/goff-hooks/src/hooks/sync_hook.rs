//! Hooks whose stages never wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use open_feature::{EvaluationContext, EvaluationDetails, EvaluationError, HookContext, Value};

/// The stages of a hook without futures. A stage that is not implemented does nothing.
pub(super) trait SyncHook {
    /// Returns the whole context for the evaluation and later hooks, if it changes.
    fn before(&self, _context: &HookContext<'_>) -> Option<EvaluationContext> {
        None
    }

    fn after(&self, _context: &HookContext<'_>, _details: &EvaluationDetails<Value>) {}

    fn error(&self, _context: &HookContext<'_>, _error: &EvaluationError) {}

    fn finally(&self, _context: &HookContext<'_>, _details: &EvaluationDetails<Value>) {}
}

/// The future of a stage.
pub(super) type Stage<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stage that is complete. If `result` captures nothing, the box allocates nothing.
pub(super) fn complete<'a, T>(result: impl Fn() -> T + Send + 'a) -> Stage<'a, T> {
    Box::pin(poll_fn(move |_| Poll::Ready(result())))
}

/// Implements the SDK's `Hook` for a type that implements [`SyncHook`]. It is a macro because the
/// language allows no blanket implementation of another crate's trait.
///
/// The signatures are those that `async_trait` generates. Its futures would be allocated in each of
/// the eight stages of an evaluation (bench row "in-process, through the SDK").
macro_rules! implement_hook {
    ($hook:ty) => {
        impl open_feature::Hook for $hook {
            fn before<'a, 'hook, 'context, 'stage>(
                &'hook self,
                context: &'context HookContext<'a>,
                _: Option<&'a open_feature::HookHints>,
            ) -> Stage<'stage, Result<Option<EvaluationContext>, EvaluationError>>
            where
                'a: 'stage,
                'hook: 'stage,
                'context: 'stage,
            {
                match SyncHook::before(self, context) {
                    Some(context) => Box::pin(std::future::ready(Ok(Some(context)))),
                    None => complete(|| Ok(None)),
                }
            }

            fn after<'a, 'hook, 'context, 'details, 'stage>(
                &'hook self,
                context: &'context HookContext<'a>,
                details: &'details EvaluationDetails<Value>,
                _: Option<&'a open_feature::HookHints>,
            ) -> Stage<'stage, Result<(), EvaluationError>>
            where
                'a: 'stage,
                'hook: 'stage,
                'context: 'stage,
                'details: 'stage,
            {
                SyncHook::after(self, context, details);
                complete(|| Ok(()))
            }

            fn error<'a, 'hook, 'context, 'error, 'stage>(
                &'hook self,
                context: &'context HookContext<'a>,
                error: &'error EvaluationError,
                _: Option<&'a open_feature::HookHints>,
            ) -> Stage<'stage, ()>
            where
                'a: 'stage,
                'hook: 'stage,
                'context: 'stage,
                'error: 'stage,
            {
                SyncHook::error(self, context, error);
                complete(|| ())
            }

            fn finally<'a, 'hook, 'context, 'details, 'stage>(
                &'hook self,
                context: &'context HookContext<'a>,
                details: &'details EvaluationDetails<Value>,
                _: Option<&'a open_feature::HookHints>,
            ) -> Stage<'stage, ()>
            where
                'a: 'stage,
                'hook: 'stage,
                'context: 'stage,
                'details: 'stage,
            {
                SyncHook::finally(self, context, details);
                complete(|| ())
            }
        }
    };
}

pub(super) use implement_hook;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn complete_stage_gives_its_result_without_allocating() {
        let stage: Stage<'_, Result<u8, ()>> = complete(|| Ok(7));
        assert_eq!(size_of_val(&*stage), 0);
        assert_eq!(stage.await, Ok(7));
    }
}
