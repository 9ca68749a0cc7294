//! Relay proxies and doubles for tests: this project's own, and its users'.
//!
//! * [`ScriptedRelay`]: a relay proxy in memory, above the wire;
//! * [`RecordingSink`]: remembers events and invalidations;
//! * [`FaultyServer`]: an HTTP server on loopback that answers as it is told, faults included.
//!
//! Nothing here is needed at run time by anything.

mod faulty_server;
mod recording_sink;
mod scripted_relay;

pub use faulty_server::{Answer, FaultyServer, SeenRequest};
pub use recording_sink::RecordingSink;
pub use scripted_relay::{ConfigurationRequest, ScriptedRelay, ScriptedRequest};
