//! [`StreamMonitor`]: state and counters of a listener.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::{Cause, StreamState};
use tokio::time::Instant;

use crate::error::StreamError;

/// State and counters of a listener.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamStats {
    /// Whether the stream is open, or was refused.
    pub state: StreamState,
    /// How often the stream opened again after it was lost.
    pub reconnects: u64,
    /// How often the next stream was opened before this one ended, so that no change was missed.
    pub hand_overs: u64,
    /// The number of messages received. A change during a hand-over may arrive twice.
    pub messages: u64,
    /// Why the last attempt failed or the last connection ended; `None` while the stream is open,
    /// and before anything failed. Neither its text nor its sources contain the key or the URL of the
    /// stream.
    pub last_error: Option<Cause>,
    /// How long ago that was.
    pub last_error_age: Option<Duration>,
}

/// Reads the [`StreamStats`] of a listener, even after the listener is gone. Clones share them.
#[derive(Debug, Clone)]
pub struct StreamMonitor(Arc<Mutex<Record>>);

#[derive(Debug)]
struct Record {
    stats: StreamStats,
    has_opened: bool,
    failed_at: Option<Instant>,
}

impl StreamMonitor {
    /// The current state and counters.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        let record = self.lock();
        StreamStats {
            last_error_age: record.failed_at.map(|at| at.elapsed()),
            ..record.stats.clone()
        }
    }

    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Record {
            stats: StreamStats {
                state: StreamState::Down,
                reconnects: 0,
                hand_overs: 0,
                messages: 0,
                last_error: None,
                last_error_age: None,
            },
            has_opened: false,
            failed_at: None,
        })))
    }

    pub(crate) fn opened(&self) {
        let mut record = self.lock();
        record.stats.state = StreamState::Open;
        record.stats.last_error = None;
        record.failed_at = None;
        if record.has_opened {
            record.stats.reconnects += 1;
        }
        record.has_opened = true;
    }

    pub(crate) fn handed_over(&self) {
        self.lock().stats.hand_overs += 1;
    }

    pub(crate) fn received_message(&self) {
        self.lock().stats.messages += 1;
    }

    pub(crate) fn failed(&self, error: StreamError, state: StreamState) {
        let mut record = self.lock();
        record.stats.state = state;
        record.stats.last_error = Some(Arc::new(error));
        record.failed_at = Some(Instant::now());
    }

    pub(crate) fn ended(&self) {
        self.lock().stats.state = StreamState::Down;
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
