//! [`StreamMonitor`]: state and counters of a listener.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use goff_core::{Cause, StreamState};

use crate::error::StreamError;

/// State and counters of a listener.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamStats {
    /// Whether the stream is open.
    pub state: StreamState,
    /// How often the stream opened again after it was lost.
    pub reconnects: u64,
    /// How often the next stream was opened before this one ended, so that no change was missed.
    pub hand_overs: u64,
    /// The number of messages received. A change during a hand-over may arrive twice.
    pub messages: u64,
    /// Why the last attempt failed or the last connection ended; `None` if neither happened. Neither
    /// its text nor its sources contain the key or the URL of the stream.
    pub last_error: Option<Cause>,
}

/// Reads the [`StreamStats`] of a listener, even after the listener is gone. Clones share them.
#[derive(Debug, Clone)]
pub struct StreamMonitor(Arc<Mutex<Record>>);

#[derive(Debug)]
struct Record {
    stats: StreamStats,
    has_opened: bool,
}

impl StreamMonitor {
    /// The current state and counters.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.lock().stats.clone()
    }

    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Record {
            stats: StreamStats {
                state: StreamState::Down,
                reconnects: 0,
                hand_overs: 0,
                messages: 0,
                last_error: None,
            },
            has_opened: false,
        })))
    }

    pub(crate) fn opened(&self) {
        let mut record = self.lock();
        record.stats.state = StreamState::Open;
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

    pub(crate) fn failed(&self, error: StreamError) {
        let mut record = self.lock();
        record.stats.state = StreamState::Down;
        record.stats.last_error = Some(Arc::new(error));
    }

    pub(crate) fn ended(&self) {
        self.lock().stats.state = StreamState::Down;
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
