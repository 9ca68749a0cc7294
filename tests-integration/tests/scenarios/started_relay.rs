//! Scenarios that start relay proxies, stop them, change their flags, or read their events.

mod all_the_while;
mod authentication;
mod changes_and_usage;
mod collector;
mod collector_outage;
mod connect_proxy;
mod debug_level;
mod exporter_metadata;
mod flag_changes;
mod flag_sets;
mod hanging;
mod in_process_refreshing;
mod in_process_restarts;
mod in_process_starting;
mod in_process_usage;
mod instances;
mod key_rotation;
mod outage;
mod path_prefix;
mod recorded_context;
mod restart;
mod stream_keys;
mod unix_socket;
mod unreachable_flag_keys;
mod usage;
