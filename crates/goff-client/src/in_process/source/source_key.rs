//! [`SourceKey`]: whose flags a configuration holds.

use crate::in_process::last_known_good::LastKnownGood;

/// The API key with which flags are fetched. Each key is a source of flags: what was fetched with
/// another one is not confirmed by an answer to this one, nor stored as its last known good.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceKey {
    /// Advances with each new key.
    pub(crate) number: u64,
    /// The last-known-good file, for the flags of this key.
    pub(crate) file: Option<LastKnownGood>,
}

#[cfg(feature = "http")]
impl SourceKey {
    /// `relay` is the relay proxy and the new key.
    pub(crate) fn replace(&mut self, relay: &[u8]) {
        self.number += 1;
        self.file = self.file.take().map(|file| file.of_relay(relay));
    }
}
