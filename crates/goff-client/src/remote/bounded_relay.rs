//! A relay client whose calls are bounded in time and counted, and whose panics are errors.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{contained, timeout};
use goff_core::{ConfigurationUpdate, Etag, RelayClient, RelayError};

use crate::status::request_counters::RequestCounters;
use crate::status::requests::{Operation, RequestResult};

/// A relay client and the timeout of its calls. A [`RelayClient`] is expected to keep to the
/// timeout; this also bounds one that does not, and contains one that panics.
#[derive(Debug, Clone)]
pub(crate) struct BoundedRelay {
    pub(crate) client: Arc<dyn RelayClient>,
    pub(crate) timeout: Duration,
    /// Whether the client is ours, which ends in time: a second timer would be a cost of each request.
    pub(crate) keeps_timeout: bool,
    pub(crate) requests: Arc<RequestCounters>,
}

impl BoundedRelay {
    /// The longest that a call takes.
    pub(crate) fn limit(&self) -> Duration {
        self.timeout.saturating_add(GRACE)
    }

    /// Calls the client, and waits not much longer than the timeout.
    pub(crate) async fn bounded<'a, T, F>(
        &'a self,
        operation: Operation,
        call: impl FnOnce(&'a dyn RelayClient) -> F,
    ) -> Result<T, RelayError>
    where
        F: Future<Output = Result<T, RelayError>>,
    {
        let running = self.requests.begin(operation);
        let answer = self.contained(call).await;
        running.ended(&answer, |_| RequestResult::Answered);
        answer
    }

    /// As [`bounded`](Self::bounded), for the flag configuration.
    pub(crate) async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let running = self.requests.begin(Operation::FlagConfiguration);
        let update = self.contained(|client| client.flag_configuration(flags, held));
        let update = update.await;
        running.ended(&update, |update| match update {
            ConfigurationUpdate::NotModified => RequestResult::NotModified,
            ConfigurationUpdate::Loaded(_) => RequestResult::Answered,
        });
        update
    }

    /// As [`bounded`](Self::bounded), but not counted.
    pub(crate) async fn contained<'a, T, F>(
        &'a self,
        call: impl FnOnce(&'a dyn RelayClient) -> F,
    ) -> Result<T, RelayError>
    where
        F: Future<Output = Result<T, RelayError>>,
    {
        let call = pin!(async { call(&*self.client).await });
        let call = contained("the relay client", call);
        let answer = match self.keeps_timeout {
            true => Some(call.await),
            // Boxed, so that the future of other requests is small.
            false => Box::pin(timeout(self.limit(), call)).await,
        };
        match answer {
            Some(Ok(result)) => result,
            Some(Err(panicked)) => Err(RelayError::Interrupted(Arc::new(panicked))),
            None => Err(RelayError::Timeout {
                timeout: self.timeout,
                sent: true,
                server: None,
            }),
        }
    }
}

/// Extra time for the relay client's own timeout to fire first: its error is more precise.
const GRACE: Duration = Duration::from_millis(100);
