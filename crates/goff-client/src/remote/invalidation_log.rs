//! When each flag was last invalidated: what decides whether an answer may still be served.
//!
//! A counter advances at every invalidation. An answer is marked with the counter at which its
//! request began, and is fresh as long as no later invalidation hit its flag. So an answer that
//! was on its way when its flag changed is never served to anybody who came after the change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use goff_core::Invalidation;

/// The invalidations so far. Reading never waits.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    history: ArcSwap<History>,
    /// Held by whoever replaces the history.
    writing: Mutex<()>,
}

/// A point in the order of invalidations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Mark(u64);

#[derive(Debug, Clone, Default)]
struct History {
    now: Mark,
    all: Mark,
    flags: HashMap<Arc<str>, Mark>,
}

impl Invalidations {
    /// The mark of a request that begins now.
    pub(crate) fn now(&self) -> Mark {
        self.history.load().now
    }

    /// Whether an answer for the flag is still good whose request began at `began`.
    pub(crate) fn is_fresh(&self, flag_key: &str, began: Mark) -> bool {
        let history = self.history.load();
        // Without a later invalidation there is nothing to look up: the usual case.
        began == history.now
            || (began >= history.all
                && history
                    .flags
                    .get(flag_key)
                    .is_none_or(|invalidated| began >= *invalidated))
    }

    /// Counts an invalidation. Once this returns, older answers for its flags are not fresh.
    pub(crate) fn note(&self, invalidation: &Invalidation) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut history = History::clone(&self.history.load());
        history.now = Mark(history.now.0 + 1);
        match invalidation {
            Invalidation::Flags(flags) => {
                for flag_key in flags {
                    history.flags.insert(flag_key.as_str().into(), history.now);
                }
                if history.flags.len() > MOST_FLAGS {
                    history.invalidate_all();
                }
            }
            _ => history.invalidate_all(),
        }
        self.history.store(Arc::new(history));
    }
}

impl History {
    fn invalidate_all(&mut self) {
        self.all = self.now;
        self.flags.clear();
    }
}

/// More flags than anybody has: beyond, a server that makes up names would cost memory for ever.
const MOST_FLAGS: usize = 100_000;

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
        let invalidations = Invalidations::default();
        let began = invalidations.now();
        assert!(invalidations.is_fresh("a", began));
        invalidations.note(&flags(&["a"]));
        assert!(!invalidations.is_fresh("a", began));
        assert!(invalidations.is_fresh("b", began));
        assert!(invalidations.is_fresh("a", invalidations.now()));
    }

    #[test]
    fn invalidation_of_all_spares_nothing_older() {
        let invalidations = Invalidations::default();
        invalidations.note(&flags(&["a"]));
        let began = invalidations.now();
        invalidations.note(&Invalidation::All);
        for flag_key in ["a", "b"] {
            assert!(!invalidations.is_fresh(flag_key, began));
            assert!(invalidations.is_fresh(flag_key, invalidations.now()));
        }
        assert!(invalidations.history.load().flags.is_empty());
    }

    #[test]
    fn made_up_names_cost_bounded_memory() {
        let invalidations = Invalidations::default();
        let began = invalidations.now();
        let many: BTreeSet<String> = (0..=MOST_FLAGS).map(|n| n.to_string()).collect();
        invalidations.note(&Invalidation::Flags(many));
        assert!(invalidations.history.load().flags.is_empty());
        assert!(!invalidations.is_fresh("never named", began));
        assert!(invalidations.is_fresh("never named", invalidations.now()));
    }

    proptest! {
        /// Against the definition: fresh means that nothing since then named the flag or all.
        #[test]
        fn fresh_means_not_invalidated_since(
            steps in prop::collection::vec(prop::option::of(0..4_u8), 0..20),
            began_at in 0..20_usize,
            flag in 0..4_u8,
        ) {
            let invalidations = Invalidations::default();
            let began_at = began_at.min(steps.len());
            let mut began = invalidations.now();
            for (index, step) in steps.iter().enumerate() {
                if index == began_at {
                    began = invalidations.now();
                }
                invalidations.note(&match step {
                    None => Invalidation::All,
                    Some(flag) => flags(&[&flag.to_string()]),
                });
            }
            if began_at == steps.len() {
                began = invalidations.now();
            }
            let hit = steps[began_at..]
                .iter()
                .any(|step| step.is_none_or(|named| named == flag));
            prop_assert_eq!(invalidations.is_fresh(&flag.to_string(), began), !hit);
        }
    }
}
