//! Flag configurations as they are read: JSON, dates, size limits and the members of a flag.

pub(crate) mod compact_json;
pub(crate) mod date;
pub(crate) mod definition;
pub(crate) mod json;
pub(crate) mod limits;
pub(crate) mod repeated;
