//! The publisher over a scripted relay proxy, most of it on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod delivering;
mod fixture;
mod load;
mod logging;
mod refused;
mod several_threads;
mod stopping;
