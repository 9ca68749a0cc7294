//! The settings of an [`EmbeddedRelay`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use goff_core::__internal::A_YEAR;
use goff_engine::FlagFileFormat;
use serde_json::{Map, Value};

use super::EmbeddedRelay;
use super::activity::{Observer, RelayActivity};
use super::authentication::Keys;
use super::change_stream::ChangeStreams;
use super::collector::Collected;
use super::flag_set::{FlagSet, Source};
use super::server::{Address, Server};
use super::service::Service;

/// The settings of an [`EmbeddedRelay`], made by [`EmbeddedRelay::builder`].
///
/// ```
/// use goff_testkit::{EmbeddedRelay, FlagSetOptions};
///
/// let relay = EmbeddedRelay::builder()
///     .flag_set(
///         FlagSetOptions::new("shop")
///             .api_key("shop-key")
///             .flags("banner: {variations: {on: true}, defaultRule: {variation: on}}"),
///     )
///     .flag_set(FlagSetOptions::new("blog").api_key("blog-key").enrichment("region", "eu"))
///     .start()?;
/// assert!(relay.endpoint().starts_with("http://127.0.0.1:"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct EmbeddedRelayBuilder {
    address: Address,
    flags: FlagSetOptions,
    flag_sets: Vec<FlagSetOptions>,
    keys: Keys,
    path_prefix: String,
    poll_interval: Duration,
    ping_interval: Duration,
    kept_events: usize,
    is_debug: bool,
    observer: Observer,
}

impl EmbeddedRelayBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            flags: FlagSetOptions::new(""),
            flag_sets: Vec::new(),
            keys: Keys::default(),
            path_prefix: String::new(),
            poll_interval: Duration::from_millis(50),
            ping_interval: Duration::from_secs(1),
            kept_events: 100_000,
            is_debug: false,
            observer: Observer::default(),
        }
    }

    /// Flags as text, in YAML or JSON. Default: no flags.
    pub fn flags(mut self, text: impl Into<String>) -> Self {
        self.flags = self.flags.flags(text);
        self
    }

    /// Flags from a file: YAML, or by its extension JSON or TOML. It is read again at each
    /// [poll](Self::poll_interval), and changes are sent on the change streams. Called again, it adds
    /// a file: of flags with the same key, that of the last file is served.
    pub fn flag_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.flags = self.flags.flag_file(path);
        self
    }

    /// An attribute that is added to every evaluation context and overrides the caller's
    /// (`evaluationContextEnrichment`). Default: none.
    pub fn enrichment(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.flags = self.flags.enrichment(name, value);
        self
    }

    /// A flag set, which its keys select. With flag sets, [`flags`](Self::flags),
    /// [`flag_file`](Self::flag_file) and [`enrichment`](Self::enrichment) have no effect.
    /// Default: none.
    pub fn flag_set(mut self, flag_set: FlagSetOptions) -> Self {
        self.flag_sets.push(flag_set);
        self
    }

    /// A key for evaluation (`authorizedKeys.evaluation`). Default: none, and no key is required.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.keys.evaluation.push(key.into());
        self
    }

    /// A key for `POST /admin/v1/retriever/refresh` and for evaluation (`authorizedKeys.admin`).
    /// Default: none.
    pub fn admin_key(mut self, key: impl Into<String>) -> Self {
        self.keys.admin.push(key.into());
        self
    }

    /// A path such as `/flags` below which everything is served, as a gateway would. Default: the
    /// root.
    pub fn path_prefix(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let prefix = prefix.trim_matches('/');
        self.path_prefix = match prefix {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        self
    }

    /// The address to listen at. Default: a free port of 127.0.0.1.
    pub fn listen_at(mut self, address: SocketAddr) -> Self {
        self.address = Address::Tcp(address);
        self
    }

    /// Listens on a Unix socket at this path, and replaces a socket there at which nothing listens.
    /// On Unix systems only.
    #[cfg(unix)]
    pub fn listen_at_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.address = Address::Unix(path.into());
        self
    }

    /// The interval at which flag files are read again. Default: 50 ms; at least 1 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// The interval of the pings on change streams. Default: 1 s, as in the real relay proxy; at
    /// least 1 ms, and at most a year.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval.clamp(Duration::from_millis(1), A_YEAR);
        self
    }

    /// The number of events to keep; beyond it the oldest are dropped. Default: 100,000.
    pub fn keep_events(mut self, count: usize) -> Self {
        self.kept_events = count;
        self
    }

    /// Indents every body and adds details to errors, as a relay proxy at log level debug does.
    /// Default: false.
    pub fn debug(mut self, debug: bool) -> Self {
        self.is_debug = debug;
        self
    }

    /// A function that is called with what the relay proxy does, on its thread, so it must not wait.
    /// Default: none.
    ///
    /// ```
    /// use goff_testkit::{EmbeddedRelay, RelayActivity};
    ///
    /// let relay = EmbeddedRelay::builder().on_activity(|activity| {
    ///     if let RelayActivity::Request { method, path, status, .. } = activity {
    ///         println!("{status} {method} {path}");
    ///     }
    /// });
    /// # drop(relay);
    /// ```
    pub fn on_activity(mut self, call: impl Fn(RelayActivity) + Send + Sync + 'static) -> Self {
        self.observer = Observer(Some(Box::new(call)));
        self
    }

    /// Loads the flags, starts the thread and listens.
    ///
    /// # Errors
    /// The flags cannot be loaded, or the address cannot be bound.
    pub fn start(self) -> io::Result<EmbeddedRelay> {
        let mut keys = self.keys;
        let flag_sets: Vec<FlagSet> = if self.flag_sets.is_empty() {
            vec![self.flags.into_flag_set(false)]
        } else {
            for set in &self.flag_sets {
                keys.evaluation.extend(set.api_keys.iter().cloned());
            }
            let sets = self.flag_sets.into_iter();
            sets.map(|set| set.into_flag_set(true)).collect()
        };
        let service = Arc::new(Service {
            keys: RwLock::new(keys.enforced()),
            flag_sets,
            path_prefix: self.path_prefix,
            is_debug: self.is_debug,
            observer: self.observer,
            collected: Collected::new(self.kept_events),
            streams: Arc::new(ChangeStreams::new(self.ping_interval)),
            faults: Default::default(),
            load_error: Default::default(),
        });
        service.reload().map_err(io::Error::other)?;
        let server = Server::new(Arc::clone(&service), self.poll_interval)?;
        let address = server.start(self.address)?;
        Ok(EmbeddedRelay {
            address,
            service,
            server,
        })
    }
}

/// A flag set of an [`EmbeddedRelay`]: its name, its keys and its flags.
#[derive(Clone, Debug)]
#[must_use]
pub struct FlagSetOptions {
    name: String,
    api_keys: Vec<String>,
    enrichment: Map<String, Value>,
    source: Source,
}

impl FlagSetOptions {
    /// A flag set without keys and flags.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            api_keys: Vec::new(),
            enrichment: Map::new(),
            source: Source::Text(String::new(), FlagFileFormat::Yaml),
        }
    }

    /// A key that selects the set. It is a key for evaluation too.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_keys.push(key.into());
        self
    }

    /// As [`EmbeddedRelayBuilder::flags`].
    pub fn flags(mut self, text: impl Into<String>) -> Self {
        self.source = Source::Text(text.into(), FlagFileFormat::Yaml);
        self
    }

    /// As [`EmbeddedRelayBuilder::flag_file`].
    pub fn flag_file(mut self, path: impl Into<PathBuf>) -> Self {
        match &mut self.source {
            Source::Files(paths) => paths.push(path.into()),
            Source::Text(..) => self.source = Source::Files(vec![path.into()]),
        }
        self
    }

    /// As [`EmbeddedRelayBuilder::enrichment`].
    pub fn enrichment(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.enrichment.insert(name.into(), value.into());
        self
    }

    fn into_flag_set(self, has_name: bool) -> FlagSet {
        let name = has_name.then_some(self.name);
        FlagSet::new(name, self.api_keys, self.enrichment, self.source)
    }
}
