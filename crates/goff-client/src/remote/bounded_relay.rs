//! A relay client whose calls are bounded in time, and whose panics are errors.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{contained, timeout};
use goff_core::{RelayClient, RelayError};

/// A relay client and the timeout of its calls. A [`RelayClient`] is expected to keep to the
/// timeout; this also bounds one that does not, and contains one that panics.
#[derive(Debug, Clone)]
pub(crate) struct BoundedRelay {
    pub(crate) client: Arc<dyn RelayClient>,
    pub(crate) timeout: Duration,
}

impl BoundedRelay {
    /// The longest that a call takes.
    pub(crate) fn limit(&self) -> Duration {
        self.timeout.saturating_add(GRACE)
    }

    /// Calls the client, and waits not much longer than the timeout.
    pub(crate) async fn bounded<'a, T, F>(
        &'a self,
        call: impl FnOnce(&'a dyn RelayClient) -> F,
    ) -> Result<T, RelayError>
    where
        F: Future<Output = Result<T, RelayError>>,
    {
        let call = contained("the relay client", async { call(&*self.client).await });
        match timeout(self.limit(), call).await {
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
