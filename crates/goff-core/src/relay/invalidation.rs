//! What a change of flags means to whoever holds answers.

use std::collections::BTreeSet;
use std::fmt;

/// Flags whose answers may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// Any flag: after a (re)connection, since messages may have been missed, or after a message
    /// that could not be read.
    All,
    /// The flags that a change message names.
    Flags(BTreeSet<String>),
}

/// Whether changes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamState {
    /// Not connected, or not yet.
    Down,
    /// Connected: from now on every change arrives.
    Open,
}

/// Receives changes: a cache, a poller, a user's own code.
///
/// Called by one task at a time, in the order of arrival; it neither waits nor fails. After the
/// listener was shut down nothing is called.
pub trait InvalidationSink: fmt::Debug + Send + Sync {
    /// Answers for these flags that were asked for before this call must not be served after it.
    fn invalidate(&self, invalidation: Invalidation);

    /// The stream went up or down.
    fn stream_state(&self, state: StreamState);
}
