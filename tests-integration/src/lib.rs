//! GO Feature Flag relay proxies for tests, real and embedded: started on free ports, with the flags of
//! `relay/flags.yaml`, and stopped however the tests end.
//!
//! `cargo xtask integration` says where the relay proxy comes from, see [`RelaySource`]. A test asks for
//! what it needs and returns early when it cannot have it:
//!
//! ```no_run
//! use goff_tests_integration::{Instance, relay, relay_under_control};
//!
//! # fn test() {
//! // Only evaluates, so the relay proxy of `--relay endpoint=URL` will do.
//! let Some(open) = relay(Instance::Open) else { return };
//! // Reads what the server recorded, so it needs a relay proxy of ours.
//! let Some(debug) = relay_under_control(Instance::Debug) else { return };
//! # }
//! ```
//!
//! Run by hand without a relay proxy, such a test passes with a message on standard error. With `CI` set in
//! the environment it fails.
//!
//! **Nothing survives.** A started relay proxy is the child of a shell script, `src/watchdog.sh`, whose standard
//! input the tests hold open. The kernel closes it when the test process ends, by whatever means, and the
//! script then ends the relay proxy and removes its directory. So instances can be shared through a static,
//! which Rust never drops. (`PR_SET_PDEATHSIG` would need `unsafe` and Linux.) An instance takes about a
//! quarter of a second to start and 80 MB. The embedded relay proxy is no process: it ends with the tests.
//!
//! Unix only.

mod breakable_proxy;
mod embedded;
mod fixture;
mod long_form;
mod recorded_events;
mod relay_config;
mod relay_process;
mod relay_source;
mod stripping_proxy;
mod wire;

pub use breakable_proxy::BreakableProxy;
pub use fixture::{real_relay_source, relay, relay_source, relay_under_control};
pub use long_form::number_from_environment;
pub use recorded_events::{EventKind, RecordedEvents};
pub use relay_config::{
    ADMIN_KEY, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, KEY_WITHOUT_FLAG_SET,
    TEAM_A_KEY, TEAM_B_KEY,
};
pub use relay_process::{Address, RelayProxy, StartError};
pub use relay_source::RelaySource;
pub use stripping_proxy::StrippingProxy;
pub use wire::{Answer, raw_request, request};
