//! The one rule about where the I/O of a client runs.

use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::{EnterGuard, Handle};
use tokio::task::{JoinHandle, JoinSet};

use crate::task::timeout::{timeout, timers_work};
use crate::task::trace_context::in_current_context;

/// Where the I/O of a session runs: the only place that decides it.
///
/// * What a session starts (publisher, listener, poller) runs on its runtime.
/// * A request runs on the runtime of its caller. A connection is driven by the runtime that opened
///   it, so no caller waits for another runtime, which may be busy or idle.
/// * A request of a caller outside tokio, or on a runtime that has no timers or has ended, is
///   spawned on the session's runtime.
/// * With an [`OwnRuntime`](super::OwnRuntime) the session's runtime is that one, and every request
///   is spawned there.
#[derive(Clone)]
pub struct IoRuntime {
    handle: Handle,
    /// The process in which the thread of an own runtime runs; `None` for a runtime of the
    /// application.
    own: Option<u32>,
}

/// Why a request was not answered on the runtime of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnswered {
    /// What is wrong with the runtime.
    pub error: NoRuntimeError,
    /// Whether the request was begun; if not, nothing was sent.
    pub is_begun: bool,
}

/// There is no tokio runtime that could run a task or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRuntimeError {
    /// The call came from outside a tokio runtime.
    #[error("not inside a tokio runtime; call this from an async task or enter a runtime first")]
    Outside,
    /// The runtime has no timers.
    #[error("the tokio runtime has no timers; build it with `enable_all`")]
    NoTimers,
    /// The runtime has no I/O.
    #[error("the tokio runtime has no I/O; build it with `enable_all`")]
    NoIo,
    /// The runtime on which the client was started has ended.
    #[error("the tokio runtime on which the client was started has ended; call `initialize` again")]
    Ended,
    /// The runtime on which the client was started runs nothing at present.
    #[error(
        "the tokio runtime on which the client was started runs nothing at present; \
         call from inside it, or start the client on a multi-thread runtime"
    )]
    NotDriven,
    /// The thread of the client (option `own_runtime`) could not be started.
    #[error(
        "the thread for the client's I/O cannot be started ({0}); check the limits on threads and open files"
    )]
    NotStarted(ErrorKind),
    /// The thread of the client (option `own_runtime`) does not get to its tasks.
    #[error(
        "the thread for the client's I/O does not answer; a custom transport or a log subscriber \
         may block it, or the process was suspended"
    )]
    Blocked,
    /// The process was forked after the client was started.
    #[error(
        "this process was forked after the client was started, and has no thread for its I/O; \
         make a client in each process"
    )]
    Forked,
}

impl IoRuntime {
    /// The current runtime, for a session that starts now.
    ///
    /// # Errors
    /// Called outside tokio, or on a runtime without timers.
    pub fn current() -> Result<Self, NoRuntimeError> {
        let runtime = Handle::try_current().map_err(|_| NoRuntimeError::Outside)?;
        if !timers_work() {
            return Err(NoRuntimeError::NoTimers);
        }
        Ok(Self {
            handle: runtime,
            own: None,
        })
    }

    /// The runtime of a thread that this process has started for the client.
    pub(super) fn own(handle: Handle) -> Self {
        Self {
            handle,
            own: Some(process::id()),
        }
    }

    /// Makes it the current runtime of this thread, until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Whether this is a forked process, without the thread of the own runtime.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.own.is_some_and(|process| process != process::id())
    }

    /// Starts a task of the session.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(task)
    }

    /// The caller's runtime, if a request of the caller runs there; else it is to be
    /// [spawned](Self::run_spawned) on the session's.
    #[must_use]
    pub fn of_caller(&self) -> Option<Handle> {
        if self.own.is_some() {
            return None;
        }
        // The timers of the session's runtime worked when it began.
        let is_usable = |current: &Handle| current.id() == self.handle.id() || timers_work();
        Handle::try_current().ok().filter(is_usable)
    }

    /// The runtime on which a request of the caller runs.
    #[must_use]
    pub fn of_request(&self) -> Handle {
        self.of_caller().unwrap_or_else(|| self.handle.clone())
    }

    /// Runs a request on the session's runtime, and waits at most `limit` for it: that runtime may
    /// have ended, or be one that runs only while something blocks on it. Dropping the returned
    /// future ends the request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn run_spawned<T: Send + 'static>(
        &self,
        limit: Duration,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, NotAnswered> {
        if self.is_forked() {
            return Err(NotAnswered {
                error: NoRuntimeError::Forked,
                is_begun: false,
            });
        }
        let (limit, not_in_time) = match self.own {
            None => (limit, NoRuntimeError::NotDriven),
            // After the limit of the request, whose error says more.
            Some(_) => (limit.saturating_add(GRACE), NoRuntimeError::Blocked),
        };
        let begun = Arc::new(AtomicBool::new(false));
        let request = in_current_context(request);
        let mut tasks = JoinSet::new();
        tasks.spawn_on(
            {
                let begun = Arc::clone(&begun);
                async move {
                    begun.store(true, Ordering::Release);
                    request.await
                }
            },
            &self.handle,
        );
        let not_answered = |error| NotAnswered {
            error,
            is_begun: begun.load(Ordering::Acquire),
        };
        match timeout(limit, tasks.join_next()).await {
            Some(Some(Ok(answer))) => Ok(answer),
            Some(Some(Err(error))) if error.is_panic() => resume_unwind(error.into_panic()),
            Some(_) => Err(not_answered(NoRuntimeError::Ended)),
            None => {
                tasks.abort_all();
                Err(not_answered(not_in_time))
            }
        }
    }
}

impl fmt::Debug for IoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IoRuntime").field(&self.handle.id()).finish()
    }
}

/// Extra time for the limit of a request on an own runtime to pass first.
const GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn current_thread() -> Runtime {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn multi_thread() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_time().build().unwrap()
    }

    fn not_answered<T>(error: NoRuntimeError, is_begun: bool) -> Result<T, NotAnswered> {
        Err(NotAnswered { error, is_begun })
    }

    fn session_on(runtime: &Runtime) -> IoRuntime {
        let _entered = runtime.enter();
        IoRuntime::current().unwrap()
    }

    #[test]
    fn session_needs_a_runtime_with_timers() {
        assert_eq!(IoRuntime::current().unwrap_err(), NoRuntimeError::Outside);
        let runtime = Builder::new_current_thread().build().unwrap();
        let _entered = runtime.enter();
        assert_eq!(IoRuntime::current().unwrap_err(), NoRuntimeError::NoTimers);
    }

    #[test]
    fn request_runs_on_the_runtime_of_its_caller() {
        let (home, other) = (multi_thread(), current_thread());
        let session = session_on(&home);
        assert!(session.of_caller().is_none());
        assert_eq!(session.of_request().id(), home.handle().id());
        for runtime in [&home, &other] {
            let _entered = runtime.enter();
            assert_eq!(session.of_request().id(), runtime.handle().id());
        }
        let without_timers = Builder::new_current_thread().build().unwrap();
        let ended = current_thread().handle().clone();
        for unusable in [without_timers.handle(), &ended] {
            let _entered = unusable.enter();
            assert_eq!(session.of_request().id(), home.handle().id());
        }
    }

    #[test]
    fn request_outside_tokio_runs_on_the_runtime_of_the_session() {
        let home = multi_thread();
        let session = session_on(&home);
        let id = pollster::block_on(session.run_spawned(LIMIT, async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Handle::current().id()
        }));
        assert_eq!(id, Ok(home.handle().id()));
    }

    /// Its thread is missing in a process that was forked.
    #[test]
    fn own_runtime_of_another_process_is_an_error_at_once() {
        let home = multi_thread();
        let _entered = home.enter();
        let own = IoRuntime::own(home.handle().clone());
        assert!(!own.is_forked());
        let other = IoRuntime {
            own: Some(process::id().wrapping_add(1)),
            ..own
        };
        assert!(other.is_forked());
        let answer = pollster::block_on(other.run_spawned(LIMIT, std::future::pending::<()>()));
        assert_eq!(answer, not_answered(NoRuntimeError::Forked, false));
    }

    #[test]
    fn dropping_the_call_ends_the_request() {
        let home = multi_thread();
        let session = session_on(&home);
        let limit = Duration::from_millis(20);
        let request = session.run_spawned(LIMIT, std::future::pending::<()>());
        assert_eq!(pollster::block_on(timeout(limit, request)), None);
        let give_up = std::time::Instant::now() + LIMIT;
        while home.metrics().num_alive_tasks() > 0 {
            assert!(std::time::Instant::now() < give_up);
            thread::yield_now();
        }
    }

    #[test]
    fn runtime_that_ended_or_is_not_driven_is_no_hang() {
        let session = session_on(&current_thread());
        let answer = pollster::block_on(session.run_spawned(LIMIT, async {}));
        assert_eq!(answer, not_answered(NoRuntimeError::Ended, false));

        let idle = current_thread();
        let session = session_on(&idle);
        let limit = Duration::from_millis(20);
        let answer = pollster::block_on(session.run_spawned(limit, async {}));
        assert_eq!(answer, not_answered(NoRuntimeError::NotDriven, false));

        let busy = multi_thread();
        let session = session_on(&busy);
        let never = std::future::pending::<()>();
        let answer = pollster::block_on(session.run_spawned(limit, never));
        assert_eq!(answer, not_answered(NoRuntimeError::NotDriven, true));
    }
}
