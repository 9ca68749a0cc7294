//! Counters of a client.

use goff_core::StreamState;
use goff_hooks::UsageStats;
use serde::{Serialize, Serializer};

/// Counters since the client was made. They only grow, also when the client is started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Evaluations answered from the cache.
    pub hits: u64,
    /// Evaluations answered by the relay proxy.
    pub misses: u64,
    /// Evaluations answered by the request of another caller.
    pub shared: u64,
    /// Cached answers that were dropped for size or age.
    pub evictions: u64,
    /// The usage data.
    pub usage: UsageStats,
    /// Whether the change stream is open; `Down` without a change stream.
    #[serde(serialize_with = "as_text")]
    pub stream: StreamState,
    /// Flag configurations that were loaded (in-process evaluation).
    pub refreshes: u64,
    /// Failed attempts to load a flag configuration (in-process evaluation).
    pub failed_refreshes: u64,
    /// Evaluations that fell back to the relay proxy (in-process evaluation).
    pub fallbacks: u64,
    /// Tracking events that were not recorded because no relay proxy is configured.
    pub not_collected: u64,
    /// How often the change stream was opened again.
    pub reconnects: u64,
}

fn as_text<S: Serializer>(state: &StreamState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{state:?}"))
}
