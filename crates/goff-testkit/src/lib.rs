//! Relay proxies and doubles for tests: this project's own, and its users'.
//!
//! * [`ScriptedRelay`]: a relay proxy in memory, above the wire;
//! * [`RecordingSink`]: remembers events and invalidations.
//!
//! Nothing here is needed at run time by anything.

mod recording_sink;
mod scripted_relay;

pub use recording_sink::RecordingSink;
pub use scripted_relay::{ScriptedRelay, ScriptedRequest};
