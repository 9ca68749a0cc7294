//! [`RuntimePools`]: a pool of connections for each tokio runtime.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use goff_core::__internal::IoRuntime;
use goff_core::{Connect, NoRuntimeError};
use tokio::runtime::Handle;

use crate::pool::{Counters, Pool, PoolSettings};

/// A connection makes progress only while its runtime runs. Each runtime that sends requests
/// therefore has a pool, so that no request waits for another runtime.
///
/// A pool ends with its runtime. Of more than [`MAX_POOLS`] the one that was used longest ago is
/// given up; requests in flight keep it until they end.
#[derive(Default)]
pub(crate) struct RuntimePools {
    /// The most recently used one last.
    pools: Mutex<Vec<Arc<Pool>>>,
    counters: Arc<Counters>,
}

impl RuntimePools {
    /// The pool of the runtime on which this is called.
    ///
    /// # Errors
    /// Called outside a tokio runtime, or on one without timers.
    pub(crate) fn current(
        self: &Arc<Self>,
        connect: &Arc<dyn Connect>,
        settings: &PoolSettings,
    ) -> Result<Arc<Pool>, NoRuntimeError> {
        let runtime = Handle::try_current().map_err(|_| NoRuntimeError::Outside)?;
        if let Some(pool) = find(&mut self.lock(), &runtime) {
            return Ok(pool);
        }
        IoRuntime::current()?;
        let (connect, counters) = (Arc::clone(connect), Arc::clone(&self.counters));
        let pool = Arc::new(Pool::new(runtime, connect, settings.clone(), counters));
        let surplus = {
            let mut pools = self.lock();
            if let Some(other) = find(&mut pools, pool.runtime()) {
                return Ok(other);
            }
            pools.push(Arc::clone(&pool));
            (pools.len() > MAX_POOLS).then(|| pools.remove(0))
        };
        drop(surplus);
        pool.start_closing_idle(RuntimeGuard {
            pools: Arc::downgrade(self),
            pool: Arc::downgrade(&pool),
        });
        Ok(pool)
    }

    /// Gives up all pools. Requests in flight keep theirs until they end.
    pub(crate) fn clear(&self) {
        let pools = std::mem::take(&mut *self.lock());
        // After the lock: the drop of a pool locks other things.
        drop(pools);
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the pool of a runtime, and marks it as the last one used.
fn find(pools: &mut [Arc<Pool>], runtime: &Handle) -> Option<Arc<Pool>> {
    let id = runtime.id();
    let position = pools.iter().position(|pool| pool.runtime().id() == id)?;
    let used = pools.get_mut(position..)?;
    used.rotate_left(1);
    used.last().map(Arc::clone)
}

/// Dropped with the runtime of a pool, with which it gives up the pool.
struct RuntimeGuard {
    pools: Weak<RuntimePools>,
    pool: Weak<Pool>,
}

impl Drop for RuntimeGuard {
    fn drop(&mut self) {
        let Some(pools) = self.pools.upgrade() else {
            return;
        };
        let mut removed = pools.lock();
        let position = removed
            .iter()
            .position(|pool| std::ptr::eq(Arc::as_ptr(pool), self.pool.as_ptr()));
        let gone = position.map(|position| removed.remove(position));
        // The drop of a pool locks other things.
        drop(removed);
        drop(gone);
    }
}

/// More runtimes than an application has that keeps its runtimes.
const MAX_POOLS: usize = 16;
