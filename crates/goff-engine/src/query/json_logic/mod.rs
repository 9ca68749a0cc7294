//! JSONLogic, in the dialect of the official engine
//! (docs/engine-semantics.md 18; upstream
//! `github.com/diegoholiveira/jsonlogic`).
//!
//! A rule whose operators and operands are all simple is compiled, for the bench
//! row "JSONLogic, three conditions": interpreting it takes five times as long.
//! Every other rule is interpreted.

mod comparison;
mod compiled;
mod described;
pub(crate) mod ignored;
mod interpreter;
mod lists;
mod number;
mod operators;
#[cfg(feature = "lint")]
pub(crate) mod reach;
mod value;

use std::sync::Arc;

use crate::{
    configuration::compact_json::CompactJson,
    evaluate::{
        attributes::Attributes,
        observer::Observer,
        scope::{NameTable, Slots, Unreadable},
    },
};

use compiled::Expression;
use interpreter::Interpreter;

/// A JSONLogic rule, ready to be evaluated. The states of a flag share it.
#[derive(Clone, Debug)]
pub(crate) enum JsonLogic {
    Compiled(Arc<Expression>),
    Interpreted(Arc<CompactJson>),
}

impl JsonLogic {
    pub(crate) fn compile(rule: CompactJson, names: &mut NameTable) -> Self {
        match Expression::compile(&rule, names) {
            Some(expression) => Self::Compiled(Arc::new(expression)),
            None => Self::Interpreted(Arc::new(rule)),
        }
    }

    #[inline]
    pub(crate) fn matches<'a, A: Attributes + ?Sized, O: Observer>(
        &self,
        slots: &Slots<'_, 'a, A, O>,
    ) -> Result<bool, Unreadable> {
        match self {
            Self::Compiled(expression) => expression.matches(slots),
            Self::Interpreted(rule) => {
                Interpreter::new(&slots.scope, &slots.work, slots.observer).matches(rule)
            }
        }
    }
}
