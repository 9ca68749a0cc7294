//! Flag changes that were announced and not yet fetched.

use std::sync::{Arc, Mutex, PoisonError};

use goff_core::Invalidation;
use tokio::sync::Notify;

/// The flag changes for the next fetch of the configuration. A change that is announced during a
/// fetch is still pending after it.
#[derive(Debug)]
pub(crate) struct PendingChanges {
    /// The flags that are fetched; empty means all.
    flags: Arc<[String]>,
    pending: Mutex<Pending>,
    wake: Notify,
}

/// What was announced since the last [`take`](PendingChanges::take).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Whether a change was announced.
    pub(crate) any: bool,
    /// Whether a message named a flag that is fetched. "Not modified" contradicts such a message,
    /// so it comes from an instance that lags behind.
    pub(crate) names_fetched: bool,
}

impl PendingChanges {
    pub(crate) fn new(flags: Arc<[String]>) -> Self {
        Self {
            flags,
            pending: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn announce(&self, invalidation: &Invalidation) {
        let names_fetched = match invalidation {
            Invalidation::Flags(named) if self.flags.is_empty() => !named.is_empty(),
            Invalidation::Flags(named) => {
                if !self.flags.iter().any(|flag| named.contains(flag)) {
                    // The changed flags are not fetched.
                    return;
                }
                true
            }
            _ => false,
        };
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.any = true;
            pending.names_fetched |= names_fetched;
        }
        self.wake.notify_one();
    }

    /// Waits for the next change.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Takes the pending changes, for a fetch that starts afterwards.
    pub(crate) fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn flags(names: &[&str]) -> Invalidation {
        Invalidation::Flags(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn changes_are_taken_once() {
        let changes = PendingChanges::new(Arc::default());
        assert_eq!(changes.take(), Pending::default());
        changes.announce(&Invalidation::All);
        changes.announce(&flags(&["a"]));
        let both = Pending {
            any: true,
            names_fetched: true,
        };
        assert_eq!(changes.take(), both);
        assert_eq!(changes.take(), Pending::default());
    }

    /// GOFF-CFG-008: a change of flags that are not fetched is none.
    #[tokio::test(start_paused = true)]
    async fn only_flags_of_the_list_matter() {
        let changes = PendingChanges::new(["a".to_owned(), "b".to_owned()].into());
        changes.announce(&flags(&["c"]));
        changes.announce(&Invalidation::Flags(BTreeSet::new()));
        assert_eq!(changes.take(), Pending::default());
        let limit = std::time::Duration::from_secs(1);
        assert!(tokio::time::timeout(limit, changes.wait()).await.is_err());
        changes.announce(&flags(&["c", "b"]));
        changes.wait().await;
        assert!(changes.take().names_fetched);
    }
}
