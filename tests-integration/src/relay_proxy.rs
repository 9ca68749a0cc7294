//! A relay proxy for tests: in a process, embedded, or external.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use goff_testkit::CollectedKind;
use serde_json::json;

use crate::embedded::Embedded;
use crate::relay_config::{ADMIN_KEY, FLAG_FILES};
use crate::relay_directory::new_directory;
use crate::relay_process::{RelayProcess, get};
use crate::{Address, Instance, RecordedEvents, RelaySource, StartError};

/// A running relay proxy. Dropping it stops it, unless it is external.
#[derive(Debug)]
pub struct RelayProxy {
    endpoint: String,
    address: Address,
    version: String,
    server: Server,
}

/// The server behind it.
#[derive(Debug)]
enum Server {
    Process(RelayProcess),
    Embedded(Embedded),
    /// Started by other means, at the endpoint of `--relay endpoint=URL`.
    External,
}

impl RelayProxy {
    /// Starts a relay proxy, and returns once it has loaded its flags.
    ///
    /// # Errors
    ///
    /// It has not loaded them in three attempts on three ports; the error shows its log. `source` is an
    /// endpoint.
    pub fn start(instance: Instance, source: &RelaySource) -> Result<Self, StartError> {
        Self::start_with_flags(instance, source, None)
    }

    /// As [`start`](Self::start), with other flags, if any.
    pub(crate) fn start_with_flags(
        instance: Instance,
        source: &RelaySource,
        flags: Option<&str>,
    ) -> Result<Self, StartError> {
        const ATTEMPTS: usize = 3;
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            // The relay proxy cannot bind port 0. A port that is free now may be in use when it binds.
            match Self::start_once(instance, source, None, flags) {
                Ok(started) => return Ok(started),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| StartError::new("no attempt was made", String::new())))
    }

    /// Starts a relay proxy of the configured source at the port of a stopped one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), after one attempt; no source is configured.
    pub fn start_at(port: SocketAddr, instance: Instance) -> Result<Self, StartError> {
        Self::start_once(instance, &RelaySource::configured()?, Some(port), None)
    }

    /// As [`start_at`](Self::start_at), with other flags.
    ///
    /// # Errors
    ///
    /// As [`start_at`](Self::start_at).
    pub fn start_at_with_flags(
        port: SocketAddr,
        instance: Instance,
        flags: &str,
    ) -> Result<Self, StartError> {
        let source = RelaySource::configured()?;
        Self::start_once(instance, &source, Some(port), Some(flags))
    }

    /// Starts a relay proxy of the configured source with a flag set for each flag file, given by its extension and
    /// its content. The key of the first is [`flag_set_key`]`(0)`. A file that the relay proxy refuses leaves its set
    /// without flags.
    ///
    /// # Errors
    ///
    /// The relay proxy does not answer; the source starts no process, or none is configured.
    pub fn start_with_flag_files(files: &[(&str, Vec<u8>)]) -> Result<Self, StartError> {
        let failed = |error: io::Error| StartError::new(error.to_string(), String::new());
        let source = RelaySource::configured()?;
        let directory = new_directory().map_err(failed)?;
        let mut sets = Vec::new();
        for (number, (extension, content)) in files.iter().enumerate() {
            let path = format!("file-{number}.{extension}");
            fs::write(directory.join(&path), content).map_err(failed)?;
            sets.push(json!({
                "name": format!("set-{number}"),
                "apiKeys": [flag_set_key(number)],
                "pollingInterval": 3_600_000,
                "startWithRetrieverError": true,
                "fileFormat": extension,
                "retriever": {"kind": "file", "path": path},
            }));
        }
        // JSON is YAML.
        let configuration = json!({
            "hideBanner": true,
            "server": {"mode": "http"},
            "authorizedKeys": {"admin": [ADMIN_KEY]},
            "flagsets": sets,
        });
        let name = "flag-files.yaml";
        fs::write(directory.join(name), configuration.to_string()).map_err(failed)?;
        let port = free_port().map_err(failed)?;
        let address = Address::Tcp(port);
        let process = RelayProcess::spawn(&source, directory, name, &address).map_err(failed)?;
        let version = process.wait_until_it_answers(&address)?.version();
        Ok(Self {
            endpoint: format!("http://{port}"),
            address,
            version,
            server: Server::Process(process),
        })
    }

    /// The relay proxy at an `http:` URL.
    ///
    /// # Errors
    ///
    /// The URL has another form, or no relay proxy answers there.
    pub fn external(url: &str) -> Result<Self, StartError> {
        let refused = |reason: &str| StartError::new(format!("`{url}`: {reason}"), String::new());
        let authority = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|authority| !authority.contains('/'));
        let authority = authority.ok_or_else(|| refused("expected http://HOST:PORT"))?;
        let addresses = authority.to_socket_addrs();
        let mut addresses = addresses.map_err(|error| refused(&error.to_string()))?;
        let address = addresses.next();
        let address = Address::Tcp(address.ok_or_else(|| refused("the host has no address"))?);
        let info = get(&address, "/info").map_err(|error| refused(&error.to_string()))?;
        Ok(Self {
            endpoint: format!("http://{authority}"),
            address,
            version: info.version(),
            server: Server::External,
        })
    }

    /// The endpoint for a client: `http://127.0.0.1:PORT` or `unix:///PATH`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The address at which it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The port at which it listens.
    ///
    /// # Panics
    ///
    /// It listens on a Unix socket.
    #[expect(clippy::panic, reason = "the test chose an instance without a port")]
    pub fn port(&self) -> SocketAddr {
        match self.address {
            Address::Tcp(port) => port,
            Address::Unix(_) => panic!("{} is no port", self.endpoint),
        }
    }

    /// The version in its answers; empty if they have none.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The processor time that it has taken so far; `None` unless it is a process of this machine, on Linux.
    pub fn processor_time(&self) -> Option<Duration> {
        match &self.server {
            Server::Process(process) => process.processor_time(),
            Server::Embedded(_) | Server::External => None,
        }
    }

    /// The events of one kind that it has written so far; none for an external one.
    pub fn recorded_events(&self, kind: CollectedKind) -> RecordedEvents {
        match &self.server {
            Server::Process(process) => {
                let name = match kind {
                    CollectedKind::Tracking => "tracking.jsonl",
                    _ => "feature.jsonl",
                };
                RecordedEvents::in_file(process.directory.join("events").join(name))
            }
            Server::Embedded(embedded) => {
                RecordedEvents::in_memory(Arc::clone(embedded.relay()), kind)
            }
            Server::External => RecordedEvents::in_file(PathBuf::new()),
        }
    }

    /// Replaces its flag file atomically. A process reads it at its next poll, at most a second later; the embedded
    /// one has the new flags when this returns.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the relay proxy is external.
    pub fn set_flags(&self, flags: &str) -> io::Result<()> {
        match &self.server {
            Server::Process(process) => {
                let beside = process.directory.join("flags.yaml.new");
                fs::write(&beside, flags)?;
                fs::rename(beside, process.directory.join(FLAGS_FILE))
            }
            Server::Embedded(embedded) => embedded.set_flags(flags),
            Server::External => Err(external()),
        }
    }

    /// Replaces a part of its flag file that occurs once.
    ///
    /// # Errors
    ///
    /// As [`set_flags`](Self::set_flags); the part does not occur exactly once.
    pub fn edit_flags(&self, from: &str, to: &str) -> io::Result<()> {
        let flags = match &self.server {
            Server::Process(process) => fs::read_to_string(process.directory.join(FLAGS_FILE))?,
            Server::Embedded(embedded) => embedded.flags(),
            Server::External => return Err(external()),
        };
        if flags.matches(from).count() != 1 {
            let reason = format!("the flag file does not hold this once:\n{from}");
            return Err(io::Error::other(reason));
        }
        self.set_flags(&flags.replace(from, to))
    }

    /// Refuses an evaluation key from now on. A process notices it a moment later, when it has seen that its
    /// configuration was changed.
    ///
    /// # Errors
    ///
    /// Its configuration does not hold the key once or cannot be written, or it is external.
    pub fn remove_key(&self, key: &str) -> io::Result<()> {
        let process = match &self.server {
            Server::Process(process) => process,
            Server::Embedded(embedded) => {
                embedded.remove_key(key);
                return Ok(());
            }
            Server::External => return Err(external()),
        };
        let path = process.directory.join(&process.configuration);
        let text = fs::read_to_string(&path)?;
        if text.matches(key).count() != 1 {
            let reason = format!("the configuration does not hold `{key}` once");
            return Err(io::Error::other(reason));
        }
        let beside = process.directory.join("configuration.new");
        fs::write(&beside, text.replace(key, "removed"))?;
        fs::rename(beside, path)
    }

    /// Sends it a signal, named as for `kill`: `STOP`, `CONT`, `KILL`. The embedded one imitates the effect.
    ///
    /// # Errors
    ///
    /// It does not run, or it is external.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        match &self.server {
            Server::Process(process) => process.signal(name),
            Server::Embedded(embedded) => embedded.signal(name),
            Server::External => Err(external()),
        }
    }

    fn start_once(
        instance: Instance,
        source: &RelaySource,
        port: Option<SocketAddr>,
        flags: Option<&str>,
    ) -> Result<Self, StartError> {
        let failed = |error: io::Error| StartError::new(error.to_string(), String::new());
        if *source == RelaySource::Embedded {
            let embedded = Embedded::start(instance, port, flags).map_err(failed)?;
            return Ok(Self {
                endpoint: embedded.relay().endpoint(),
                address: embedded.address(),
                version: embedded.relay().version().to_owned(),
                server: Server::Embedded(embedded),
            });
        }
        let directory = new_directory().map_err(failed)?;
        let (name, text) = instance.configuration();
        for (name, text) in FLAG_FILES.iter().chain(&[(name, text)]) {
            let text = flags.filter(|_| *name == FLAGS_FILE).unwrap_or(text);
            fs::write(directory.join(name), text).map_err(failed)?;
        }
        fs::create_dir(directory.join("events")).map_err(failed)?;

        let (address, endpoint) = if instance == Instance::UnixSocket {
            let path = directory.join("relay.sock");
            let endpoint = format!("unix://{}", path.display());
            (Address::Unix(path), endpoint)
        } else {
            let address = port.map_or_else(free_port, Ok).map_err(failed)?;
            (Address::Tcp(address), format!("http://{address}"))
        };
        let process = RelayProcess::spawn(source, directory, name, &address).map_err(failed)?;
        let version = process.wait_until_loaded(&address)?.version();
        Ok(Self {
            endpoint,
            address,
            version,
            server: Server::Process(process),
        })
    }
}

/// The key of a flag set of [`RelayProxy::start_with_flag_files`].
pub fn flag_set_key(number: usize) -> String {
    format!("key-{number}")
}

fn external() -> io::Error {
    io::Error::other("the relay proxy is external: the tests have no control of it")
}

/// The flag file that every configuration reads, except the one with flag sets.
const FLAGS_FILE: &str = "flags.yaml";

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_url_is_refused_unless_it_is_plain_http_without_a_path() {
        let check = |url: &str| {
            let error = RelayProxy::external(url).unwrap_err().to_string();
            assert!(error.contains(url), "{error}");
        };
        check("https://127.0.0.1:1");
        check("http://127.0.0.1:1/prefix");
        check("http://127.0.0.1:1");
        check("127.0.0.1:1031");
    }
}
