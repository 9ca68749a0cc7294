//! What one evaluation may do.

use std::cell::Cell;

/// Bytes of text that the queries of one evaluation may still search or read. A step of JSONLogic
/// counts as [`STEP`] bytes.
///
/// Attributes can be long texts, which end users send. The official engine has no limit; once this
/// one is exceeded, no rule matches any more (docs/engine-semantics.md 22).
#[derive(Debug)]
pub(crate) struct Work {
    left: Cell<usize>,
    exhausted: Cell<bool>,
}

/// Bytes that count as one step of JSONLogic.
pub(crate) const STEP: usize = 32;

/// The work of some milliseconds.
const LIMIT: usize = 4 << 20;

/// Comparing a text of so many bytes costs nothing beyond its condition, whose number the flag
/// limits.
const SHORT: usize = 64;

impl Default for Work {
    fn default() -> Self {
        Self {
            left: Cell::new(LIMIT),
            exhausted: Cell::new(false),
        }
    }
}

impl Work {
    /// Called before the work is done; false if it must not be.
    #[must_use]
    pub(crate) fn spend(&self, bytes: usize) -> bool {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                true
            }
            None => {
                self.exhausted.set(true);
                false
            }
        }
    }

    /// The same for reading a text once.
    #[must_use]
    #[inline]
    pub(crate) fn spend_on(&self, text: &str) -> bool {
        text.len() <= SHORT || self.spend(text.len())
    }

    /// Whether anything was refused.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }
}
