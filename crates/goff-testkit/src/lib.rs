//! Relay proxies and doubles for tests of this project and of its users.
//!
//! * [`EmbeddedRelay`]: a whole relay proxy on a port of 127.0.0.1, with faults on demand;
//! * [`TestFlags`]: flags in memory that a test sets one by one;
//! * [`ScriptedRelay`]: a relay proxy in memory with scripted answers, above the wire;
//! * [`RecordingSink`]: records events and invalidations;
//! * [`RecordingLog`]: records log lines;
//! * [`FaultyServer`]: an HTTP server on loopback with scripted answers, faults included;
//! * [`ConnectProxy`]: an HTTP proxy on loopback that opens tunnels, faults included;
//! * [`RoundRobinBalancer`]: a TCP load balancer on loopback that counts requests and bytes.
//!
//! For tests only: no other crate needs it at run time.

mod connect_proxy;
mod embedded_relay;
mod faulty_server;
mod recording_log;
mod recording_sink;
mod round_robin_balancer;
mod scripted_relay;
mod test_flags;

pub use connect_proxy::{ConnectProxy, ProxyFault};
pub use embedded_relay::{
    CollectedEvent, CollectedKind, EmbeddedRelay, EmbeddedRelayBuilder, Fault, FlagSetOptions,
    RelayActivity, RelayEndpoint,
};
pub use faulty_server::{Answer, FaultyServer, SeenRequest};
pub use recording_log::{LogLine, RecordingLog};
pub use recording_sink::RecordingSink;
pub use round_robin_balancer::{RoundRobinBalancer, TrafficSecond};
pub use scripted_relay::{ConfigurationRequest, ScriptedRelay, ScriptedRequest};
pub use test_flags::{FlagError, TestFlags};
