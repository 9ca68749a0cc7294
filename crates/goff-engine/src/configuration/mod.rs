//! What a flag configuration says: the JSON, the dates and the members of a flag.

pub(crate) mod compact_json;
pub(crate) mod date;
pub(crate) mod definition;
pub(crate) mod json;
pub(crate) mod limits;
pub(crate) mod repeated;
