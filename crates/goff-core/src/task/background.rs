//! A background task with one owner, stopped within a time limit.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::task::io_runtime::{IoRuntime, NoRuntimeError};
use crate::task::timeout::timeout;

/// A task with one owner. Dropping it aborts the task; [`stop`](Self::stop) lets it finish first.
#[derive(Debug)]
pub struct BackgroundTask {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Signals a task to stop. Loops `select!` on it beside every other wait, so that stopping never
/// takes an interval.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It finished within the grace period.
    Finished,
    /// It was aborted at the end of the grace period.
    Aborted,
    /// It panicked.
    Panicked,
}

impl BackgroundTask {
    /// Starts a task on the current runtime.
    ///
    /// # Errors
    /// If called outside a tokio runtime, or on one without timers, which every task needs.
    pub fn spawn<F>(run: impl FnOnce(StopSignal) -> F) -> Result<Self, NoRuntimeError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = IoRuntime::current()?;
        let (stop, signal) = watch::channel(false);
        let task = runtime.spawn(run(StopSignal(signal)));
        Ok(Self { stop, task })
    }

    /// Signals the task to stop without waiting.
    pub fn signal(&self) {
        self.stop.send_replace(true);
    }

    /// Signals the task to stop, waits for at most `grace`, then aborts it. Dropping the returned
    /// future aborts it at once.
    pub async fn stop(mut self, grace: Duration) -> Stopped {
        self.signal();
        match timeout(grace, &mut self.task).await {
            Some(Ok(())) => Stopped::Finished,
            Some(Err(error)) if error.is_panic() => Stopped::Panicked,
            // Cancelled, because its runtime was shut down.
            Some(Err(_)) => Stopped::Aborted,
            None => {
                self.task.abort();
                Stopped::Aborted
            }
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for BackgroundTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StopSignal {
    /// Resolves when the task should stop.
    pub async fn stopped(&mut self) {
        // Without a sender the owner was dropped, which aborts the task: stop as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the task should stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Sets a flag when the task that owns it is dropped.
    struct Gone(Arc<AtomicBool>);

    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// A task that never ends, and the flag that is set when it is dropped.
    fn hanging() -> (BackgroundTask, Arc<AtomicBool>) {
        let gone = Arc::new(AtomicBool::new(false));
        let guard = Gone(Arc::clone(&gone));
        let run = |_| async move {
            let _guard = guard;
            pending::<()>().await;
        };
        (BackgroundTask::spawn(run).unwrap(), gone)
    }

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn task_that_reacts_to_the_signal_finishes_at_once() {
        let task = BackgroundTask::spawn(|mut stop| async move {
            stop.stopped().await;
            assert!(stop.is_stopped());
        })
        .unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(task.stop(Duration::from_secs(60)).await, Stopped::Finished);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    /// GOFF-LIFE-005.
    #[tokio::test(start_paused = true)]
    async fn task_that_hangs_is_aborted_after_the_grace_period() {
        let (task, gone) = hanging();
        let start = tokio::time::Instant::now();
        assert_eq!(task.stop(Duration::from_secs(5)).await, Stopped::Aborted);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        tokio::task::yield_now().await;
        assert!(gone.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn panic_is_reported() {
        let task = BackgroundTask::spawn(|_| async { panic!("on purpose") }).unwrap();
        assert_eq!(task.stop(Duration::from_secs(5)).await, Stopped::Panicked);
    }

    #[tokio::test]
    async fn dropping_the_owner_aborts_the_task() {
        let (task, gone) = hanging();
        tokio::task::yield_now().await;
        drop(task);
        while !gone.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn spawning_without_a_runtime_is_an_error() {
        let error = BackgroundTask::spawn(|_| async {}).unwrap_err();
        assert_eq!(error, NoRuntimeError::Outside);
    }

    #[test]
    fn stopping_after_the_shutdown_of_the_runtime_reports_an_aborted_task() {
        let runtime = runtime();
        let task = {
            let _entered = runtime.enter();
            BackgroundTask::spawn(|_| pending()).unwrap()
        };
        drop(runtime);
        let stopped = self::runtime().block_on(task.stop(Duration::from_secs(5)));
        assert_eq!(stopped, Stopped::Aborted);
    }
}
