//! The rule language: `country eq "FR" and age ge 18`.
//!
//! GO Feature Flag calls it *nikunjy* after the library it comes from. Its
//! grammar is small, its error recovery is not: many malformed queries still
//! decide, and this module repairs them as the official parser does. (Engine
//! semantics: section "The rule language"; upstream `github.com/nikunjy/rules`.)

mod lexer;
mod literal;
mod parser;
mod program;
mod text;

pub(crate) use program::{Program, compile};
