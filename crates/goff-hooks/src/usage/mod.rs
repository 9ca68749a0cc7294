//! What becomes usage data: evaluations and tracked events.

#[cfg(feature = "open-feature")]
pub(crate) use self::decision::{ANONYMOUS, context_kind, kind_by, record_last, user_key};
pub use self::decision::{Usage, unix_seconds, usage};
pub use self::tracking::tracking_event;

mod decision;
mod tracking;
