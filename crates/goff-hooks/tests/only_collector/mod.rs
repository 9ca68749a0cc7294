//! A relay proxy of which nothing but the data collector is asked.

use std::fmt::Debug;
use std::ops::Deref;

use async_trait::async_trait;
use goff_core::{ContextView, EventBatch, RelayClient, RelayError, Resolution};

/// What is done with a batch.
#[async_trait]
pub(crate) trait Collect: Debug + Send + Sync {
    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError>;
}

#[derive(Debug, Default)]
pub(crate) struct OnlyCollector<T>(pub(crate) T);

impl<T> Deref for OnlyCollector<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[async_trait]
impl<T: Collect> RelayClient for OnlyCollector<T> {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        self.0.collect(batch).await
    }
}
