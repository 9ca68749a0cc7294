//! What becomes usage data: evaluations and tracked events, all of them or a part.

pub use self::decision::UsageDecision;
pub use self::event_filter::{EventFilter, EventFilterOptions};
pub use self::fields::unix_seconds;
#[cfg(feature = "open-feature")]
pub(crate) use self::fields::{context_kind, user_key};
pub use self::tracking::tracking_event;

mod decision;
mod event_filter;
mod fields;
mod repeats;
mod tracking;
