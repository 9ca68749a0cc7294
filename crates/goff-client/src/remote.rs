//! Remote evaluation: every flag is asked of the relay proxy.

use std::sync::Arc;

use goff_core::{ContextView, Origin, Outcome, RelayClient, RelayError};

/// Evaluates through a [`RelayClient`].
#[derive(Debug)]
pub(crate) struct RemoteEvaluator {
    relay: Arc<dyn RelayClient>,
}

impl RemoteEvaluator {
    pub(crate) fn new(relay: Arc<dyn RelayClient>) -> Self {
        Self { relay }
    }

    pub(crate) async fn resolve(&self, flag_key: &str, context: &dyn ContextView) -> Outcome {
        match self.relay.evaluate(flag_key, context).await {
            Ok(resolution) => Outcome {
                result: Ok(Arc::new(resolution)),
                origin: Origin::Relay,
            },
            Err(error) => Outcome {
                origin: error.origin(),
                result: Err(error.into()),
            },
        }
    }

    pub(crate) async fn resolve_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<goff_core::BulkEvaluation, RelayError> {
        self.relay.evaluate_all(context).await
    }
}
