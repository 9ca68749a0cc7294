//! proptest strategies for what GO Feature Flag evaluates, well-formed and not.
//!
//! | function | generates |
//! |---|---|
//! | [`documents`] | input documents of the engine: flag key, flag, contexts |
//! | [`flags`] | flags with every kind of rule, rollout and window |
//! | [`flag_files`] | objects of flags by their keys |
//! | [`contexts`] | objects of attributes, whose names queries mention |
//! | [`values`] | JSON values |
//! | [`hostile_inputs`] | flag files, configurations and answers that would exhaust a careless reader |
//! | [`rule_language_queries`], [`json_logic_rules`] | targeting queries |
//!
//! JSON is generated as text, because a parsed value loses the spelling of numbers, repeated members and their order.
//! The strategies are slow to build and cheap to clone: build each once and draw many values from it.

mod context;
mod document;
mod flag;
mod hostile;
mod json;
mod json_logic;
mod rule_language;

pub use context::{contexts, values};
pub use document::{Area, Document, documents};
pub use flag::{flag_files, flags};
pub use hostile::{Hostile, Reader, every_hostile_input, hostile_inputs};
pub use json_logic::json_logic_rules;
pub use rule_language::rule_language_queries;
