//! Many tasks evaluate, remotely and in process, while their relay proxy is killed, suspended and restarted and its flags
//! change at random. No value is wrong, no evaluation takes too long, every event is counted, memory stays bounded.
//!
//! `cargo xtask soak stress [--minutes N] [--seed S]` is the long form. `GOFF_STRESS_SECONDS` is the duration, by default
//! 10 s; `GOFF_SEED` repeats the decisions of a run.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod history;
#[cfg(test)]
mod random;
#[cfg(test)]
mod started_relay;
