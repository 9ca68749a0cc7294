//! When each flag was last invalidated, which decides whether an answer may still be served.
//!
//! Each invalidation begins a new epoch. An answer belongs to the epoch in which its request
//! started, and is fresh as long as no later epoch invalidated its flag. So an answer that was on
//! its way when its flag changed is never served to a later caller.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use goff_core::Invalidation;

/// The log so far.
#[derive(Debug, Default)]
pub(crate) struct InvalidationLog {
    /// The current epoch. It advances once its entries are complete.
    now: AtomicU64,
    entries: RwLock<Entries>,
}

/// A number that advances with each invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Epoch(u64);

#[derive(Debug, Default)]
struct Entries {
    /// When all flags were last invalidated.
    all: Epoch,
    flags: HashMap<Box<str>, Epoch>,
    /// The length of all names in `flags`.
    names_length: usize,
}

impl InvalidationLog {
    /// The epoch of a request that starts now.
    pub(crate) fn now(&self) -> Epoch {
        Epoch(self.now.load(Ordering::Acquire))
    }

    /// Whether an answer for the flag, requested in `epoch`, may still be served.
    pub(crate) fn is_fresh(&self, flag_key: &str, epoch: Epoch) -> bool {
        // Usually there was no later invalidation, and nothing has to be looked up.
        if epoch == self.now() {
            return true;
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        epoch >= entries.all
            && entries
                .flags
                .get(flag_key)
                .is_none_or(|invalidated| epoch >= *invalidated)
    }

    /// Begins an epoch. Once this returns, older answers for the flags are not fresh.
    pub(crate) fn note(&self, invalidation: &Invalidation) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let now = Epoch(self.now().0 + 1);
        match invalidation {
            Invalidation::Flags(flags) => {
                for flag_key in flags {
                    entries.invalidate(flag_key, now);
                }
            }
            _ => entries.invalidate_all(now),
        }
        self.now.store(now.0, Ordering::Release);
    }
}

impl Entries {
    fn invalidate(&mut self, flag_key: &str, now: Epoch) {
        if let Some(invalidated) = self.flags.get_mut(flag_key) {
            *invalidated = now;
        } else if self.flags.len() < MAX_FLAGS
            && self.names_length + flag_key.len() <= MAX_NAMES_LENGTH
        {
            self.names_length += flag_key.len();
            self.flags.insert(flag_key.into(), now);
        } else {
            self.invalidate_all(now);
        }
    }

    fn invalidate_all(&mut self, now: Epoch) {
        *self = Self {
            all: now,
            ..Self::default()
        };
    }
}

/// Bounds the memory that a server with made-up flag names can take, together with
/// [`MAX_NAMES_LENGTH`]. One flag more invalidates all.
const MAX_FLAGS: usize = 10_000;
/// In bytes: as many as two of the largest invalidations.
const MAX_NAMES_LENGTH: usize = 2 * Invalidation::MAX_NAMES_LENGTH;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn flags(keys: &[&str]) -> Invalidation {
        Invalidation::Flags(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    #[test]
    fn invalidation_spares_flags_it_does_not_name() {
        let log = InvalidationLog::default();
        let started = log.now();
        assert!(log.is_fresh("a", started));
        log.note(&flags(&["a"]));
        assert!(!log.is_fresh("a", started));
        assert!(log.is_fresh("b", started));
        assert!(log.is_fresh("a", log.now()));
    }

    #[test]
    fn invalidation_of_all_spares_nothing_older() {
        let log = InvalidationLog::default();
        log.note(&flags(&["a"]));
        let started = log.now();
        log.note(&Invalidation::All);
        for flag_key in ["a", "b"] {
            assert!(!log.is_fresh(flag_key, started));
            assert!(log.is_fresh(flag_key, log.now()));
        }
        assert_eq!(kept(&log), (0, 0));
    }

    /// The number of names and their length.
    fn kept(log: &InvalidationLog) -> (usize, usize) {
        let entries = log.entries.read().unwrap();
        let length = entries.flags.keys().map(|name| name.len()).sum();
        assert_eq!(entries.names_length, length);
        (entries.flags.len(), length)
    }

    fn name(n: usize, length: usize) -> String {
        let number = n.to_string();
        "x".repeat(length - number.len()) + &number
    }

    /// Whatever a server sends, the log keeps 10,000 names and 2 MiB at most.
    #[test]
    fn made_up_names_cost_bounded_memory() {
        for (messages, names, length) in [
            (1, 100_000, 5),
            (30_000, 1, 5),
            (100, 500, 100),
            (10_000, 1, 1_024),
            (3, 1, 10_000_000),
        ] {
            let log = InvalidationLog::default();
            let started = log.now();
            let mut named = 0..;
            for _ in 0..messages {
                let many = named.by_ref().take(names).map(|n| name(n, length));
                log.note(&Invalidation::Flags(many.collect()));
                let (count, length) = kept(&log);
                assert!(count <= 10_000 && length <= 2 * 1_024 * 1_024);
            }
            assert!(!log.is_fresh("never named", started), "{messages} {names}");
            assert!(log.is_fresh("never named", log.now()));
            assert!(!log.is_fresh(&name(0, length), started));
        }
    }

    /// The time for a message does not depend on how many names are known.
    #[test]
    fn message_costs_what_it_names() {
        let log = InvalidationLog::default();
        let known = (0..9_999).map(|n| n.to_string()).collect();
        log.note(&Invalidation::Flags(known));
        let entries = || std::ptr::from_ref(&log.entries.read().unwrap().flags["7"]);
        let before = entries();
        for _ in 0..100 {
            log.note(&flags(&["9", "one more"]));
        }
        // Nothing was copied.
        assert_eq!(entries(), before);
        assert_eq!(kept(&log).0, 10_000);
    }

    proptest! {
        /// Against the definition: fresh means that no invalidation since then names the flag or all flags.
        #[test]
        fn fresh_means_not_invalidated_since(
            steps in prop::collection::vec(prop::option::of(0..4_u8), 0..20),
            started_at in 0..20_usize,
            flag in 0..4_u8,
        ) {
            let log = InvalidationLog::default();
            let started_at = started_at.min(steps.len());
            let mut started = log.now();
            for (index, step) in steps.iter().enumerate() {
                if index == started_at {
                    started = log.now();
                }
                log.note(&match step {
                    None => Invalidation::All,
                    Some(flag) => flags(&[&flag.to_string()]),
                });
            }
            if started_at == steps.len() {
                started = log.now();
            }
            let hit = steps[started_at..]
                .iter()
                .any(|step| step.is_none_or(|named| named == flag));
            prop_assert_eq!(log.is_fresh(&flag.to_string(), started), !hit);
        }
    }
}
