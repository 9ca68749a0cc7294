//! A data collector whose calls are counted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use goff_core::{ContextView, EventBatch, RelayClient, RelayError, Resolution};

use crate::status::request_counters::RequestCounters;
use crate::status::requests::{Operation, RequestResult};

/// Hands deliveries of usage data on, and counts them when they end.
pub(crate) struct MeasuredCollector {
    pub(crate) client: Arc<dyn RelayClient>,
    pub(crate) requests: Arc<RequestCounters>,
}

#[async_trait]
impl RelayClient for MeasuredCollector {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        self.client.evaluate(flag_key, context).await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        let running = self.requests.begin(Operation::Collect);
        let collected = self.client.collect(batch).await;
        running.ended(&collected, |()| RequestResult::Answered);
        collected
    }
}

impl fmt::Debug for MeasuredCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}
