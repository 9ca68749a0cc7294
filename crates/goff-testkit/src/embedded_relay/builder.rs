//! How an [`EmbeddedRelay`] is set up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use goff_engine::FlagFileFormat;
use serde_json::{Map, Value};

use super::EmbeddedRelay;
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
        }
    }

    /// Flags from a text in YAML, or JSON that is YAML too. Default: no flags.
    pub fn flags(mut self, text: impl Into<String>) -> Self {
        self.flags = self.flags.flags(text);
        self
    }

    /// Flags from a file: YAML, or by its extension JSON or TOML. It is read again at every
    /// [poll](Self::poll_interval), and what changed is told on the change streams.
    pub fn flag_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.flags = self.flags.flag_file(path);
        self
    }

    /// An attribute that is added to every evaluation context and wins over the caller's
    /// (`evaluationContextEnrichment`).
    pub fn enrichment(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.flags = self.flags.enrichment(name, value);
        self
    }

    /// A flag set, chosen by its keys. With any, the flags and the enrichment above are unused.
    pub fn flag_set(mut self, flag_set: FlagSetOptions) -> Self {
        self.flag_sets.push(flag_set);
        self
    }

    /// A key that evaluation asks for (`authorizedKeys.evaluation`). Default: no key is asked for.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.keys.evaluation.push(key.into());
        self
    }

    /// A key for `POST /admin/v1/retriever/refresh`, good for evaluation too
    /// (`authorizedKeys.admin`).
    pub fn admin_key(mut self, key: impl Into<String>) -> Self {
        self.keys.admin.push(key.into());
        self
    }

    /// Serves everything below this path, as a gateway would: `/flags`. Default: at the root.
    pub fn path_prefix(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let prefix = prefix.trim_matches('/');
        self.path_prefix = match prefix {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        self
    }

    /// Where to listen. Default: a free port of 127.0.0.1.
    pub fn listen_at(mut self, address: SocketAddr) -> Self {
        self.address = Address::Tcp(address);
        self
    }

    /// Listens on a Unix socket at this path instead; what is there is replaced.
    #[cfg(unix)]
    pub fn listen_at_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.address = Address::Unix(path.into());
        self
    }

    /// How often flag files are read again. Default: 50 ms.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How often the change streams are pinged. Default: 1 s, as the relay proxy does.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How many events to keep; of more, the oldest go. Default: 100 000.
    pub fn keep_events(mut self, count: usize) -> Self {
        self.kept_events = count;
        self
    }

    /// Indents every body and says more in errors, as a relay proxy at log level debug does.
    /// Default: false.
    pub fn debug(mut self, debug: bool) -> Self {
        self.is_debug = debug;
        self
    }

    /// Loads the flags, starts the thread and listens.
    ///
    /// # Errors
    /// Flags that cannot be loaded; an address that cannot be bound.
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
            keys,
            flag_sets,
            path_prefix: self.path_prefix,
            is_debug: self.is_debug,
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

    /// A key that selects the set.
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
        self.source = Source::File(path.into());
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
