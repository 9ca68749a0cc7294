//! Whether a request for the configuration names the ETag that the caller holds.

use std::sync::atomic::{AtomicU8, Ordering};

use goff_core::RelayError;

/// Leaves the ETag out of one request after requests with it have failed: a gateway may refuse the
/// tag itself, and would then refuse every later request too.
#[derive(Debug, Default)]
pub(crate) struct ConditionalRequests {
    failures: AtomicU8,
}

impl ConditionalRequests {
    /// Whether the next request may name an ETag.
    pub(crate) fn are_allowed(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < MOST_FAILURES
    }

    /// Notes how a request ended that named an ETag, or did not.
    pub(crate) fn note(&self, named_etag: bool, error: Option<&RelayError>) {
        let failures = match error {
            // Nothing was sent.
            Some(
                RelayError::RateLimited { .. }
                | RelayError::CircuitOpen { .. }
                | RelayError::Headers { .. }
                | RelayError::NotConnected(_)
                | RelayError::Timeout { sent: false, .. },
            ) => return,
            Some(error) if named_etag => {
                let is_refused = error.status().is_some_and(|s| (400..500).contains(&s));
                let before = self.failures.load(Ordering::Relaxed);
                if is_refused {
                    MOST_FAILURES
                } else {
                    before.saturating_add(1)
                }
            }
            _ => 0,
        };
        self.failures.store(failures, Ordering::Relaxed);
    }
}

/// A refusal with a 4xx counts as many.
const MOST_FAILURES: u8 = 3;
