//! The counters of a client across its sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Counters behind [`Stats`](crate::Stats); they only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) shared: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) circuit_open: AtomicU64,
    pub(crate) evictions: Arc<AtomicU64>,
    pub(crate) refreshes: AtomicU64,
    pub(crate) failed_refreshes: AtomicU64,
    pub(crate) fallbacks: AtomicU64,
    pub(crate) failed_fallbacks: AtomicU64,
    pub(crate) not_collected: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    /// When the flags held were last confirmed, in milliseconds since 1970; 0 before.
    pub(crate) confirmed_at: AtomicU64,
}

impl Counters {
    /// The flags held are current.
    #[cfg(feature = "in-process")]
    pub(crate) fn confirmed_now(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let milliseconds = now.map_or(0, |now| now.as_millis());
        let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        self.confirmed_at.store(milliseconds, Ordering::Relaxed);
    }

    pub(crate) fn last_confirmed_at(&self) -> Option<SystemTime> {
        let milliseconds = self.confirmed_at.load(Ordering::Relaxed);
        (milliseconds > 0)
            .then(|| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)))?
    }
}
