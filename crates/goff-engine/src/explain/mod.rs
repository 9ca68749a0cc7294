//! Why an evaluation has its result.
//!
//! An explanation is an evaluation that is watched (`evaluate/observer.rs`). What the compiled flag
//! does not keep, such as the text of its queries, is read again from the flag's JSON
//! (`effective.rs`); `recorder.rs` notes what the evaluation does; `assembly.rs` puts both together.

mod assembly;
mod effective;
pub(crate) mod explanation;
mod json;
mod recorder;
mod tree;

pub(crate) use assembly::{explain, failed, without_flag};
