//! What our crates do against a real relay proxy: one module a behaviour, one binary because linking is what
//! takes the time. The numbers are the scenarios of the project's protocol notes.

// The attribute lets clippy see tests: their helpers may unwrap.
#[cfg(test)]
mod all_the_while;
#[cfg(test)]
mod authentication;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod collector;
#[cfg(test)]
mod collector_outage;
#[cfg(test)]
mod context;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod debug_level;
#[cfg(test)]
mod exporter_metadata;
#[cfg(test)]
mod failing_hook;
#[cfg(test)]
mod flag_changes;
#[cfg(test)]
mod flag_keys;
#[cfg(test)]
mod flag_sets;
#[cfg(test)]
mod following;
#[cfg(test)]
mod in_process_refreshing;
#[cfg(test)]
mod in_process_restarts;
#[cfg(test)]
mod in_process_starting;
#[cfg(test)]
mod in_process_usage;
#[cfg(test)]
mod instances;
#[cfg(test)]
mod load;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod path_prefix;
#[cfg(test)]
mod recording_transport;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod stream_keys;
#[cfg(test)]
mod surfaces;
#[cfg(test)]
mod types;
#[cfg(test)]
mod unix_socket;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod values;
