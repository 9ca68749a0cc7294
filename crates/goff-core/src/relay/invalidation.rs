//! Changes of flags, and the seam for those who cache resolutions or flags.

use std::collections::BTreeSet;
use std::fmt;

/// Flags whose resolutions may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// Every flag: after a (re)connection, because messages may have been missed, or after an
    /// unreadable message.
    All,
    /// The flags in a change message.
    Flags(BTreeSet<String>),
}

/// The state of the change stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamState {
    /// Not connected.
    Down,
    /// Connected: every later change arrives.
    Open,
}

/// Receives changes: a cache, a poller, or custom code.
///
/// Its methods are called by one task at a time, in the order of arrival, and not after the
/// listener's shutdown. They neither wait nor fail.
pub trait InvalidationSink: fmt::Debug + Send + Sync {
    /// Resolutions of these flags that were requested before this call must not be served after it.
    fn invalidate(&self, invalidation: Invalidation);

    /// The stream was opened or lost.
    fn stream_state(&self, state: StreamState);
}
