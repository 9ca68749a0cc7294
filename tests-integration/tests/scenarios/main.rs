//! What our crates do against a real relay proxy: one module a behaviour, one binary because linking is what
//! takes the time. The numbers are the scenarios of the project's protocol notes.

// The attribute lets clippy see tests: their helpers may unwrap.
#[cfg(test)]
mod instances;
