//! Where the relay proxy under test comes from, as `cargo xtask integration` tells it.

use std::env;
use std::path::PathBuf;

/// Where the relay proxy comes from; read from the environment of the tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelaySource {
    /// `GOFF_RELAY_BINARY=PATH`: a relay proxy binary, started as often as tests need it.
    Binary(PathBuf),
    /// `GOFF_RELAY_COMPOSE_FILE=PATH`: the service `relay` of that docker compose file, likewise.
    Docker(PathBuf),
    /// `GOFF_RELAY_EMBEDDED=1`: the embedded one of goff-testkit, likewise.
    Embedded,
    /// `GOFF_RELAY_ENDPOINT=URL`: a relay proxy that somebody else runs with `relay/open.yaml`.
    Endpoint(String),
}

impl RelaySource {
    /// What the environment says, or `None` if it says nothing.
    pub fn from_environment() -> Option<Self> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("GOFF_RELAY_BINARY") {
            return Some(Self::Binary(path.into()));
        }
        if let Some(path) = variable("GOFF_RELAY_COMPOSE_FILE") {
            return Some(Self::Docker(path.into()));
        }
        if variable("GOFF_RELAY_EMBEDDED").is_some() {
            return Some(Self::Embedded);
        }
        let url = variable("GOFF_RELAY_ENDPOINT")?;
        Some(Self::Endpoint(url.to_string_lossy().into_owned()))
    }
}
