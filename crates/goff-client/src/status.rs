//! How a client is doing.

use std::sync::atomic::{AtomicU8, Ordering};

/// The state of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Not initialised; evaluations are refused with `PROVIDER_NOT_READY`.
    NotReady,
    /// Evaluations are answered.
    Ready,
}

/// A [`Status`] that evaluations read without waiting.
#[derive(Debug, Default)]
pub(crate) struct StatusCell(AtomicU8);

const NOT_READY: u8 = 0;
const READY: u8 = 1;

impl StatusCell {
    pub(crate) fn get(&self) -> Status {
        match self.0.load(Ordering::Acquire) {
            READY => Status::Ready,
            _ => Status::NotReady,
        }
    }

    pub(crate) fn set(&self, status: Status) {
        let value = match status {
            Status::NotReady => NOT_READY,
            Status::Ready => READY,
        };
        self.0.store(value, Ordering::Release);
    }
}
