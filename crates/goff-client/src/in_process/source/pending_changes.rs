//! Changes that were announced and not yet fetched.

use std::sync::{Arc, Mutex, PoisonError};

use goff_core::Invalidation;
use tokio::sync::Notify;

/// What the change stream leaves for whoever fetches the configuration. A change that is announced
/// during a fetch is there after it.
#[derive(Debug)]
pub(crate) struct Announcements {
    /// The flags that are fetched; all if there are none.
    flags: Arc<[String]>,
    pending: Mutex<Pending>,
    wake: Notify,
}

/// What was announced since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Whether anything was.
    pub(crate) any: bool,
    /// Whether a message named a flag of ours. "Not modified" contradicts that, so it comes from
    /// an instance that lags behind. Without a list every flag counts as ours: one that was added
    /// cannot be known here.
    pub(crate) names_ours: bool,
}

impl Announcements {
    pub(crate) fn new(flags: Arc<[String]>) -> Self {
        Self {
            flags,
            pending: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn announce(&self, invalidation: &Invalidation) {
        let names_ours = match invalidation {
            Invalidation::Flags(named) if self.flags.is_empty() => !named.is_empty(),
            Invalidation::Flags(named) => {
                if !self.flags.iter().any(|flag| named.contains(flag)) {
                    // Flags that this client does not hold have changed.
                    return;
                }
                true
            }
            _ => false,
        };
        {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.any = true;
            pending.names_ours |= names_ours;
        }
        self.wake.notify_one();
    }

    /// Waits for an announcement that nobody has waited for yet.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Takes what was announced; a fetch that begins afterwards sees it.
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
    fn what_was_announced_is_taken_once() {
        let announcements = Announcements::new(Arc::default());
        assert_eq!(announcements.take(), Pending::default());
        announcements.announce(&Invalidation::All);
        announcements.announce(&flags(&["a"]));
        let both = Pending {
            any: true,
            names_ours: true,
        };
        assert_eq!(announcements.take(), both);
        assert_eq!(announcements.take(), Pending::default());
    }

    /// GOFF-CFG-008: a change of flags that are not fetched is none.
    #[tokio::test(start_paused = true)]
    async fn only_flags_of_the_list_matter() {
        let announcements = Announcements::new(["a".to_owned(), "b".to_owned()].into());
        announcements.announce(&flags(&["c"]));
        announcements.announce(&Invalidation::Flags(BTreeSet::new()));
        assert_eq!(announcements.take(), Pending::default());
        let limit = std::time::Duration::from_secs(1);
        assert!(
            tokio::time::timeout(limit, announcements.wait())
                .await
                .is_err()
        );
        announcements.announce(&flags(&["c", "b"]));
        announcements.wait().await;
        assert!(announcements.take().names_ours);
    }
}
