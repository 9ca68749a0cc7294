//! The listener against servers that do what each test tells them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod any_bytes;
mod handshake;
mod liveness;
mod messages;
mod reconnecting;
mod server;
mod sink;
mod stopping;
mod transports;
