//! Background tasks, where they and requests run, and the pauses between attempts.

mod background;
mod backoff;
mod contained;
mod io_runtime;
mod own_runtime;
mod spread;
mod timeout;
mod trace_context;

pub use background::{BackgroundTask, StopSignal, Stopped};
pub use backoff::Backoff;
pub use contained::{Panicked, contained, logged};
pub use io_runtime::{IoRuntime, NoRuntimeError, NotAnswered};
pub use own_runtime::OwnRuntime;
pub use spread::{first_interval, jittered, random_u64, shortened, spread};
pub use timeout::{A_YEAR, end_after, timeout, timeout_at};
pub use trace_context::{for_each_trace_header, in_current_context};
