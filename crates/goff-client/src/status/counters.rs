//! The counters of a client across its sessions.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Counters behind [`Stats`](crate::Stats); they only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) shared: AtomicU64,
    pub(crate) evictions: Arc<AtomicU64>,
    pub(crate) refreshes: AtomicU64,
    pub(crate) failed_refreshes: AtomicU64,
    pub(crate) fallbacks: AtomicU64,
    pub(crate) failed_fallbacks: AtomicU64,
    pub(crate) not_collected: AtomicU64,
    pub(crate) reconnects: AtomicU64,
}
