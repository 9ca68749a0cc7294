//! The listener against scripted servers.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

mod any_bytes;
#[path = "../fixture/mod.rs"]
mod fixture;
mod hand_over;
mod handshake;
mod liveness;
mod messages;
mod reconnecting;
mod stopping;
mod transports;
