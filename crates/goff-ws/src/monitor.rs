//! What a listener tells about itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use goff_core::StreamState;

/// Counters and state of a listener at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Whether changes arrive.
    pub state: StreamState,
    /// How often the stream opened again after it was lost.
    pub reconnects: u64,
    /// How many messages announced changes.
    pub messages: u64,
    /// Why the last attempt failed or the last connection ended, if one ever did. It holds neither
    /// the key nor the stream's URL.
    pub last_error: Option<Arc<str>>,
}

/// Reads the [`StreamStats`] of a listener, also when it is gone. Clones read the same.
#[derive(Debug, Clone)]
pub struct StreamMonitor(Arc<Mutex<Record>>);

#[derive(Debug)]
struct Record {
    stats: StreamStats,
    opened: bool,
}

impl StreamMonitor {
    /// The stats now.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.lock().stats.clone()
    }

    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Record {
            stats: StreamStats {
                state: StreamState::Down,
                reconnects: 0,
                messages: 0,
                last_error: None,
            },
            opened: false,
        })))
    }

    pub(crate) fn opened(&self) {
        let mut record = self.lock();
        record.stats.state = StreamState::Open;
        if record.opened {
            record.stats.reconnects += 1;
        }
        record.opened = true;
    }

    pub(crate) fn received_message(&self) {
        self.lock().stats.messages += 1;
    }

    pub(crate) fn failed(&self, error: &str) {
        let mut record = self.lock();
        record.stats.state = StreamState::Down;
        record.stats.last_error = Some(error.into());
    }

    pub(crate) fn ended(&self) {
        self.lock().stats.state = StreamState::Down;
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
