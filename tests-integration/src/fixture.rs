//! The relay proxies of tests. Shared ones are started when a test first needs them, one of each kind for a test
//! binary.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::OnceLock;

use crate::{Instance, RelayProxy, RelaySource, StartError};

/// A relay proxy that tests of this binary share. They must not stop it or change its flags.
///
/// # Panics
///
/// It cannot be started, no source is configured, or the source is an endpoint and `instance` is not
/// [`Instance::Open`].
pub fn relay(instance: Instance) -> &'static RelayProxy {
    static OPEN: OnceLock<RelayProxy> = OnceLock::new();
    static AUTHENTICATED: OnceLock<RelayProxy> = OnceLock::new();
    static FLAG_SETS: OnceLock<RelayProxy> = OnceLock::new();
    static DEBUG: OnceLock<RelayProxy> = OnceLock::new();
    static UNIX_SOCKET: OnceLock<RelayProxy> = OnceLock::new();
    let slot = match instance {
        Instance::Open => &OPEN,
        Instance::Authenticated => &AUTHENTICATED,
        Instance::FlagSets => &FLAG_SETS,
        Instance::Debug => &DEBUG,
        Instance::UnixSocket => &UNIX_SOCKET,
    };
    slot.get_or_init(|| own_relay(instance))
}

/// A relay proxy for one test.
///
/// # Panics
///
/// As [`relay`].
pub fn own_relay(instance: Instance) -> RelayProxy {
    started(|source| match source {
        RelaySource::Endpoint(url) if instance == Instance::Open => RelayProxy::external(url),
        source => RelayProxy::start(instance, source),
    })
}

/// A relay proxy for one test, with the flags of this text instead of `relay/flags.yaml`.
///
/// # Panics
///
/// As [`relay`]; the source is an endpoint.
pub fn own_relay_with_flags(instance: Instance, flags: &str) -> RelayProxy {
    started(|source| RelayProxy::start_with_flags(instance, source, Some(flags)))
}

#[expect(clippy::panic, reason = "a test fails without its relay proxy")]
fn started(start: impl FnOnce(&RelaySource) -> Result<RelayProxy, StartError>) -> RelayProxy {
    let started = RelaySource::configured().and_then(|source| start(&source));
    let relay = started.unwrap_or_else(|error: StartError| panic!("{error}"));
    report_version(&relay);
    relay
}

/// Adds the version to what `cargo xtask integration` prints at the end.
fn report_version(relay: &RelayProxy) {
    if let Some(path) = env::var_os("GOFF_RELAY_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        // If it fails, the summary lacks the version.
        let _ = file.and_then(|mut file| writeln!(file, "relay proxy {}", relay.version()));
    }
}
