//! When each flag was last invalidated, which decides whether an answer may still be served.
//!
//! Each invalidation begins a new epoch. An answer belongs to the epoch in which its request
//! started, and is fresh as long as no later epoch invalidated its flag. So an answer that was on
//! its way when its flag changed is never served to a later caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use goff_core::Invalidation;

/// The log so far. Reading never waits.
#[derive(Debug, Default)]
pub(crate) struct InvalidationLog {
    entries: ArcSwap<Entries>,
    /// Held while the entries are replaced.
    writing: Mutex<()>,
}

/// A number that advances with each invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Epoch(u64);

#[derive(Debug, Clone, Default)]
struct Entries {
    now: Epoch,
    /// When all flags were last invalidated.
    all: Epoch,
    flags: HashMap<Arc<str>, Epoch>,
}

impl InvalidationLog {
    /// The epoch of a request that starts now.
    pub(crate) fn now(&self) -> Epoch {
        self.entries.load().now
    }

    /// Whether an answer for the flag, requested in `epoch`, may still be served.
    pub(crate) fn is_fresh(&self, flag_key: &str, epoch: Epoch) -> bool {
        let entries = self.entries.load();
        // Usually there was no later invalidation, and nothing has to be looked up.
        epoch == entries.now
            || (epoch >= entries.all
                && entries
                    .flags
                    .get(flag_key)
                    .is_none_or(|invalidated| epoch >= *invalidated))
    }

    /// Begins an epoch. Once this returns, older answers for the flags are not fresh.
    pub(crate) fn note(&self, invalidation: &Invalidation) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Entries::clone(&self.entries.load());
        entries.now = Epoch(entries.now.0 + 1);
        match invalidation {
            Invalidation::Flags(flags) => {
                for flag_key in flags {
                    entries.flags.insert(flag_key.as_str().into(), entries.now);
                }
                if entries.flags.len() > MAX_FLAGS {
                    entries.invalidate_all();
                }
            }
            _ => entries.invalidate_all(),
        }
        self.entries.store(Arc::new(entries));
    }
}

impl Entries {
    fn invalidate_all(&mut self) {
        self.all = self.now;
        self.flags.clear();
    }
}

/// Bounds the memory that a server with made-up flag names can take.
const MAX_FLAGS: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        assert!(log.entries.load().flags.is_empty());
    }

    #[test]
    fn made_up_names_cost_bounded_memory() {
        let log = InvalidationLog::default();
        let started = log.now();
        let many: BTreeSet<String> = (0..=MAX_FLAGS).map(|n| n.to_string()).collect();
        log.note(&Invalidation::Flags(many));
        assert!(log.entries.load().flags.is_empty());
        assert!(!log.is_fresh("never named", started));
        assert!(log.is_fresh("never named", log.now()));
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
