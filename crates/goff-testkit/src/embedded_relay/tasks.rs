//! The tasks of a server: its listener, its connections and its change streams.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinSet;

/// The tasks, which end when the server stops or drains.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: Mutex<JoinSet<()>>,
    is_draining: watch::Sender<bool>,
}

impl Tasks {
    /// Adds a task, which ends soon after [`draining`](Self::draining), and removes those that have
    /// ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.lock();
        while running.try_join_next().is_some() {}
        running.spawn(task);
    }

    /// Adds a task that has nothing to finish: draining ends it at once.
    pub(super) fn spawn_endless(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut is_draining = self.is_draining.subscribe();
        self.spawn(async move {
            tokio::select! {
                _ = is_draining.wait_for(|is_draining| *is_draining) => {}
                () = task => {}
            }
        });
    }

    /// Returns when the tasks are to end.
    pub(super) async fn draining(&self) {
        let mut is_draining = self.is_draining.subscribe();
        // `self` holds the sender.
        let _ = is_draining.wait_for(|is_draining| *is_draining).await;
    }

    pub(super) fn set_draining(&self, is_draining: bool) {
        self.is_draining.send_replace(is_draining);
    }

    /// Waits until all tasks have ended or `cut` returns, which ends them. Whether all have ended
    /// before.
    pub(super) async fn end(&self, cut: impl Future<Output = ()>) -> bool {
        tokio::pin!(cut);
        let mut is_cut = false;
        loop {
            // A task that ends may have added another.
            let mut running = std::mem::take(&mut *self.lock());
            if running.is_empty() {
                return !is_cut;
            }
            if !is_cut {
                tokio::select! {
                    () = async { while running.join_next().await.is_some() {} } => {}
                    () = &mut cut => is_cut = true,
                }
            }
            running.shutdown().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
