//! JSONLogic, in the dialect of the official engine.
//!
//! A rule whose operators and operands are all simple is compiled and reads
//! attributes through the flag's slots; every other rule is interpreted. (Engine
//! semantics: section "JSONLogic"; upstream `github.com/diegoholiveira/jsonlogic`.)

mod compiled;
mod interpreter;
mod lists;
mod number;
mod operators;
#[cfg(feature = "file")]
mod validate;
mod value;

use crate::{
    configuration::compact_json::CompactJson,
    evaluate::{
        attributes::Attributes,
        scope::{NameTable, Slots, Unreadable},
    },
};

use compiled::Expression;
use interpreter::Interpreter;

/// A JSONLogic rule, ready to be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum JsonLogic {
    Compiled(Box<Expression>),
    Interpreted(Box<CompactJson>),
}

impl JsonLogic {
    pub(crate) fn compile(rule: CompactJson, names: &mut NameTable) -> Self {
        match Expression::compile(&rule, names) {
            Some(expression) => {
                names.keep();
                Self::Compiled(Box::new(expression))
            }
            None => Self::Interpreted(Box::new(rule)),
        }
    }

    #[inline]
    pub(crate) fn matches<'a, A: Attributes + ?Sized>(
        &self,
        slots: &Slots<'_, 'a, A>,
    ) -> Result<bool, Unreadable> {
        match self {
            Self::Compiled(expression) => expression.matches(slots),
            Self::Interpreted(rule) => Interpreter::new(&slots.scope).matches(rule),
        }
    }
}

/// Whether a simple walk over a rule meets known operators only.
#[cfg(feature = "file")]
pub(crate) fn is_valid(rule: &str) -> bool {
    let Ok(node) = crate::configuration::json::Node::parse(
        rule,
        crate::configuration::limits::MAX_JSON_LOGIC_NESTING + 1,
    ) else {
        return false;
    };
    CompactJson::from_node(&node).is_ok_and(|rule| validate::is_valid(&rule))
}
