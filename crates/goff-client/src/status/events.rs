//! What a client tells its subscribers.

use std::collections::BTreeSet;
use std::fmt;

use tokio::sync::broadcast;

/// Something that happened to a client (GOFF-EVT-001). The SDK has no provider events yet, so
/// they come from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// Evaluations are answered: after initialisation, and when a stale client has recovered
    /// (GOFF-EVT-006).
    Ready,
    /// Changes of flags have not been heard of for long; in-process evaluation: three refreshes in
    /// a row have failed (GOFF-EVT-005), or the flags are those of an earlier run; from a file:
    /// the file has become absent or unusable.
    Stale,
    /// Flags have changed, or may have (GOFF-EVT-002).
    ConfigurationChanged(ChangedFlags),
    /// Something failed behind the scenes; evaluations may still be answered.
    Error(String),
    /// The client was shut down.
    Closed,
}

/// Which flags changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangedFlags {
    /// These, as announced. In remote mode a relay proxy with several flag sets names those of all sets.
    Named(BTreeSet<String>),
    /// A change was announced that could not be read: perhaps any.
    Unknown,
    /// What differs between the configuration that was held and the one that took its place
    /// (in-process evaluation).
    Compared {
        /// Flags that were not there before.
        added: BTreeSet<String>,
        /// Flags whose content is another.
        updated: BTreeSet<String>,
        /// Flags that are gone.
        removed: BTreeSet<String>,
        /// Whether the enrichment of evaluation contexts is another.
        enrichment: bool,
    },
}

/// A subscription to the events of one client, from
/// [`GoFeatureFlag::subscribe`](crate::GoFeatureFlag::subscribe). It gets what happens from then
/// on. Whoever does not read for long misses the oldest of more than 64 events.
pub struct Subscription(broadcast::Receiver<ClientEvent>);

impl Subscription {
    /// Waits for the next event; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a subscriber to client events was too slow");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// Tells every subscriber; nobody waits for them.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(broadcast::Sender<ClientEvent>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    pub(crate) fn announce(&self, event: ClientEvent) {
        // Without subscribers nobody is told.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }
}

const KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_subscriber_misses_the_oldest_and_goes_on() {
        let announcer = Announcer::new();
        let mut subscription = announcer.subscribe();
        for n in 0..KEPT * 2 {
            announcer.announce(ClientEvent::Error(n.to_string()));
        }
        announcer.announce(ClientEvent::Closed);
        drop(announcer);
        let mut seen = Vec::new();
        while let Some(event) = subscription.next().await {
            seen.push(event);
        }
        assert_eq!(seen.len(), KEPT);
        assert_eq!(seen.last(), Some(&ClientEvent::Closed));
    }
}
