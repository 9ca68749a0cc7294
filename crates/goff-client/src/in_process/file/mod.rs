//! Flags from a file that is watched.

pub(crate) mod directory_watches;
pub(crate) mod flag_file;
pub(crate) mod follower;
pub(crate) mod watcher;
