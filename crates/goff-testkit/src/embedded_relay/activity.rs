//! What an embedded relay proxy does, as it happens.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::collector::CollectedEvent;

/// Something that an [`EmbeddedRelay`](crate::EmbeddedRelay) did: see
/// [`on_activity`](crate::EmbeddedRelayBuilder::on_activity).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RelayActivity {
    /// A request was answered, or a change stream opened. A fault that gives no answer is not one.
    #[non_exhaustive]
    Request {
        /// The HTTP method.
        method: String,
        /// The path as it was sent, without the query, which can hold the key.
        path: String,
        /// The HTTP status.
        status: u16,
        /// From the head of the request to the answer.
        duration: Duration,
    },
    /// An event was collected, or recorded for an evaluation.
    Collected(CollectedEvent),
    /// Other flags are served, and announced on the change streams.
    #[non_exhaustive]
    Changed {
        /// The flags that were added, updated or removed.
        flags: Vec<String>,
    },
    /// Flags of a file that was loaded again are invalid, and not served. The same ones are reported
    /// once.
    #[non_exhaustive]
    LeftOut {
        /// One message for each invalid flag.
        problems: Vec<String>,
    },
    /// The flags could not be loaded; the earlier ones are served. The same error is reported once.
    #[non_exhaustive]
    LoadFailed {
        /// The error.
        error: String,
    },
}

impl RelayActivity {
    /// The flags that a change message names.
    pub(super) fn changed(message: &str) -> Self {
        let message: Value = serde_json::from_str(message).unwrap_or_default();
        let parts = ["added", "updated", "deleted"].into_iter();
        let names = parts.filter_map(|part| message.get(part)?.as_object());
        let flags = names.flat_map(|flags| flags.keys().cloned()).collect();
        Self::Changed { flags }
    }
}

/// The function that is called, if any.
#[derive(Default)]
pub(super) struct Observer(pub(super) Option<Box<dyn Fn(RelayActivity) + Send + Sync>>);

impl Observer {
    pub(super) fn call(&self, activity: impl FnOnce() -> RelayActivity) {
        if let Some(call) = &self.0 {
            call(activity());
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}
