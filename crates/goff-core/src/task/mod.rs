//! Background tasks, and the pauses between their attempts.

mod background;
mod backoff;

pub use background::{BackgroundTask, NoRuntimeError, StopSignal, Stopped};
pub use backoff::{Backoff, random_u64};
