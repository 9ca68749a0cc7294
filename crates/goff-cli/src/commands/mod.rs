//! The commands, a file each.

pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod lint;
pub(crate) mod question;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod test;
