//! A relay proxy in a process: started, waited for, signaled, stopped when dropped.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Address, RelaySource, StartError};

/// A relay proxy and the watchdog script that ends it.
#[derive(Debug)]
pub(crate) struct RelayProcess {
    pub(crate) directory: PathBuf,
    /// The name of its configuration file.
    pub(crate) configuration: String,
    /// The name of its container, if it runs in one.
    container: Option<OsString>,
    watchdog: Child,
    /// Closing it stops the relay proxy; see `watchdog.sh`.
    lifeline: Option<ChildStdin>,
}

impl RelayProcess {
    pub(crate) fn spawn(
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
                let path = env::var_os("PATH").map(|path| ("PATH", path));
                // The relay proxy takes any environment variable for configuration.
                command.arg(binary).env_clear().envs(path);
                match address {
                    Address::Tcp(address) => command
                        .env("SERVER_HOST", address.ip().to_string())
                        .env("SERVER_PORT", address.port().to_string()),
                    Address::Unix(path) => command.env("SERVER_UNIXSOCKETPATH", path),
                };
            }
            RelaySource::Docker(compose_file) => {
                let owner = fs::metadata(&directory)?;
                let container = container.as_deref().unwrap_or_default();
                command
                    .args(["docker", "compose", "--file"])
                    .arg(compose_file);
                command.args(["run", "--rm", "-T", "--name"]).arg(container);
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
                return Err(io::Error::other("this source starts no process"));
            }
        }
        command
            .args(["--config", configuration])
            .current_dir(&directory);
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Control-C reaches the tests alone; the watchdog then ends the relay proxy.
        command.process_group(0);
        let mut watchdog = command.spawn()?;
        let lifeline = watchdog.stdin.take();
        Ok(Self {
            directory,
            configuration: configuration.to_owned(),
            container,
            watchdog,
            lifeline,
        })
    }

    pub(crate) fn wait_until_loaded(&self, address: &Address) -> Result<Info, StartError> {
        self.wait_until(address, Info::is_loaded)
    }

    /// Waits for an answer. The relay proxy then has read its flags, or refused them.
    pub(crate) fn wait_until_it_answers(&self, address: &Address) -> Result<Info, StartError> {
        self.wait_until(address, |_| true)
    }

    fn wait_until(
        &self,
        address: &Address,
        is_ready: impl Fn(&Info) -> bool,
    ) -> Result<Info, StartError> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let exit_status = self.directory.join("exit-status");
            let exit_status = fs::read_to_string(exit_status).unwrap_or_default();
            if !exit_status.is_empty() {
                let reason = format!("it ended with status {}", exit_status.trim());
                return Err(StartError::new(reason, self.log()));
            }
            let info = get(address, "/info");
            match info {
                Ok(info) if is_ready(&info) => return Ok(info),
                info if Instant::now() > give_up => {
                    let reason = format!("not ready after {PATIENCE:?}: {info:?}");
                    return Err(StartError::new(reason, self.log()));
                }
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        let process_id = fs::read_to_string(self.directory.join("process-id"))?;
        if self.directory.join("exit-status").exists() {
            return Err(io::Error::other("the relay proxy has ended"));
        }
        let mut command = Command::new(if self.container.is_some() {
            "docker"
        } else {
            "kill"
        });
        match &self.container {
            Some(container) => command.args(["kill", "--signal", name]).arg(container),
            None => command.args(["-s", name, process_id.trim()]),
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

    /// The processor time so far; `None` for a container, or outside Linux.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        if self.container.is_some() {
            return None;
        }
        let process_id = fs::read_to_string(self.directory.join("process-id")).ok()?;
        processor_time(&fs::read_to_string(format!("/proc/{}/stat", process_id.trim())).ok()?)
    }

    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The processor time, of user and system, in a `/proc/PID/stat`.
pub fn processor_time(stat: &str) -> Option<Duration> {
    // The name is in parentheses and may contain parentheses; the 12th and 13th fields after it are ticks, of which Linux
    // shows a hundred a second.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

/// The threads of a process stop one by one after `kill` has returned. One that still runs may answer a request.
fn wait_until_stopped(process_id: &str) -> io::Result<()> {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !is_stopped(process_id)? {
        if Instant::now() > give_up {
            return Err(io::Error::other("the relay proxy does not stop"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn is_stopped(process_id: &str) -> io::Result<bool> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process_id}/task")) else {
        // Not Linux: the state of the process must do.
        let mut state = Command::new("ps");
        state.args(["-o", "state=", "-p", process_id]);
        return Ok(state.output()?.stdout.starts_with(b"T"));
    };
    for thread in threads {
        // A thread that has ended has no status.
        let status = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may contain parentheses.
        if let Some((_, rest)) = status.rsplit_once(')')
            && !rest.trim_start().starts_with(['T', 't'])
        {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        self.lifeline.take();
        // The script bounds the time of this. It fails only if the watchdog has already been reaped.
        let _ = self.watchdog.wait();
    }
}

/// Enough for a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(30);

/// A 200 answer.
#[derive(Debug)]
pub(crate) struct Info {
    head: String,
    body: String,
}

impl Info {
    /// `/info` has the time at which flags were loaded, for each flag set; year 1 means never. `/health` has no
    /// such thing.
    fn is_loaded(&self) -> bool {
        self.body.contains("cacheRefresh") && !self.body.contains("\"0001-")
    }

    pub(crate) fn version(&self) -> String {
        let header = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("X-Gofeatureflag-Version")
                .then(|| value.trim())
        });
        header.unwrap_or_default().to_owned()
    }
}

pub(crate) fn get(address: &Address, path: &str) -> io::Result<Info> {
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
    if status != "200" {
        return Err(unexpected());
    }
    let (head, body) = (head.to_owned(), body.to_owned());
    Ok(Info { head, body })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::relay_directory::new_directory;

    fn start(source: &RelaySource) -> Result<Info, StartError> {
        let directory = new_directory().unwrap();
        let address = Address::Unix(directory.join("relay.sock"));
        let process = RelayProcess::spawn(source, directory, "open.yaml", &address).unwrap();
        process.wait_until_loaded(&address)
    }

    #[test]
    fn a_relay_proxy_that_ends_shows_its_log() {
        // `sh --config open.yaml` fails at once and prints an error.
        let source = RelaySource::Binary("/bin/sh".into());
        let error = start(&source).unwrap_err().to_string();
        assert!(error.contains("ended with status "), "{error}");
        assert!(error.contains("--- its log ---\n/bin/sh: "), "{error}");
    }

    #[test]
    fn a_missing_binary_shows_the_error_of_the_shell() {
        let source = RelaySource::Binary("/nowhere/relayproxy".into());
        let error = start(&source).unwrap_err().to_string();
        assert!(error.contains("/nowhere/relayproxy"), "{error}");
        assert!(error.contains("127"), "{error}");
    }

    #[test]
    fn stopping_ends_a_process_that_ignores_sigterm_and_removes_its_directory() {
        let directory = new_directory().unwrap();
        let deaf = directory.join("deaf");
        let script = "#!/bin/sh\ntrap '' TERM\necho $$ > pid\nwhile :; do sleep 0.05; done\n";
        fs::write(&deaf, script).unwrap();
        fs::set_permissions(&deaf, fs::Permissions::from_mode(0o700)).unwrap();
        let address = Address::Unix(directory.join("relay.sock"));
        let source = RelaySource::Binary(deaf);
        let running = RelayProcess::spawn(&source, directory.clone(), "", &address).unwrap();
        let pid = loop {
            let pid = fs::read_to_string(directory.join("pid")).unwrap_or_default();
            if let Some(pid) = pid.strip_suffix('\n') {
                break pid.to_owned();
            }
        };
        let alive = || {
            let mut kill = Command::new("kill");
            let output = kill.args(["-0", &pid]).output().unwrap();
            output.status.success()
        };
        assert!(alive());
        drop(running);
        assert!(!alive());
        assert!(!directory.exists());
    }
}
