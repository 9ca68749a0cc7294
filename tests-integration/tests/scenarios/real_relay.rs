//! Scenarios that the embedded relay proxy cannot replace.

mod engine_limits;
mod flag_files;
mod parity;
mod query_validation;
