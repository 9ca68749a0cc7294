//! The client over real connections to servers on loopback.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod configuration;
mod connection_reuse;
mod credentials;
mod encodings;
mod endpoints;
mod fixture;
mod half_open;
mod large_answers;
mod limits;
mod proxy;
mod requests;
mod retry_after;
mod runtimes;
mod seams;
mod secrets;
mod server_answers;
mod timeouts;
#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc-rs"))]
mod tls;
