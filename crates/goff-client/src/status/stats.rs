//! What a client has done so far.

use goff_core::StreamState;
use goff_hooks::UsageStats;

/// Counters since the client was made; they only grow, re-initialisation included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Evaluations answered from the cache.
    pub hits: u64,
    /// Evaluations for which the relay proxy was asked.
    pub misses: u64,
    /// Evaluations answered by the request of another caller.
    pub shared: u64,
    /// Answers that the cache dropped for size or age.
    pub evictions: u64,
    /// What became of every event.
    pub usage: UsageStats,
    /// Whether changes of flags arrive; `Down` where no stream is followed.
    pub stream: StreamState,
    /// Flag configurations that were loaded (in-process evaluation).
    pub refreshes: u64,
    /// Attempts to load one that failed (in-process evaluation).
    pub failed_refreshes: u64,
    /// Evaluations for which the relay proxy was asked because this process could not
    /// (in-process evaluation).
    pub fallbacks: u64,
    /// Tracking events that were not recorded for want of a relay proxy to deliver them to.
    pub not_collected: u64,
    /// How often the stream opened again after it was lost.
    pub reconnects: u64,
}
