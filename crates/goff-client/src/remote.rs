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
        let (result, origin) = match self.relay.evaluate(flag_key, context).await {
            Ok(resolution) => (Ok(Arc::new(resolution)), Origin::Relay),
            Err(error) => {
                let origin = error.origin();
                (Err(error.into()), origin)
            }
        };
        Outcome {
            flag_key: flag_key.into(),
            result,
            origin,
        }
    }

    pub(crate) async fn resolve_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<goff_core::BulkEvaluation, RelayError> {
        self.relay.evaluate_all(context).await
    }
}
