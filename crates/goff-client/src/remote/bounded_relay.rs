//! A relay client whose calls are bounded in time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::timeout;
use goff_core::{RelayClient, RelayError};

/// A relay client and the timeout of its calls. A [`RelayClient`] is expected to keep to the
/// timeout; this also bounds one that does not.
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

    /// Waits for a call of the client, not much longer than the timeout.
    pub(crate) async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, RelayError>>,
    ) -> Result<T, RelayError> {
        timeout(self.limit(), call)
            .await
            .unwrap_or(Err(RelayError::Timeout {
                timeout: self.timeout,
                sent: true,
                server: None,
            }))
    }
}

/// Extra time for the relay client's own timeout to fire first: its error is more precise.
const GRACE: Duration = Duration::from_millis(100);
