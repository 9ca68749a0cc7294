//! A relay client whose calls are counted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use goff_core::{
    BulkEvaluation, ConfigurationUpdate, ContextView, Etag, EventBatch, RelayClient, RelayError,
    Resolution,
};

use crate::status::requests::{Operation, RequestCounters, RequestResult};

/// Hands every call on, and counts it when it ends.
pub(crate) struct MeasuredRelay {
    pub(crate) client: Arc<dyn RelayClient>,
    pub(crate) requests: Arc<RequestCounters>,
}

#[async_trait]
impl RelayClient for MeasuredRelay {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let call = self.client.evaluate(flag_key, context);
        self.requests
            .measured(Operation::Evaluate, call, |_| RequestResult::Answered)
            .await
    }

    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        let call = self.client.evaluate_all(context);
        self.requests
            .measured(Operation::EvaluateAll, call, |_| RequestResult::Answered)
            .await
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let call = self.client.flag_configuration(flags, held);
        let result = |update: &ConfigurationUpdate| match update {
            ConfigurationUpdate::NotModified => RequestResult::NotModified,
            ConfigurationUpdate::Loaded(_) => RequestResult::Answered,
        };
        self.requests
            .measured(Operation::FlagConfiguration, call, result)
            .await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        let call = self.client.collect(batch);
        self.requests
            .measured(Operation::Collect, call, |()| RequestResult::Answered)
            .await
    }
}

impl fmt::Debug for MeasuredRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}
