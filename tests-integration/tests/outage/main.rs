//! Five hundred tasks evaluate while the way to their relay proxy fails in every manner: connections are refused, accepted
//! without an answer, delayed or reset, the relay proxy is restarted, or moves to another address of its name. No
//! evaluation takes longer than its timeout, descriptors, tasks and threads stay below bounds and return to where they
//! were, and the usage data add up.
//!
//! `cargo xtask soak outage [--minutes N] [--seed S]` is the long form. `GOFF_OUTAGE_SECONDS` is the duration, by default
//! 10 s; `GOFF_SEED` repeats the order of the failures.
//!
//! A test program with this one test, because it counts what the process has open. Linux only.
#![cfg(target_os = "linux")]

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod started_relay;
