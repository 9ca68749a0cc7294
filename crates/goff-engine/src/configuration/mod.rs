//! Flag configurations as they are read: JSON, dates, the members of a flag, and what these may cost.

pub(crate) mod budget;
pub(crate) mod compact_json;
pub(crate) mod date;
pub(crate) mod definition;
pub(crate) mod json;
pub(crate) mod repeated;
