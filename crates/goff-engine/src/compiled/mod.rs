//! Flags in the form that is evaluated.

pub(crate) mod body;
pub(crate) mod compile;
pub(crate) mod flag;
pub(crate) mod flag_set;
pub(crate) mod interner;
pub(crate) mod metadata;
pub(crate) mod rule;
pub(crate) mod schedule;
#[cfg(feature = "file")]
pub(crate) mod text_block;
pub(crate) mod variation;
