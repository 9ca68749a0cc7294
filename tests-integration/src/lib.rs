//! GO Feature Flag relay proxies for tests, real and embedded: started on free ports, with the flags of
//! `relay/flags.yaml`, and stopped in whatever way the tests end.
//!
//! `cargo xtask integration` runs the tests and sets the source of the relay proxies, see [`RelaySource`]. Without it
//! they are ignored:
//!
//! ```text
//! use goff_tests_integration::{Instance, own_relay, relay};
//!
//! #[test]
//! #[ignore = "needs a relay proxy: cargo xtask integration"]
//! fn flags_are_served() {
//!     let shared = relay(Instance::Open);
//!     let only_for_this_test = own_relay(Instance::Authenticated);
//! }
//! ```
//!
//! The module in which a test lies says what it needs, and `cargo xtask integration` leaves out what the source cannot
//! give:
//!
//! * `any_relay`: a relay proxy that serves `relay/flags.yaml` and requires no key;
//! * `started_relay`: relay proxies that the tests start, stop, configure and whose events they read;
//! * `real_relay`: the same, and not the embedded one.
//!
//! **Nothing is left behind.** A started relay proxy is the child of a shell script, `src/watchdog.sh`, whose standard
//! input the tests hold open. The kernel closes it when the test process ends, in whatever way, and the script then
//! ends the relay proxy and removes its directory. So instances can be shared through a static, which Rust never
//! drops. (`PR_SET_PDEATHSIG` would need `unsafe` and Linux.) An instance takes about a quarter of a second to start
//! and 80 MB. The embedded relay proxy is no process: it ends with the tests.
//!
//! Unix only.

mod breakable_proxy;
mod embedded;
mod fixture;
mod long_form;
mod recorded_events;
mod relay_config;
mod relay_directory;
mod relay_process;
mod relay_proxy;
mod relay_source;
mod start_error;
mod stripping_proxy;
mod wire;

pub use breakable_proxy::BreakableProxy;
pub use fixture::{own_relay, own_relay_with_flags, relay};
pub use goff_testkit::CollectedKind;
pub use long_form::number_from_environment;
pub use recorded_events::RecordedEvents;
pub use relay_config::{
    ADMIN_KEY, CANONICAL_FLAGS, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance,
    KEY_WITHOUT_FLAG_SET, TEAM_A_KEY, TEAM_B_KEY,
};
pub use relay_process::processor_time;
pub use relay_proxy::{RelayProxy, flag_set_key};
pub use relay_source::RelaySource;
pub use start_error::StartError;
pub use stripping_proxy::StrippingProxy;
pub use wire::{Address, Answer, raw_request, request};
