//! What becomes usage data: evaluations and tracked events.

pub use self::decision::UsageDecision;
pub use self::fields::unix_seconds;
#[cfg(feature = "open-feature")]
pub(crate) use self::fields::{context_kind, user_key};
pub use self::tracking::tracking_event;

mod decision;
mod fields;
mod tracking;
