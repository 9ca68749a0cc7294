//! Background tasks, where they and requests run, and the pauses between attempts.

mod background;
mod backoff;
mod contained;
mod io_runtime;
mod own_runtime;
mod timeout;
mod trace_context;

pub use background::{BackgroundTask, StopSignal, Stopped};
pub use backoff::{Backoff, jittered, random_u64};
pub use contained::{Panicked, contained};
pub use io_runtime::{IoRuntime, NoRuntimeError, NotAnswered};
pub use own_runtime::OwnRuntime;
pub use timeout::timeout;
pub use trace_context::{for_each_trace_header, in_current_context};
