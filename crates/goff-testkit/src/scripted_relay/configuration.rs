//! The flag configuration of a scripted relay.

use std::time::Duration;

use goff_core::{ConfigurationUpdate, Etag, FlagConfiguration, RelayError};

/// A request for the flag configuration that a [`ScriptedRelay`](crate::ScriptedRelay) received.
///
/// *Specification*: GOFF-IP-002.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConfigurationRequest {
    /// The requested flags; empty means all.
    pub flags: Vec<String>,
    /// The ETag that the client sent.
    pub held: Option<Etag>,
}

/// The flag configuration to serve, and the requests for it.
#[derive(Debug, Default)]
pub(super) struct ConfigurationScript {
    pub(super) configuration: FlagConfiguration,
    pub(super) failure: Option<RelayError>,
    pub(super) is_always_not_modified: bool,
    pub(super) delay: Option<Duration>,
    pub(super) requests: Vec<ConfigurationRequest>,
}

impl ConfigurationScript {
    pub(super) fn answer(&self, held: Option<&Etag>) -> Result<ConfigurationUpdate, RelayError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let is_current = held == self.configuration.etag.as_ref();
        if held.is_some() && (is_current || self.is_always_not_modified) {
            return Ok(ConfigurationUpdate::NotModified);
        }
        Ok(ConfigurationUpdate::Loaded(self.configuration.clone()))
    }
}
