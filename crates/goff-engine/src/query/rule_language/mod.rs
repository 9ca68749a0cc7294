//! The rule language: `country eq "FR" and age ge 18`.
//!
//! Many malformed queries still decide, because the official parser repairs
//! them. This parser makes the same repairs (docs/engine-semantics.md 17;
//! upstream `github.com/nikunjy/rules`).

mod lexer;
mod literal;
mod parser;
pub(crate) mod program;
mod text;

pub(crate) use program::{Program, compile};
