//! The runtime of a session, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use goff_core::__internal::{BackgroundTask, IoRuntime};
use goff_core::NoRuntimeError;

use crate::status::SessionStatus;

/// Where the I/O of a session runs. When that runtime ends, the session is over: its publisher,
/// listener and poller have ended too, and the status says so.
#[derive(Debug)]
pub(crate) struct SessionRuntime {
    io: IoRuntime,
    phase: Arc<AtomicU8>,
    /// Does nothing, and is dropped by the runtime when that ends.
    _sentinel: BackgroundTask,
}

impl SessionRuntime {
    /// The current runtime, which `io` is.
    pub(crate) fn new(io: IoRuntime, status: &SessionStatus) -> Result<Self, NoRuntimeError> {
        let phase = Arc::new(AtomicU8::new(RUNNING));
        let end = RuntimeEnd {
            status: status.clone(),
            phase: Arc::clone(&phase),
        };
        Ok(Self {
            io,
            phase,
            _sentinel: BackgroundTask::spawn(|_| async move {
                let _end = end;
                std::future::pending::<()>().await;
            })?,
        })
    }

    pub(crate) fn io(&self) -> &IoRuntime {
        &self.io
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase.load(Ordering::Acquire) == ENDED
    }
}

impl Drop for SessionRuntime {
    fn drop(&mut self) {
        leave(&self.phase, STOPPED);
    }
}

/// Dropped with the task that holds it: when the runtime ends, or after the session.
struct RuntimeEnd {
    status: SessionStatus,
    phase: Arc<AtomicU8>,
}

impl Drop for RuntimeEnd {
    fn drop(&mut self) {
        if leave(&self.phase, ENDED) {
            tracing::warn!(
                "the tokio runtime on which the client was started has ended: no flag change is \
                 noticed and no usage data is delivered until `initialize` is called again"
            );
            self.status.runtime_ended();
        }
    }
}

/// Leaves the first phase, which happens once; returns whether it was this call.
fn leave(phase: &AtomicU8, next: u8) -> bool {
    phase
        .compare_exchange(RUNNING, next, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

const RUNNING: u8 = 0;
const STOPPED: u8 = 1;
const ENDED: u8 = 2;
