//! Flags from a watched file.

pub(crate) mod flag_file;
pub(crate) mod merged;
pub(crate) mod source;
mod watcher;
