//! A fleet: as many clients that evaluate in process as remote ones follow a flag that changes every second, on one relay
//! proxy that then restarts, and on three behind a round-robin TCP balancer, one of which has each change five seconds
//! late. No value is wrong, the changes arrive in time, and no second has more than three times the mean of requests.
//!
//! `cargo xtask soak fleet [--clients N] [--minutes M]` is the long form. `GOFF_FLEET_CLIENTS` is the number of clients of
//! each kind, by default 50; `GOFF_FLEET_SECONDS` the duration of the changes in each part, by default 10 s.
//!
//! A test program with this one test, because it measures the time of the process. Linux only.
#![cfg(target_os = "linux")]

#[cfg(test)]
mod changes;
#[cfg(test)]
mod client;
#[cfg(test)]
mod load;
#[cfg(test)]
mod real_relay;
