//! A third-party hook that fails.

use async_trait::async_trait;
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode, Hook, HookContext,
    HookHints, Value as SdkValue,
};

/// Fails at one stage.
pub(crate) struct Failing(pub(crate) &'static str);

impl Failing {
    fn at(&self, stage: &str) -> Result<(), EvaluationError> {
        if self.0 != stage {
            return Ok(());
        }
        Err(EvaluationError {
            code: EvaluationErrorCode::General("HOOK".to_owned()),
            message: Some("another hook failed".to_owned()),
        })
    }
}

#[async_trait]
impl Hook for Failing {
    async fn before<'a>(
        &self,
        _context: &HookContext<'a>,
        _hints: Option<&'a HookHints>,
    ) -> Result<Option<EvaluationContext>, EvaluationError> {
        self.at("before").map(|()| None)
    }

    async fn after<'a>(
        &self,
        _context: &HookContext<'a>,
        _details: &EvaluationDetails<SdkValue>,
        _hints: Option<&'a HookHints>,
    ) -> Result<(), EvaluationError> {
        self.at("after")
    }

    async fn error<'a>(
        &self,
        _context: &HookContext<'a>,
        _error: &EvaluationError,
        _hints: Option<&'a HookHints>,
    ) {
    }

    async fn finally<'a>(
        &self,
        _context: &HookContext<'a>,
        _details: &EvaluationDetails<SdkValue>,
        _hints: Option<&'a HookHints>,
    ) {
    }
}
