//! [`EmbeddedRelay`]: a relay proxy inside the test, over real HTTP and WebSocket.

mod activity;
mod answer;
mod authentication;
mod builder;
mod change_stream;
mod collector;
mod configuration;
mod context;
mod date;
mod evaluation;
mod event;
mod faults;
mod flag_set;
mod request_json;
mod routes;
mod server;
mod service;
mod socket;
mod tasks;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use goff_engine::FlagFileFormat;
use serde_json::Value;

pub use activity::RelayActivity;
pub use builder::{EmbeddedRelayBuilder, FlagSetOptions};
pub use collector::{CollectedEvent, CollectedKind};
pub use faults::{Fault, RelayEndpoint};

use answer::VERSION;
use flag_set::Source;
use server::{Address, Server};
use service::Service;

/// A relay proxy on a free port of 127.0.0.1: it speaks the protocol of a real one, evaluates with
/// `goff-engine`, and serves the flags of a file or a text.
///
/// It has all that a GO Feature Flag provider needs of a relay proxy: single and bulk evaluation
/// in both protocols, the flag configuration with its ETag, the hashes of changes, the data
/// collector, the change stream at both addresses, keys, flag sets, enrichment, and the error
/// answers of each. The tests of this project send the same requests to it and to a real relay
/// proxy and compare status, shape, codes and values. These differences are intended:
///
/// * no server-sent events, metrics, Swagger pages, CORS or `?pretty`; bodies in JSON only;
/// * other words for malformed JSON, which may be nested 128 deep and hold no lone surrogates;
/// * an OFREP evaluation never changes the metadata of a disabled flag, so no such change is
///   announced;
/// * other hashes and ETags, since members are written in another order.
///
/// It runs on a dedicated thread with a dedicated runtime, so it can be used from any test,
/// synchronous or not, on any runtime. Its methods block until that thread has acted, which takes
/// far less than a millisecond. Dropping it closes the port and every connection, and ends the
/// thread.
///
/// Do not use it with tokio's paused clock: its connections are real, and while a test waits for
/// one, a paused clock jumps to the next timer, which is the client's timeout. With a paused clock
/// use [`TestFlags`](crate::TestFlags) or [`ScriptedRelay`](crate::ScriptedRelay), which answer
/// without I/O.
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
/// // The relay proxy recorded that evaluation, as the exporter of a real one would.
/// let events = relay.feature_events();
/// assert_eq!(events[0]["userKey"], "user-1");
/// assert_eq!(events[0]["source"], "SERVER");
///
/// // Every connected client is notified of a change at once.
/// relay.set_flags("new-checkout: {variations: {on: true}, defaultRule: {variation: on}}")?;
/// # drop(endpoint);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EmbeddedRelay {
    address: Address,
    service: Arc<Service>,
    server: Server,
}

impl EmbeddedRelay {
    /// Settings for a relay proxy: without flags and keys at first.
    pub fn builder() -> EmbeddedRelayBuilder {
        EmbeddedRelayBuilder::new()
    }

    /// The endpoint for a client: `http://127.0.0.1:PORT` with the path prefix, or `unix:///PATH`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("http://{address}{}", self.service.path_prefix),
            #[cfg(unix)]
            Address::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    /// The address at which it listens; `None` for a Unix socket.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self.address {
            Address::Tcp(address) => Some(address),
            #[cfg(unix)]
            Address::Unix(_) => None,
        }
    }

    /// The release of the relay proxy whose protocol it speaks, as in the header
    /// `X-Gofeatureflag-Version`.
    #[must_use]
    pub fn version(&self) -> &'static str {
        VERSION
    }

    /// Replaces the flags, and announces the changes before it returns. Where flags come from a
    /// file, the file is replaced atomically.
    ///
    /// # Errors
    /// The flags cannot be loaded, which leaves the earlier ones in place; the file cannot be
    /// written; there is more than one flag set, or flag file.
    pub fn set_flags(&self, text: &str) -> io::Result<()> {
        let [set] = self.service.flag_sets.as_slice() else {
            return Err(io::Error::other("there is more than one flag set"));
        };
        match set.files().as_slice() {
            [path] => replace(path, text)?,
            [_, ..] => return Err(io::Error::other("there is more than one flag file")),
            [] => set.set_source(Source::Text(text.to_owned(), FlagFileFormat::Yaml)),
        }
        self.reload()
    }

    /// Reads the flags again, and announces the changes before it returns.
    ///
    /// # Errors
    /// The flags cannot be loaded, which leaves the earlier ones in place.
    pub fn reload(&self) -> io::Result<()> {
        self.service.reload().map_err(io::Error::other)
    }

    /// The error of the last load, if it failed. The earlier flags are then served.
    #[must_use]
    pub fn load_error(&self) -> Option<String> {
        let error = self.service.load_error.lock();
        error.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses this key from now on, as a relay proxy does whose configuration was changed. Open change
    /// streams stay open.
    pub fn remove_api_key(&self, key: &str) {
        let keys = self.service.keys.write();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.remove(key);
    }

    /// Why flags are not served: one message for each invalid flag.
    #[must_use]
    pub fn flag_problems(&self) -> Vec<String> {
        let sets = self.service.flag_sets.iter();
        sets.flat_map(flag_set::FlagSet::problems).collect()
    }

    /// The events so far, in order: those that clients delivered to the data collector, and those
    /// of evaluations by this relay proxy. A client delivers in batches: call its `flush` or
    /// `shutdown` first, or wait with [`wait_for_events`](Self::wait_for_events).
    #[must_use]
    pub fn events(&self) -> Vec<CollectedEvent> {
        self.service.collected.all()
    }

    /// The feature events so far, as an exporter would write them.
    #[must_use]
    pub fn feature_events(&self) -> Vec<Value> {
        self.events_of(CollectedKind::Feature)
    }

    /// The tracking events so far, as an exporter would write them.
    #[must_use]
    pub fn tracking_events(&self) -> Vec<Value> {
        self.events_of(CollectedKind::Tracking)
    }

    /// Waits, without a limit, until `count` events have been collected since the start or the last
    /// [`clear_events`](Self::clear_events).
    pub async fn wait_for_events(&self, count: usize) {
        let mut seen = self.service.collected.count();
        // The channel stays open: `self` holds its sender.
        let _ = seen.wait_for(|seen| *seen >= count).await;
    }

    /// Removes the events so far.
    pub fn clear_events(&self) {
        self.service.collected.clear();
    }

    /// The number of open change streams.
    #[must_use]
    pub fn change_streams(&self) -> usize {
        self.service.streams.count()
    }

    /// Sends any message, even a malformed one, on every open change stream.
    pub fn announce(&self, message: &str) {
        self.service.streams.send(&message.into());
    }

    /// Makes the change streams silent, or ends the silence. A silent stream looks open and is dead:
    /// it sends neither pings nor changes, and answers no ping. Changes during the silence are sent
    /// after it.
    pub fn silence_change_streams(&self, silent: bool) {
        self.service.streams.set_silent(silent);
    }

    /// Activates a fault.
    pub fn inject(&self, fault: Fault) {
        self.service.faults.add(fault);
    }

    /// Deactivates every fault. A request without an answer stays without one.
    pub fn clear_faults(&self) {
        self.service.faults.clear();
    }

    /// Closes the listener and every connection, as if the process was killed: connections are
    /// refused until [`start`](Self::start). The collected events stay.
    ///
    /// # Errors
    /// The server's thread has panicked.
    pub fn stop(&self) -> io::Result<()> {
        self.server.stop()
    }

    /// Closes the listener, idle connections and change streams, and every other connection when its
    /// request is answered, as a process does that is asked to end. What is left after `timeout` is cut
    /// off; so it is if another thread calls [`stop`](Self::stop). Returns whether every request was
    /// answered.
    ///
    /// # Errors
    /// The server's thread has panicked.
    pub fn drain(&self, timeout: Duration) -> io::Result<bool> {
        self.server.drain(timeout)
    }

    /// Loads the flags and listens again at the same address. A running relay proxy stops first.
    ///
    /// # Errors
    /// The flags cannot be loaded, or the address is in use.
    pub fn start(&self) -> io::Result<()> {
        self.reload()?;
        self.server.start(self.address.clone()).map(drop)
    }

    /// Acts like a suspended process until [`resume`](Self::resume): the system accepts connections,
    /// and nothing is read or sent.
    ///
    /// # Errors
    /// The server's thread has panicked.
    pub fn pause(&self) -> io::Result<()> {
        self.server.pause()
    }

    /// Ends a [`pause`](Self::pause) and answers the requests that arrived during it.
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

/// Replaces a file atomically.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}
