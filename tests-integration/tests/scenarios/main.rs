//! The crates of this project against relay proxies: one module a behavior, one binary because linking takes the time.
//! Scenario numbers are those of docs/relay-protocol.md 23.

// The attribute lets clippy see tests: their helpers may unwrap.
#[cfg(test)]
mod any_relay;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod failing_hook;
#[cfg(test)]
mod following;
#[cfg(test)]
mod real_relay;
#[cfg(test)]
mod recording_hook;
#[cfg(test)]
mod recording_transport;
#[cfg(test)]
mod started_relay;
#[cfg(test)]
mod surfaces;
