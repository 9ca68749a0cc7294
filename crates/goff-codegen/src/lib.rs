//! Typed functions for the flags of GO Feature Flag, made from the text of a flag file or manifest.
//!
//! A misspelt key, a value of the wrong type and a flag that was removed from the file do not compile.
//! This crate makes the text of a Rust module, for build scripts; it reads no files and opens no
//! sockets. `goff generate rust` of goff-cli makes the same module, also from a relay proxy.
//!
//! ```
//! use goff_codegen::{Api, FlagDefinitions, FlagFileFormat, ModuleOptions};
//!
//! let file = "
//! new-checkout:
//!   variations: {on: true, off: false}
//!   defaultRule: {variation: on}
//!   metadata:
//!     description: Shows the new checkout.
//! ";
//! let flags = FlagDefinitions::from_flag_file(file, FlagFileFormat::Yaml)?;
//! let module = flags.module(&ModuleOptions::new(Api::Local))?;
//! assert!(module.code().contains(
//! r#"
//! /// Shows the new checkout.
//! ///
//! /// The flag `new-checkout`, a boolean: `false` where it gives no value.
//! #[allow(dead_code, reason = "generated")]
//! #[must_use]
//! pub fn new_checkout(client: &LocalFlags, context: &dyn ContextView) -> bool {
//!     details::new_checkout(client, context).value
//! }
//! "#
//! ));
//! # Ok::<(), goff_codegen::CodegenError>(())
//! ```
//!
//! `docs/typed-flags.md` shows a build script, and the rules for types, defaults and names.

mod definitions;
mod dialect;
mod error;
mod flag;
mod module;
mod names;
mod naming;
mod native;
mod open_feature;
mod options;
mod shape;
mod tokens;
mod types;
mod unused;

pub use definitions::FlagDefinitions;
pub use error::CodegenError;
pub use goff_engine::FlagFileFormat;
pub use module::{FlagFunction, LeftOut, Module};
pub use options::{Api, ModuleOptions};
pub use unused::UnusedSearch;
