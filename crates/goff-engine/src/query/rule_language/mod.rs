//! The rule language: `country eq "FR" and age ge 18`.
//!
//! Many malformed queries still decide, because the official parser repairs
//! them. This parser makes the same repairs (docs/engine-semantics.md 17;
//! upstream `github.com/nikunjy/rules`).
//!
//! A query goes through `lexer.rs` (tokens, operators), `parser.rs` (nodes), `literal.rs` (an
//! operator and a literal become one test) and `program.rs` (the tests in the order of
//! evaluation). An operator is a variant in the lexer and its test in `literal.rs`; the other two
//! do not know the single operators. For explanations, `outline.rs` finds the parts of a query from
//! those of its program, and `reasons.rs` says why a condition holds; `remarks.rs` warns of single
//! operators. JSONLogic's operators are in `json_logic/operators.rs`.

mod lexer;
mod literal;
pub(crate) mod outline;
mod parser;
pub(crate) mod program;
#[cfg(feature = "lint")]
pub(crate) mod reach;
mod reasons;
#[cfg(feature = "lint")]
pub(crate) mod remarks;
mod text;

pub(crate) use program::{Program, compile};
