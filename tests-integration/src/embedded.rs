//! The embedded relay proxy of goff-testkit in place of a real one, with the settings of `relay/*.yaml`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use goff_testkit::{EmbeddedRelay, EmbeddedRelayBuilder, FlagSetOptions};

use crate::relay_config::{
    ADMIN_KEY, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, FLAG_FILES, KEY_WITHOUT_FLAG_SET,
    TEAM_A_KEY, TEAM_B_KEY,
};
use crate::relay_directory::SocketDirectory;
use crate::{Address, Instance};

/// An embedded relay proxy and its flags; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Embedded {
    relay: Arc<EmbeddedRelay>,
    flags: Mutex<String>,
    /// Holds the socket, if there is one. Declared last, so that it is removed last.
    _directory: Option<SocketDirectory>,
}

impl Embedded {
    pub(crate) fn start(
        instance: Instance,
        port: Option<SocketAddr>,
        flags: Option<&str>,
    ) -> io::Result<Self> {
        let flags = flags.unwrap_or_else(|| file("flags.yaml"));
        let free_port = (Ipv4Addr::LOCALHOST, 0).into();
        let open = EmbeddedRelay::builder()
            .listen_at(port.unwrap_or(free_port))
            .admin_key(ADMIN_KEY)
            .flags(flags)
            // Few, because tests measure the memory of this process.
            .keep_events(20_000)
            .enrichment("environment", "integration-test");
        let mut directory = None;
        let relay = match instance {
            Instance::Open => open,
            Instance::Authenticated => open
                .api_key(EVALUATION_KEY)
                .api_key(EVALUATION_KEY_TO_ESCAPE),
            Instance::FlagSets => with_flag_sets(open),
            Instance::Debug => open.debug(true),
            Instance::UnixSocket => {
                let made = SocketDirectory::new()?;
                let path = made.path.join("relay.sock");
                directory = Some(made);
                open.listen_at_socket(path)
            }
        };
        Ok(Self {
            relay: Arc::new(relay.start()?),
            flags: Mutex::new(flags.to_owned()),
            _directory: directory,
        })
    }

    pub(crate) fn relay(&self) -> &Arc<EmbeddedRelay> {
        &self.relay
    }

    pub(crate) fn address(&self) -> Address {
        match (self.relay.socket_address(), &self._directory) {
            (Some(address), _) => Address::Tcp(address),
            (None, Some(directory)) => Address::Unix(directory.path.join("relay.sock")),
            (None, None) => Address::Unix(PathBuf::new()),
        }
    }

    pub(crate) fn flags(&self) -> String {
        let flags = self.flags.lock();
        flags.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_flags(&self, flags: &str) -> io::Result<()> {
        self.relay.set_flags(flags)?;
        *self.flags.lock().unwrap_or_else(PoisonError::into_inner) = flags.to_owned();
        Ok(())
    }

    pub(crate) fn remove_key(&self, key: &str) {
        self.relay.remove_api_key(key);
    }

    /// Imitates the effect of a signal on a process.
    pub(crate) fn signal(&self, name: &str) -> io::Result<()> {
        match name {
            "STOP" => self.relay.pause(),
            "CONT" => {
                self.relay.resume();
                Ok(())
            }
            "KILL" | "TERM" => self.relay.stop(),
            _ => Err(io::Error::other(format!("no process to send {name} to"))),
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Recorded events may keep the relay proxy alive. Stopping fails only if its thread has ended.
        let _ = self.relay.stop();
    }
}

fn with_flag_sets(relay: EmbeddedRelayBuilder) -> EmbeddedRelayBuilder {
    let team_a = FlagSetOptions::new(EXPORTING_FLAG_SET)
        .api_key(TEAM_A_KEY)
        .flags(file("flags-team-a.yaml"))
        .enrichment("environment", "integration-test");
    let team_b = FlagSetOptions::new("team-b")
        .api_key(TEAM_B_KEY)
        .flags(file("flags-team-b.yaml"));
    relay
        .api_key(KEY_WITHOUT_FLAG_SET)
        .flag_set(team_a)
        .flag_set(team_b)
}

/// The one flag set with exporters in `relay/flag-sets.yaml`.
pub(crate) const EXPORTING_FLAG_SET: &str = "team-a";

fn file(name: &str) -> &'static str {
    let found = FLAG_FILES.iter().find(|(known, _)| *known == name);
    found.map_or("", |(_, text)| text)
}
