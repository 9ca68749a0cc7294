//! One task in the background: owned, told to stop, waited for within bounds.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A task with one owner. Dropping it aborts the task; [`stop`](Self::stop) asks it to end first.
#[derive(Debug)]
pub struct BackgroundTask {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Tells a task that it is to end. Loops wait for it beside whatever else they wait for, so that
/// stopping never takes an interval.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// By itself, within the grace.
    Finished,
    /// It was cut off when the grace was over.
    Aborted,
    /// It panicked.
    Panicked,
}

/// There is no tokio runtime to run a task on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRuntimeError;

impl BackgroundTask {
    /// Starts a task on the current runtime.
    ///
    /// # Errors
    /// When called outside a tokio runtime.
    pub fn spawn<F>(run: impl FnOnce(StopSignal) -> F) -> Result<Self, NoRuntimeError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| NoRuntimeError)?;
        let (stop, signal) = watch::channel(false);
        let task = runtime.spawn(run(StopSignal(signal)));
        Ok(Self { stop, task })
    }

    /// Asks the task to end without waiting for it.
    pub fn signal(&self) {
        self.stop.send_replace(true);
    }

    /// Asks the task to end, waits for it, and cuts it off when `grace` is over. Dropping the
    /// returned future cuts it off at once.
    pub async fn stop(mut self, grace: Duration) -> Stopped {
        self.signal();
        match tokio::time::timeout(grace, &mut self.task).await {
            Ok(Ok(())) => Stopped::Finished,
            Ok(Err(error)) if error.is_panic() => Stopped::Panicked,
            // Cancelled from outside: its runtime went away.
            Ok(Err(_)) => Stopped::Aborted,
            Err(_) => {
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
    /// Resolves when the task is to end; at once if it already is.
    pub async fn stopped(&mut self) {
        // An owner that is gone has aborted the task; to be told so twice does no harm.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the task is to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl fmt::Display for NoRuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no tokio runtime here")
    }
}

impl std::error::Error for NoRuntimeError {}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Says when the task that owns it is gone.
    struct Gone(Arc<AtomicBool>);

    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn task_that_listens_finishes_in_no_time() {
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
    async fn task_that_hangs_is_cut_off_when_the_grace_is_over() {
        let gone = Arc::new(AtomicBool::new(false));
        let guard = Gone(Arc::clone(&gone));
        let task = BackgroundTask::spawn(|_| async move {
            let _guard = guard;
            pending::<()>().await;
        })
        .unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(task.stop(Duration::from_secs(5)).await, Stopped::Aborted);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        tokio::task::yield_now().await;
        assert!(gone.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn panic_is_told() {
        let task = BackgroundTask::spawn(|_| async { panic!("on purpose") }).unwrap();
        assert_eq!(task.stop(Duration::from_secs(5)).await, Stopped::Panicked);
    }

    #[tokio::test]
    async fn dropping_the_owner_ends_the_task() {
        let gone = Arc::new(AtomicBool::new(false));
        let guard = Gone(Arc::clone(&gone));
        let task = BackgroundTask::spawn(|_| async move {
            let _guard = guard;
            pending::<()>().await;
        })
        .unwrap();
        tokio::task::yield_now().await;
        drop(task);
        while !gone.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn without_a_runtime_it_says_so() {
        assert_eq!(
            BackgroundTask::spawn(|_| async {}).unwrap_err(),
            NoRuntimeError
        );
    }

    #[test]
    fn runtime_that_goes_away_first_does_no_harm() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let task = {
            let _entered = runtime.enter();
            BackgroundTask::spawn(|_| pending()).unwrap()
        };
        drop(runtime);
        let other = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        assert_eq!(
            other.block_on(task.stop(Duration::from_secs(5))),
            Stopped::Aborted
        );
    }
}
