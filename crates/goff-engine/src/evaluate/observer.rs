//! The decisions of an evaluation, for explanations.

use crate::evaluate::{operand::Operand, seen::Condition};

/// Receives an evaluation's decisions while they are made.
///
/// The pipeline is generic over it, so that explanations cannot differ from evaluations:
/// [`Unobserved`] leaves nothing of it behind, not even a pointer.
pub(crate) trait Observer: Copy {
    /// The key that splits hash.
    #[inline]
    fn bucketing_key(&self, _key: &str) {}

    /// The evaluation has come to a targeting rule, or to the default rule.
    #[inline]
    fn rule(&self, _index: usize) {}

    /// The query of that rule was evaluated. Once the work of an evaluation is exhausted, no rule
    /// matches.
    #[inline]
    fn query(&self, _matches: bool, _exhausted: bool) {}

    /// A condition of the rule language was evaluated. `read` says whether its path was read
    /// from the context; if not, the engine read it elsewhere, or kept an earlier operand
    /// (docs/engine-semantics.md 17.3).
    #[inline]
    fn condition(&self, _index: u32, _operand: Operand<'_>, _read: bool, _holds: bool) {}

    /// The path of a condition leads through a value that is no object, which stops the query.
    #[inline]
    fn dead_end(&self, _index: u32) {}

    /// A query of the rule language came to the error with this number.
    #[inline]
    fn error(&self, _number: u32) {}

    /// An operator of JSONLogic was applied.
    #[inline]
    fn operation(&self, _describe: impl FnOnce() -> Condition) {}

    /// The query was given up: the official engine aborts, or a limit is exceeded.
    #[inline]
    fn stopped(&self) {}
}

/// The observer of a plain evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unobserved;

impl Observer for Unobserved {}
