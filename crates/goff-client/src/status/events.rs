//! The events of a client and their subscribers.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::status::error::ClientError;

/// Something that happened to a client (GOFF-EVT-001). The SDK has no provider events yet, so
/// the client has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// Evaluations are answered with current flags: after initialization, and when a stale client
    /// has recovered (GOFF-EVT-006).
    Ready,
    /// The flags may be old: see [`State::Stale`](crate::State::Stale) (GOFF-EVT-005).
    Stale,
    /// Flags have changed, or may have (GOFF-EVT-002).
    ConfigurationChanged(ChangedFlags),
    /// Something failed in the background; evaluations may still be answered.
    Error(ClientError),
    /// The client was shut down. [`initialize`](crate::GoFeatureFlag::initialize) starts it again.
    Closed,
}

/// Which flags changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangedFlags {
    /// The flags that a change message names. In remote mode a relay proxy with several flag sets
    /// names the changed flags of all sets.
    Named(BTreeSet<String>),
    /// A change message could not be read: any flag may have changed.
    Unknown,
    /// The difference between the previous configuration and its replacement (in-process
    /// evaluation).
    Compared {
        /// Flags that were added.
        added: BTreeSet<String>,
        /// Flags whose content changed.
        updated: BTreeSet<String>,
        /// Flags that were removed.
        removed: BTreeSet<String>,
        /// Whether the enrichment of evaluation contexts changed.
        enrichment: bool,
    },
}

/// A stream of the events of one client since
/// [`GoFeatureFlag::subscribe`](crate::GoFeatureFlag::subscribe). It buffers 64 events; a
/// subscriber that falls further behind misses the oldest.
///
/// [`ClientEvent::Closed`] does not end it, because the client can be initialized again. It ends
/// when the last handle of the client is dropped; a provider that is registered with OpenFeature
/// holds one. So a loop over the events breaks at `Closed`:
///
/// ```
/// use goff_client::{ClientEvent, GoFeatureFlag};
///
/// async fn follow(goff: &GoFeatureFlag) {
///     let mut events = goff.subscribe();
///     while let Some(event) = events.next().await {
///         match event {
///             ClientEvent::ConfigurationChanged(flags) => println!("changed: {flags:?}"),
///             ClientEvent::Closed => break,
///             other => println!("{other:?}"),
///         }
///     }
/// }
/// ```
///
/// It is also a `futures_core::Stream`, for the adapters of `StreamExt` in futures-util.
pub struct Subscription(Pin<Box<dyn Future<Output = Received> + Send + Sync>>);

/// An event, or `None` at the end, with the receiver for the next one.
type Received = (Option<ClientEvent>, Receiver<ClientEvent>);

impl Subscription {
    fn new(receiver: Receiver<ClientEvent>) -> Self {
        Self(Box::pin(receive(receiver)))
    }

    /// Waits for the next event; `None` when the last handle of the client was dropped.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Subscription {
    type Item = ClientEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ClientEvent>> {
        let (event, receiver) = ready!(self.0.as_mut().poll(context));
        *self = Self::new(receiver);
        Poll::Ready(event)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

async fn receive(mut receiver: Receiver<ClientEvent>) -> Received {
    loop {
        match receiver.recv().await {
            Ok(event) => return (Some(event), receiver),
            Err(RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "client events missed by a slow subscriber");
            }
            Err(RecvError::Closed) => return (None, receiver),
        }
    }
}

/// Sends events to all subscribers, without waiting for them.
#[derive(Debug)]
pub(crate) struct EventBroadcaster(Sender<ClientEvent>);

impl EventBroadcaster {
    pub(crate) fn new() -> Self {
        Self(Sender::new(CAPACITY))
    }

    pub(crate) fn send(&self, event: ClientEvent) {
        // Fails without subscribers, which is fine.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription::new(self.0.subscribe())
    }
}

const CAPACITY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_subscriber_misses_the_oldest_and_continues() {
        let events = EventBroadcaster::new();
        let mut subscription = events.subscribe();
        for n in 0..CAPACITY * 2 {
            let flags = BTreeSet::from([n.to_string()]);
            events.send(ClientEvent::ConfigurationChanged(ChangedFlags::Named(
                flags,
            )));
        }
        events.send(ClientEvent::Closed);
        drop(events);
        let mut seen = Vec::new();
        while let Some(event) = subscription.next().await {
            seen.push(event);
        }
        assert_eq!(seen.len(), CAPACITY);
        assert_eq!(seen.last(), Some(&ClientEvent::Closed));
        assert_eq!(subscription.next().await, None);
    }
}
