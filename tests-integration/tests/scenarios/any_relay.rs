//! Scenarios for any relay proxy that serves `relay/flags.yaml` and requires no key.

mod authentication;
mod bulk;
mod cache;
mod context;
mod explain;
mod flag_keys;
mod instances;
mod load;
mod path_prefix;
mod prefetch;
mod types;
mod values;
