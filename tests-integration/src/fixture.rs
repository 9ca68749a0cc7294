//! The relay proxies that tests share: one of each kind for a test binary, started when first asked for.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::thread;

use crate::{Instance, RelayProxy, RelaySource, StartError};

/// A relay proxy to evaluate against, shared with other tests of the binary.
///
/// `None` means that there is none, and that this has been said: the test then returns.
///
/// # Panics
///
/// If the relay proxy cannot be started, or none is configured and `CI` is set.
pub fn relay(instance: Instance) -> Option<&'static RelayProxy> {
    match RelaySource::from_environment() {
        None => none_configured(),
        Some(RelaySource::Endpoint(url)) if instance == Instance::Open => {
            static EXTERNAL: OnceLock<RelayProxy> = OnceLock::new();
            Some(EXTERNAL.get_or_init(|| or_panic(RelayProxy::external(&url))))
        }
        Some(RelaySource::Endpoint(_)) => leave_out(&instance.to_string()),
        Some(source) => Some(shared(instance, &source)),
    }
}

/// A relay proxy whose recorded events and files the test can read; shared, so it must not be reconfigured or
/// stopped (for that there is [`RelayProxy::start`]).
///
/// `None` means that there is none, and that this has been said: the test then returns.
///
/// # Panics
///
/// If the relay proxy cannot be started, or none is configured and `CI` is set.
pub fn relay_under_control(instance: Instance) -> Option<&'static RelayProxy> {
    match RelaySource::from_environment() {
        None => none_configured(),
        Some(RelaySource::Endpoint(_)) => leave_out("the files of the relay proxy"),
        Some(source) => Some(shared(instance, &source)),
    }
}

/// Where to start relay proxies of the test's own from, with [`RelayProxy::start`].
///
/// `None` means that none can be started, and that this has been said: the test then returns.
///
/// # Panics
///
/// If no relay proxy is configured and `CI` is set.
pub fn relay_source() -> Option<RelaySource> {
    match RelaySource::from_environment() {
        None => none_configured(),
        Some(RelaySource::Endpoint(_)) => leave_out("a relay proxy of its own"),
        source => source,
    }
}

/// As [`relay_source`], and never the embedded one.
///
/// # Panics
///
/// If no relay proxy is configured and `CI` is set.
pub fn real_relay_source() -> Option<RelaySource> {
    match relay_source()? {
        RelaySource::Embedded => leave_out("a real relay proxy"),
        source => Some(source),
    }
}

fn shared(instance: Instance, source: &RelaySource) -> &'static RelayProxy {
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
    slot.get_or_init(|| or_panic(RelayProxy::start(instance, source)))
}

#[expect(
    clippy::panic,
    reason = "a test cannot go on without the relay proxy it asked for"
)]
fn or_panic(started: Result<RelayProxy, StartError>) -> RelayProxy {
    let relay = started.unwrap_or_else(|error| panic!("{error}"));
    report(&format!("server: relay proxy {}\n", relay.version()));
    relay
}

#[expect(clippy::panic, reason = "in CI a test that cannot run has failed")]
fn none_configured<T>() -> Option<T> {
    let message = "no relay proxy is configured: run `cargo xtask integration`";
    if env::var_os("CI").is_some_and(|value| !value.is_empty()) {
        panic!("{message}");
    }
    say(message)
}

/// Reports that this test cannot run against the relay proxy at hand.
fn leave_out<T>(needs: &str) -> Option<T> {
    say(&format!("it needs {needs}"))
}

/// Says why a test is left out, on standard error itself, since the test runner hides what a passing test
/// prints through macros.
fn say<T>(reason: &str) -> Option<T> {
    let thread = thread::current();
    let line = format!(
        "left out: {}: {reason}\n",
        thread.name().unwrap_or("a test")
    );
    // If it cannot be written to, there is nobody to tell.
    let _ = io::stderr().write_all(line.as_bytes());
    report(&line);
    None
}

/// Adds a line to what `cargo xtask integration` prints at the end.
fn report(line: &str) {
    if let Some(path) = env::var_os("GOFF_RELAY_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        // Only the summary would lack it.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
