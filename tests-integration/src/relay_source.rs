//! The source of the relay proxies under test, from the environment that `cargo xtask integration` sets.

use std::env;
use std::path::PathBuf;

use crate::StartError;

/// The source of relay proxies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelaySource {
    /// `GOFF_RELAY_BINARY=PATH`: a relay proxy binary, started as often as tests need it.
    Binary(PathBuf),
    /// `GOFF_RELAY_COMPOSE_FILE=PATH`: the service `relay` of a docker compose file, likewise.
    Docker(PathBuf),
    /// `GOFF_RELAY_EMBEDDED=1`: the embedded one of goff-testkit, likewise.
    Embedded,
    /// `GOFF_RELAY_ENDPOINT=URL`: a running relay proxy with the configuration `relay/open.yaml`.
    Endpoint(String),
}

impl RelaySource {
    /// The source that the environment names.
    ///
    /// # Errors
    ///
    /// It names none.
    pub fn configured() -> Result<Self, StartError> {
        Self::from_environment().ok_or_else(|| {
            let reason = "none is configured; run `cargo xtask integration`";
            StartError::new(reason, String::new())
        })
    }

    fn from_environment() -> Option<Self> {
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
