//! [`EmbeddedRelay`]: a relay proxy inside the test, over real HTTP and WebSocket.

mod answer;
mod authentication;
mod builder;
mod change_stream;
mod collector;
mod configuration;
mod date;
mod evaluation;
mod faults;
mod flag_set;
mod request_json;
mod routes;
mod server;
mod service;
mod socket;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use goff_engine::FlagFileFormat;
use serde_json::Value;

pub use builder::{EmbeddedRelayBuilder, FlagSetOptions};
pub use collector::{CollectedEvent, CollectedKind};
pub use faults::{Fault, RelayEndpoint};

use flag_set::Source;
use server::{Address, Server};
use service::Service;

/// The release of the relay proxy whose answers these are, marked as not being it.
const VERSION: &str = "1.55.2+embedded";

/// A relay proxy on a free port of 127.0.0.1: the real one's protocol, the engine of
/// `goff-engine`, and the flags of a file or a text.
///
/// What a GO Feature Flag provider asks of a relay proxy is there: single and bulk evaluation
/// in both protocols, the flag configuration with its ETag, the hashes of changes, the data
/// collector, the change stream at both addresses, keys, flag sets, enrichment, and the error
/// answers of each. The same requests are sent to it and to the real relay proxy, and the
/// answers compared; it differs in this, on purpose:
///
/// * no server-sent events, manifest, metrics or Swagger pages; bodies in JSON only;
/// * it never writes into the metadata of a disabled flag that is asked for over OFREP, so that
///   no change is announced which nobody made;
/// * the hashes and ETags are other ones, as members are written in another order.
///
/// It runs on a thread of its own with a runtime of its own, so it can be used from any test,
/// synchronous or not, on any runtime and with a paused clock. Its methods block for as long as
/// that thread takes to obey, which is far below a millisecond. Dropping it closes the port and
/// every connection, and ends the thread.
///
/// ```
/// use std::io::{Read as _, Write as _};
/// use goff_testkit::EmbeddedRelay;
///
/// let relay = EmbeddedRelay::builder()
///     .flags("
/// new-checkout:
///   variations: {on: true, off: false}
///   targeting: [{query: plan eq \"pro\", variation: on}]
///   defaultRule: {variation: off}
/// ")
///     .start()?;
/// let endpoint = relay.endpoint(); // for the client under test
///
/// // Any HTTP client will do:
/// let mut stream = std::net::TcpStream::connect(relay.socket_address().unwrap())?;
/// let body = r#"{"evaluationContext":{"key":"user-1","custom":{"plan":"pro"}}}"#;
/// write!(
///     stream,
///     "POST /v1/feature/new-checkout/eval HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\
///      Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
///     body.len(),
/// )?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert!(answer.contains(r#""reason":"TARGETING_MATCH""#) && answer.contains(r#""value":true"#));
///
/// // The relay proxy recorded that evaluation, as the real one's exporter would.
/// let events = relay.feature_events();
/// assert_eq!(events[0]["userKey"], "user-1");
/// assert_eq!(events[0]["source"], "SERVER");
///
/// // A change is announced to every connected client at once.
/// relay.set_flags("new-checkout: {variations: {on: true}, defaultRule: {variation: on}}")?;
/// # drop(endpoint);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddedRelay {
    address: Address,
    service: Arc<Service>,
    /// Last, so that what it serves is there until it has ended.
    server: Server,
}

impl EmbeddedRelay {
    /// A relay proxy to set up: without anything set it has no flags and asks for no key.
    pub fn builder() -> EmbeddedRelayBuilder {
        EmbeddedRelayBuilder::new()
    }

    /// What a client is configured with: `http://127.0.0.1:PORT` with the path prefix, or
    /// `unix:///PATH`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("http://{address}{}", self.service.path_prefix),
            #[cfg(unix)]
            Address::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    /// Where it listens; none if on a Unix socket.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self.address {
            Address::Tcp(address) => Some(address),
            #[cfg(unix)]
            Address::Unix(_) => None,
        }
    }

    /// The release of the relay proxy whose protocol this is, as the header
    /// `X-Gofeatureflag-Version` says it.
    #[must_use]
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// Replaces the flags, and announces what changed before this returns. Where flags come from
    /// a file, the file is replaced as a whole.
    ///
    /// # Errors
    /// Flags that cannot be loaded, which leaves the flags as they were; a file that cannot be
    /// written; more than one flag set.
    pub fn set_flags(&self, text: &str) -> io::Result<()> {
        let [set] = self.service.flag_sets.as_slice() else {
            return Err(io::Error::other("there is more than one flag set"));
        };
        match set.file() {
            Some(path) => replace(&path, text)?,
            None => set.set_source(Source::Text(text.to_owned(), FlagFileFormat::Yaml)),
        }
        self.reload()
    }

    /// Reads the flags again now, and announces what changed before this returns.
    ///
    /// # Errors
    /// Flags that cannot be loaded, which leaves the flags as they were.
    pub fn reload(&self) -> io::Result<()> {
        self.service.reload().map_err(io::Error::other)
    }

    /// Why the last load failed, if it did. The flags of the load before are served.
    #[must_use]
    pub fn load_error(&self) -> Option<String> {
        let error = self.service.load_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The flags that are not served because the relay proxy finds them invalid, and why.
    #[must_use]
    pub fn flag_problems(&self) -> Vec<String> {
        let sets = self.service.flag_sets.iter();
        sets.flat_map(flag_set::FlagSet::problems).collect()
    }

    /// What was collected so far, in order: what clients sent to the data collector, and
    /// evaluations that this relay proxy recorded itself.
    #[must_use]
    pub fn events(&self) -> Vec<CollectedEvent> {
        self.service.collected.all()
    }

    /// The feature events among them, as an exporter would write them.
    #[must_use]
    pub fn feature_events(&self) -> Vec<Value> {
        self.events_of(CollectedKind::Feature)
    }

    /// The tracking events among them, as an exporter would write them.
    #[must_use]
    pub fn tracking_events(&self) -> Vec<Value> {
        self.events_of(CollectedKind::Tracking)
    }

    /// Waits until that many events were collected since the start or the last
    /// [`clear_events`](Self::clear_events); for as long as it takes.
    pub async fn wait_for_events(&self, count: usize) {
        let mut seen = self.service.collected.count();
        // The sender is in `self`, so the channel is open.
        let _ = seen.wait_for(|seen| *seen >= count).await;
    }

    /// Forgets what was collected.
    pub fn clear_events(&self) {
        self.service.collected.clear();
    }

    /// How many change streams are open.
    #[must_use]
    pub fn change_streams(&self) -> usize {
        self.service.streams.count()
    }

    /// Sends a message of the test's own on every open change stream, be it malformed.
    pub fn announce(&self, message: &str) {
        self.service.streams.tell(&message.into());
    }

    /// While silent, open change streams neither ping nor tell changes, and answer no ping: the
    /// connection looks open and is dead. What changed meanwhile is told afterwards.
    pub fn silence_change_streams(&self, silent: bool) {
        self.service.streams.set_silent(silent);
    }

    /// Puts a fault in force.
    pub fn inject(&self, fault: Fault) {
        self.service.faults.add(fault);
    }

    /// Takes every fault out of force. A request that is kept silent stays so.
    pub fn clear_faults(&self) {
        self.service.faults.clear();
    }

    /// Closes the listener and every connection, as when the process is killed: connecting is
    /// refused until [`start`](Self::start). What was collected stays.
    ///
    /// # Errors
    /// Only if the server's thread has panicked.
    pub fn stop(&self) -> io::Result<()> {
        self.server.stop()
    }

    /// Listens again, at the same address, with freshly loaded flags. Started already, it first
    /// stops.
    ///
    /// # Errors
    /// Flags that cannot be loaded; an address that somebody else has taken meanwhile.
    pub fn start(&self) -> io::Result<()> {
        self.reload()?;
        self.server.start(self.address.clone()).map(drop)
    }

    /// Stands still, as a suspended process does: connections are accepted and stay open, and
    /// nothing is answered, sent or read until [`resume`](Self::resume).
    ///
    /// # Errors
    /// Only if the server's thread has panicked.
    pub fn pause(&self) -> io::Result<()> {
        self.server.pause()
    }

    /// Goes on after a [`pause`](Self::pause), with everything that came meanwhile.
    pub fn resume(&self) {
        self.server.resume();
    }

    fn events_of(&self, kind: CollectedKind) -> Vec<Value> {
        let events = self.events().into_iter();
        events
            .filter(|event| event.kind == kind)
            .map(|event| event.json)
            .collect()
    }
}

/// Replaces a file as a whole, so that nobody reads half of one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}
