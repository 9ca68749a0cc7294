//! GO Feature Flag's evaluation engine as a WebAssembly module, with the interface of the official
//! evaluation module, so that the providers for Python, Java, JavaScript and .NET can load it in its
//! place. `docs/other-languages.md` says how; `cargo xtask wasm` builds it.
//!
//! | export | signature | what it does |
//! |---|---|---|
//! | `memory` | | what the host and the module exchange |
//! | `malloc` | `(size: i32) -> i32` | a block of memory that belongs to the host; 0 if there is none |
//! | `calloc`, `realloc` | as in C | likewise |
//! | `free` | `(address: i32)` | takes a block back; an address that is none is ignored |
//! | `evaluate` | `(address: i32, length: i32) -> i64` | evaluates the input document in a block |
//! | `_start` | `()` | nothing |
//!
//! The high 32 bits of the result of `evaluate` are the address of the output document, the low 32
//! bits its length. The output belongs to the module and stays until the next `evaluate`.
//!
//! Flags stay compiled between evaluations, by their JSON. One instance runs one call at a time and
//! grows with the flags it keeps, up to a bound. No input makes it trap: what cannot be evaluated is
//! answered with an error in the output document, and the next evaluation works.
//!
//! The module for WASI hosts takes the time from `wasi_snapshot_preview1.clock_time_get`, the one for
//! JavaScript from `gojs.runtime.ticks`, as the official ones do. This crate does not fetch flags, and
//! Rust programs do not need it: they have `goff-engine`.

#[cfg(target_arch = "wasm32")]
mod abi;
mod module;

pub use module::Module;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
