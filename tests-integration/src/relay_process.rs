//! One running relay proxy: started in a directory of its own, waited for, stopped when dropped.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::embedded::Embedded;
use crate::relay_config::FLAG_FILES;
use crate::{EventKind, Instance, RecordedEvents, RelaySource};

/// A relay proxy that answers; stopped when dropped, unless somebody else runs it.
#[derive(Debug)]
pub struct RelayProxy {
    endpoint: String,
    address: Address,
    version: String,
    server: Server,
}

/// What answers.
#[derive(Debug)]
enum Server {
    Process(Running),
    Embedded(Embedded),
    SomebodyElses,
}

/// Where a relay proxy listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl RelayProxy {
    /// Starts a relay proxy of the test's own, and returns once it has loaded its flags.
    ///
    /// # Errors
    ///
    /// If it does not get that far in three attempts on three ports; the error shows its log. If `source` is
    /// somebody else's relay proxy.
    pub fn start(instance: Instance, source: &RelaySource) -> Result<Self, StartError> {
        const ATTEMPTS: usize = 3;
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            // The relay proxy cannot bind port 0 and report the port, and the port found free may be taken
            // again by the time it binds.
            match Self::start_once(instance, source, None, None) {
                Ok(started) => return Ok(started),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| StartError::new("no attempt was made", String::new())))
    }

    /// Starts a relay proxy where another one was: at the port that a stopped one had.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), after one attempt.
    pub fn start_at(
        port: SocketAddr,
        instance: Instance,
        source: &RelaySource,
    ) -> Result<Self, StartError> {
        Self::start_once(instance, source, Some(port), None)
    }

    /// Starts a relay proxy where another one was, with other flags.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), after one attempt.
    pub fn start_at_with_flags(
        port: SocketAddr,
        instance: Instance,
        source: &RelaySource,
        flags: &str,
    ) -> Result<Self, StartError> {
        Self::start_once(instance, source, Some(port), Some(flags))
    }

    /// The relay proxy that somebody else runs at an `http:` URL.
    ///
    /// # Errors
    ///
    /// If the URL has another form or nobody answers there.
    pub fn external(url: &str) -> Result<Self, StartError> {
        let refused = |reason: &str| StartError::new(format!("`{url}`: {reason}"), String::new());
        let authority = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|authority| !authority.contains('/'))
            .ok_or_else(|| refused("expected http://HOST:PORT"))?;
        let address = authority
            .to_socket_addrs()
            .map_err(|error| refused(&error.to_string()))?
            .next()
            .ok_or_else(|| refused("the host has no address"))?;
        let address = Address::Tcp(address);
        let info = get(&address, "/info").map_err(|error| refused(&error.to_string()))?;
        Ok(Self {
            endpoint: format!("http://{authority}"),
            address,
            version: info.version(),
            server: Server::SomebodyElses,
        })
    }

    /// What a client is configured with: `http://127.0.0.1:PORT` or `unix:///PATH`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The version that it says it has; empty if it does not say.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The events of one kind that it has written so far; empty if somebody else runs it.
    pub fn recorded_events(&self, kind: EventKind) -> RecordedEvents {
        match &self.server {
            Server::Process(running) => {
                RecordedEvents::in_file(running.directory.join("events").join(kind.file_name()))
            }
            Server::Embedded(embedded) => {
                RecordedEvents::in_memory(Arc::clone(embedded.relay()), kind)
            }
            Server::SomebodyElses => RecordedEvents::in_file(PathBuf::new()),
        }
    }

    /// Replaces its flags. A process reads them at its next poll, at most a second later; the file is replaced
    /// as a whole, so it never reads half of one. The embedded one has them when this returns.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or somebody else runs it.
    pub fn set_flags(&self, flags: &str) -> io::Result<()> {
        match &self.server {
            Server::Process(running) => {
                let beside = running.directory.join("flags.yaml.new");
                fs::write(&beside, flags)?;
                fs::rename(beside, running.directory.join(FLAGS_FILE))
            }
            Server::Embedded(embedded) => embedded.set_flags(flags),
            Server::SomebodyElses => Err(not_ours()),
        }
    }

    /// Replaces one piece of its flag file, which must be there once.
    ///
    /// # Errors
    ///
    /// As [`set_flags`](Self::set_flags), and if the piece is not there exactly once.
    pub fn edit_flags(&self, from: &str, to: &str) -> io::Result<()> {
        let flags = match &self.server {
            Server::Process(running) => fs::read_to_string(running.directory.join(FLAGS_FILE))?,
            Server::Embedded(embedded) => embedded.flags(),
            Server::SomebodyElses => return Err(not_ours()),
        };
        if flags.matches(from).count() != 1 {
            let reason = format!("the flag file does not hold this once:\n{from}");
            return Err(io::Error::other(reason));
        }
        self.set_flags(&flags.replace(from, to))
    }

    /// Sends it a signal, by the name that `kill` has for it: `STOP`, `CONT`, `KILL`. The embedded one does what
    /// the signal would do to a process.
    ///
    /// # Errors
    ///
    /// If it does not run, or somebody else runs it.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        match &self.server {
            Server::Process(running) => running.signal(name),
            Server::Embedded(embedded) => embedded.signal(name),
            Server::SomebodyElses => Err(not_ours()),
        }
    }

    /// What it has logged so far; the embedded one logs nothing.
    pub fn log(&self) -> String {
        match &self.server {
            Server::Process(running) => running.log(),
            Server::Embedded(_) | Server::SomebodyElses => String::new(),
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
        let running = Running::spawn(source, directory, name, &address).map_err(failed)?;
        let version = running.wait_until_loaded(&address, PATIENCE)?.version();
        Ok(Self {
            endpoint,
            address,
            version,
            server: Server::Process(running),
        })
    }
}

/// Why a relay proxy could not be started.
#[derive(Debug)]
pub struct StartError {
    reason: String,
    log: String,
}

impl StartError {
    fn new(reason: impl Into<String>, log: String) -> Self {
        Self {
            reason: reason.into(),
            log,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no relay proxy: {}", self.reason)?;
        if !self.log.is_empty() {
            write!(formatter, "\n--- its log ---\n{}\n---", self.log.trim_end())?;
        }
        Ok(())
    }
}

impl Error for StartError {}

/// The watchdog script with the relay proxy under it.
#[derive(Debug)]
struct Running {
    directory: PathBuf,
    /// Its name, if it runs in one.
    container: Option<OsString>,
    watchdog: Child,
    /// Closing it stops the relay proxy; see `watchdog.sh`.
    lifeline: Option<ChildStdin>,
}

impl Running {
    fn spawn(
        source: &RelaySource,
        directory: PathBuf,
        configuration: &str,
        address: &Address,
    ) -> io::Result<Self> {
        let log = fs::File::create(directory.join("log"))?;
        let container = match source {
            RelaySource::Docker(_) => directory.file_name().map(ToOwned::to_owned),
            RelaySource::Binary(_) | RelaySource::Endpoint(_) | RelaySource::Embedded => None,
        };
        let mut command = Command::new("sh");
        command
            .args(["-c", include_str!("watchdog.sh"), "watchdog"])
            .arg(&directory)
            .arg(container.as_deref().unwrap_or_default());
        match source {
            RelaySource::Binary(binary) => {
                command.arg(binary);
                // Any variable could be taken for configuration: the relay proxy reads them all.
                command
                    .env_clear()
                    .envs(env::var_os("PATH").map(|path| ("PATH", path)));
                match address {
                    Address::Tcp(address) => command
                        .env("SERVER_HOST", address.ip().to_string())
                        .env("SERVER_PORT", address.port().to_string()),
                    Address::Unix(path) => command.env("SERVER_UNIXSOCKETPATH", path),
                };
            }
            RelaySource::Docker(compose_file) => {
                let owner = fs::metadata(&directory)?;
                command
                    .args(["docker", "compose", "--file"])
                    .arg(compose_file);
                command
                    .args(["run", "--rm", "-T", "--name"])
                    .arg(container.as_deref().unwrap_or_default());
                command.args(["--user", &format!("{}:{}", owner.uid(), owner.gid())]);
                command.args(["--volume", &format!("{}:/goff", directory.display())]);
                match address {
                    Address::Tcp(address) => command
                        .args(["--publish", &format!("{address}:{}", address.port())])
                        .args(["--env", &format!("SERVER_PORT={}", address.port())]),
                    Address::Unix(_) => command.args(["--env", "SERVER_UNIXSOCKETPATH=relay.sock"]),
                };
                command.args(["relay", "/go-feature-flag"]);
            }
            RelaySource::Endpoint(_) | RelaySource::Embedded => {
                return Err(io::Error::other("there is no process to start"));
            }
        }
        command
            .args(["--config", configuration])
            .current_dir(&directory);
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Control-C reaches the tests alone; the relay proxy then ends by the watchdog.
        command.process_group(0);
        let mut watchdog = command.spawn()?;
        let lifeline = watchdog.stdin.take();
        Ok(Self {
            directory,
            container,
            watchdog,
            lifeline,
        })
    }

    fn wait_until_loaded(&self, address: &Address, patience: Duration) -> Result<Info, StartError> {
        let give_up = Instant::now() + patience;
        loop {
            let exit_status = self.directory.join("exit-status");
            let exit_status = fs::read_to_string(exit_status).unwrap_or_default();
            if !exit_status.is_empty() {
                let reason = format!("it ended with status {}", exit_status.trim());
                return Err(StartError::new(reason, self.log()));
            }
            let info = get(address, "/info");
            match info {
                Ok(info) if info.is_loaded() => return Ok(info),
                info if Instant::now() > give_up => {
                    let reason = format!("not ready after {patience:?}: {info:?}");
                    return Err(StartError::new(reason, self.log()));
                }
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn signal(&self, name: &str) -> io::Result<()> {
        let process_id = fs::read_to_string(self.directory.join("process-id"))?;
        if self.directory.join("exit-status").exists() {
            return Err(io::Error::other("it has ended"));
        }
        let mut command = match &self.container {
            Some(container) => {
                let mut docker = Command::new("docker");
                docker.args(["kill", "--signal", name]).arg(container);
                docker
            }
            None => {
                let mut kill = Command::new("kill");
                kill.args(["-s", name, process_id.trim()]);
                kill
            }
        };
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("{name} was not sent: {words}")));
        }
        if name == "STOP" && self.container.is_none() {
            return wait_until_stopped(process_id.trim());
        }
        Ok(())
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A process stops thread by thread after `kill` has returned, and one that still runs may answer a request.
fn wait_until_stopped(process_id: &str) -> io::Result<()> {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !is_stopped(process_id)? {
        if Instant::now() > give_up {
            return Err(io::Error::other("it does not stop"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn is_stopped(process_id: &str) -> io::Result<bool> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process_id}/task")) else {
        // Not Linux: the state of the process has to do.
        let mut state = Command::new("ps");
        state.args(["-o", "state=", "-p", process_id]);
        return Ok(state.output()?.stdout.starts_with(b"T"));
    };
    for thread in threads {
        // One that has ended meanwhile runs no more.
        let status = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold some itself.
        if let Some((_, rest)) = status.rsplit_once(')')
            && !rest.trim_start().starts_with(['T', 't'])
        {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifeline.take();
        // The script bounds the time this takes. If it cannot be waited for it is gone already.
        let _ = self.watchdog.wait();
    }
}

fn not_ours() -> io::Error {
    io::Error::other("somebody else runs this relay proxy")
}

/// The file that every configuration but the one with flag sets reads.
const FLAGS_FILE: &str = "flags.yaml";

/// Long enough for a machine that is compiling beside the tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Short, because a socket in it has to fit into about 100 bytes.
pub(crate) fn new_directory() -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("goff-relay-{}-{number}", process::id()));
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    // Docker and the relay proxy's logs want the path without symbolic links.
    path.canonicalize()
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

/// A 200 answer.
#[derive(Debug)]
struct Info {
    head: String,
    body: String,
}

impl Info {
    /// The liveness answer says nothing about flags; this one says when they were loaded, for each flag set,
    /// and year 1 when they were not.
    fn is_loaded(&self) -> bool {
        self.body.contains("cacheRefresh") && !self.body.contains("\"0001-")
    }

    fn version(&self) -> String {
        let header = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("X-Gofeatureflag-Version")
                .then(|| value.trim())
        });
        header.unwrap_or_default().to_owned()
    }
}

fn get(address: &Address, path: &str) -> io::Result<Info> {
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(2));
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(TIMEOUT)?;
            get_over(stream, path)
        }
        Address::Unix(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(TIMEOUT)?;
            get_over(stream, path)
        }
    }
}

fn get_over(mut stream: impl Read + Write, path: &str) -> io::Result<Info> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let unexpected = || io::Error::other(format!("unexpected answer to GET {path}: {answer}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(unexpected)?;
    let status = head.split_whitespace().nth(1).ok_or_else(unexpected)?;
    if status == "200" {
        Ok(Info {
            head: head.to_owned(),
            body: body.to_owned(),
        })
    } else {
        Err(unexpected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_proxy_that_ends_shows_its_log() {
        // `sh --config open.yaml` is a program that fails at once, with words.
        let source = RelaySource::Binary("/bin/sh".into());
        let error = RelayProxy::start(Instance::Open, &source)
            .unwrap_err()
            .to_string();
        assert!(error.contains("ended with status "), "{error}");
        assert!(error.contains("--- its log ---\n/bin/sh: "), "{error}");
    }

    #[test]
    fn a_relay_proxy_that_is_not_there_shows_the_shell_s_words() {
        let source = RelaySource::Binary("/nowhere/relayproxy".into());
        let error = RelayProxy::start(Instance::Open, &source)
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere/relayproxy"), "{error}");
        assert!(error.contains("127"), "{error}");
    }

    #[test]
    fn stopping_ends_a_process_that_ignores_sigterm_and_removes_its_directory() {
        let directory = new_directory().unwrap();
        fs::write(
            directory.join("deaf"),
            "#!/bin/sh\ntrap '' TERM\necho $$ > pid\nwhile :; do sleep 0.05; done\n",
        )
        .unwrap();
        let address = Address::Unix(directory.join("relay.sock"));
        let mut deaf = Command::new("chmod");
        assert!(
            deaf.arg("+x")
                .arg(directory.join("deaf"))
                .status()
                .unwrap()
                .success()
        );
        let source = RelaySource::Binary(directory.join("deaf"));
        let running = Running::spawn(&source, directory.clone(), "", &address).unwrap();
        let pid = loop {
            if let Some(pid) = fs::read_to_string(directory.join("pid"))
                .ok()
                .filter(|pid| pid.ends_with('\n'))
            {
                break pid.trim().to_owned();
            }
        };
        let alive = || {
            Command::new("kill")
                .args(["-0", &pid])
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        };
        assert!(alive());
        drop(running);
        assert!(!alive());
        assert!(!directory.exists());
    }

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
