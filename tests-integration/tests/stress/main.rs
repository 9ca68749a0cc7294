//! Many tasks evaluate, remotely and in process, while their relay proxy is killed, stopped, restarted and its flags
//! edited at random: no wrong value, no evaluation that takes too long, no event uncounted, no memory lost.
//!
//! `cargo xtask soak stress [--minutes N] [--seed S]` is the long form. `GOFF_STRESS_SECONDS` says how long, 10 s
//! unless told; `GOFF_SEED` repeats a run's decisions.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod history;
#[cfg(test)]
mod random;
#[cfg(test)]
mod stress;
