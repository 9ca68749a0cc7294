//! A tokio runtime on a thread that runs nothing else.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::task::io_runtime::{IoRuntime, NoRuntimeError};

/// A tokio runtime on a thread that runs nothing else. Dropping it ends the runtime and the thread,
/// without waiting: the thread drops the runtime, because tokio panics where that happens inside
/// another runtime.
pub struct OwnRuntime {
    io: IoRuntime,
    thread: JoinHandle<()>,
    /// Its drop is the signal to end.
    _end: oneshot::Sender<()>,
}

impl OwnRuntime {
    /// Starts the thread, and waits until the runtime runs.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors for the runtime.
    pub fn start() -> Result<Self, NoRuntimeError> {
        Self::begin().map_err(|error| NoRuntimeError::NotStarted(error.kind()))
    }

    fn begin() -> io::Result<Self> {
        let (built, building) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
        let thread = thread.spawn(move || {
            let mut runtime = Builder::new_current_thread();
            let runtime = match runtime.enable_all().thread_name(THREAD_NAME).build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = built.send(Err(error));
                    return;
                }
            };
            let _ = built.send(Ok(runtime.handle().clone()));
            let _ = runtime.block_on(ended);
            // Blocking work, such as a DNS lookup, cannot be interrupted.
            runtime.shutdown_background();
        })?;
        let handle = building
            .recv()
            .map_err(|_| io::Error::from(io::ErrorKind::Other))??;
        Ok(Self {
            io: IoRuntime::own(handle),
            thread,
            _end: end,
        })
    }

    /// Where the I/O runs.
    #[must_use]
    pub fn io(&self) -> &IoRuntime {
        &self.io
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

impl fmt::Debug for OwnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnRuntime").field(&self.io).finish()
    }
}

/// Also the name of the threads for blocking work. Linux keeps 15 bytes.
const THREAD_NAME: &str = "goff-io";

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn until(is_so: impl Fn() -> bool) {
        let give_up = Instant::now() + LIMIT;
        while !is_so() {
            assert!(Instant::now() < give_up);
            thread::yield_now();
        }
    }

    async fn thread_of(own: &OwnRuntime) -> Option<String> {
        let name = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            thread::current().name().map(str::to_owned)
        };
        own.io().run_spawned(LIMIT, name).await.unwrap()
    }

    /// Every request runs there, those of callers inside another runtime too.
    #[test]
    fn requests_run_on_its_thread() {
        let own = OwnRuntime::start().unwrap();
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        for name in [
            pollster::block_on(thread_of(&own)),
            runtime.block_on(thread_of(&own)),
        ] {
            assert_eq!(name.as_deref(), Some(THREAD_NAME));
        }
        let _entered = runtime.enter();
        assert!(own.io().of_caller().is_none());
    }

    /// tokio panics where a runtime is dropped inside another one.
    #[tokio::test]
    async fn dropping_it_inside_a_runtime_ends_its_thread_and_tasks() {
        let own = OwnRuntime::start().unwrap();
        let task = own.io().spawn(std::future::pending::<()>());
        let io = own.io().clone();
        drop(own);
        assert!(task.await.unwrap_err().is_cancelled());
        let answer = io.run_spawned(LIMIT, async {}).await.unwrap_err();
        assert_eq!(answer.error, NoRuntimeError::Ended);
    }

    #[test]
    fn thread_ends_though_blocking_work_does_not() {
        let mut own = OwnRuntime::start().unwrap();
        let (_open, blocked) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        own.io().spawn(async move {
            tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                let _ = blocked.recv();
            });
        });
        has_begun.recv_timeout(LIMIT).unwrap();
        drop(std::mem::replace(&mut own._end, oneshot::channel().0));
        until(|| own.has_ended());
    }

    #[test]
    fn blocked_thread_is_an_error_after_the_limit() {
        let own = OwnRuntime::start().unwrap();
        let (_open, blocked) = mpsc::channel::<()>();
        own.io().spawn(async move {
            let _ = blocked.recv();
        });
        let limit = Duration::from_millis(20);
        let answer = pollster::block_on(own.io().run_spawned(limit, async {}));
        assert_eq!(answer.unwrap_err().error, NoRuntimeError::Blocked);
    }
}
