//! The events of a client and their subscribers.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use goff_core::__internal::shown_flag_key;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::status::error::ClientError;

/// Something that happened to a client. The SDK has no provider events yet, so the client has its
/// own.
///
/// *Specification*: GOFF-EVT-001, GOFF-EVT-006, GOFF-EVT-005, GOFF-EVT-002.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// Evaluations are answered with current flags: after initialization, and when a stale client
    /// has recovered.
    Ready,
    /// The flags may be old: see [`State::Stale`](crate::State::Stale).
    Stale,
    /// Flags have changed, or may have.
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
    /// Any flag may have changed: a change message could not be read, or the names of the changed
    /// flags take more than 256 KiB, counting 32 bytes for each name beside its text.
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

impl ChangedFlags {
    /// Logs the first names.
    pub(crate) fn log(&self) {
        match self {
            Self::Named(names) => {
                tracing::info!(flags = %Names(names), "flags changed");
            }
            Self::Unknown => tracing::info!("flags changed: any of them may have"),
            Self::Compared {
                added,
                updated,
                removed,
                enrichment,
            } => tracing::info!(
                added = %Names(added),
                updated = %Names(updated),
                removed = %Names(removed),
                enrichment_changed = enrichment,
                "flags changed"
            ),
        }
    }

    /// Bounds what subscribers that do not read keep, whatever names a server makes up.
    pub(crate) fn bounded(self) -> Self {
        let size = |names: &BTreeSet<String>| -> usize {
            names.iter().map(|name| name.len() + NAME_OVERHEAD).sum()
        };
        let total = match &self {
            Self::Named(names) => size(names),
            Self::Compared {
                added,
                updated,
                removed,
                ..
            } => size(added) + size(updated) + size(removed),
            Self::Unknown => 0,
        };
        if total > MAX_CHANGE_SIZE {
            Self::Unknown
        } else {
            self
        }
    }
}

/// Some of a set of names.
struct Names<'a>(&'a BTreeSet<String>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().take(SHOWN);
        f.debug_list()
            .entries(names.map(|name| shown_flag_key(name)))
            .finish()?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
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
        let event = match event {
            ClientEvent::ConfigurationChanged(changed) => {
                ClientEvent::ConfigurationChanged(changed.bounded())
            }
            event => event,
        };
        // Fails without subscribers, which is fine.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        Subscription::new(self.0.subscribe())
    }
}

const CAPACITY: usize = 64;
/// The most names that a log line has of one set.
const SHOWN: usize = 20;
/// The most bytes of one change set: 16 MiB for all that are buffered.
const MAX_CHANGE_SIZE: usize = 256 * 1024;
const NAME_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_names_a_few_flags_on_one_line() {
        let names = |count: usize| -> BTreeSet<String> {
            (0..count).map(|n| format!("{n:02}\n")).collect()
        };
        assert_eq!(Names(&names(2)).to_string(), r#"["00 ", "01 "]"#);
        let many = Names(&names(25)).to_string();
        assert!(many.ends_with(r#""19 "] and 5 more"#), "{many}");
    }

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

    /// A subscriber that never reads keeps 64 × 256 KiB at most.
    #[tokio::test]
    async fn change_sets_are_bounded_in_bytes() {
        let names = |count: usize, length: usize| -> BTreeSet<String> {
            let numbers = (0..count).map(|n| n.to_string());
            let padded = |n: String| "x".repeat(length - n.len()) + &n;
            numbers.map(padded).collect()
        };
        let compared = |added, updated, removed| ChangedFlags::Compared {
            added,
            updated,
            removed,
            enrichment: true,
        };
        let events = EventBroadcaster::new();
        let mut subscription = events.subscribe();
        let none = BTreeSet::new;
        for (changed, fits) in [
            (ChangedFlags::Named(names(4_000, 30)), true),
            (ChangedFlags::Named(names(5_000, 30)), false),
            (ChangedFlags::Named(names(1, 300_000)), false),
            (
                compared(names(10, 30), names(2_000, 30), names(2_000, 30)),
                true,
            ),
            (compared(none(), none(), names(1, 300_000)), false),
            (
                compared(names(300, 300), names(300, 300), names(300, 300)),
                false,
            ),
        ] {
            events.send(ClientEvent::ConfigurationChanged(changed.clone()));
            let sent = if fits { changed } else { ChangedFlags::Unknown };
            let expected = ClientEvent::ConfigurationChanged(sent);
            assert!(subscription.next().await == Some(expected));
        }
    }
}
