//! Changes of flags, and the seam for those who cache resolutions or flags.

use std::collections::BTreeSet;
use std::fmt;

/// Flags whose resolutions may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// Every flag: after a connection that follows a gap, because messages may have been missed, or
    /// after a message that is unreadable or names too much.
    All,
    /// The flags in a change message.
    Flags(BTreeSet<String>),
}

impl Invalidation {
    /// The most flags that an invalidation names one by one.
    pub const MAX_FLAGS: usize = 5_000;
    /// The longest name of a flag, in bytes.
    pub const MAX_NAME_LENGTH: usize = 1_024;
    /// The most bytes that the names of an invalidation have together: 1 MiB.
    pub const MAX_NAMES_LENGTH: usize = 1_024 * 1_024;

    /// This invalidation, or [`All`](Self::All) if it names more than [`MAX_FLAGS`](Self::MAX_FLAGS)
    /// flags, a name longer than [`MAX_NAME_LENGTH`](Self::MAX_NAME_LENGTH), or names of more than
    /// [`MAX_NAMES_LENGTH`](Self::MAX_NAMES_LENGTH) together. Code that keeps names needs the
    /// limits, because a server can make up any number of them.
    #[must_use]
    pub fn bounded(self) -> Self {
        let Self::Flags(names) = &self else {
            return self;
        };
        let is_long = |name: &String| name.len() > Self::MAX_NAME_LENGTH;
        if names.len() > Self::MAX_FLAGS
            || names.iter().any(is_long)
            || names.iter().map(String::len).sum::<usize>() > Self::MAX_NAMES_LENGTH
        {
            return Self::All;
        }
        self
    }
}

/// The state of the change stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamState {
    /// Not connected: the stream was lost, or the server could not be reached.
    Down,
    /// Not connected: the handshake was answered with another status than 101. A gateway on the way
    /// does not support WebSocket, or the key was refused.
    Refused,
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

    /// The stream was opened or lost, or the first attempts to open it fail.
    fn stream_state(&self, state: StreamState);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_a_limit_stand_for_all_flags() {
        let named = |count: usize, length: usize| {
            let numbers = (0..count).map(|n| n.to_string());
            let padded = |n: String| "x".repeat(length - n.len()) + &n;
            Invalidation::Flags(numbers.map(padded).collect())
        };
        for (count, length, fits) in [
            (0, 1, true),
            (1, 1_024, true),
            (1, 1_025, false),
            (1, 10_000_000, false),
            (1_024, 1_024, true),
            (1_025, 1_024, false),
            (5_000, 30, true),
            (5_000, 1_024, false),
            (5_001, 4, false),
        ] {
            let given = named(count, length);
            let expected = if fits {
                given.clone()
            } else {
                Invalidation::All
            };
            assert_eq!(given.bounded(), expected, "{count} of {length} bytes");
        }
        assert_eq!(Invalidation::All.bounded(), Invalidation::All);
    }
}
