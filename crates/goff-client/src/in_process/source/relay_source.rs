//! Fetches flag configurations from a relay proxy.

use std::sync::Arc;
use std::time::Duration;

use goff_core::{ConfigurationUpdate, FlagConfiguration, RelayError};
use goff_engine::FlagSetError;

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::remote::bounded_relay::BoundedRelay;
use crate::status::error::ClientError;

/// A relay proxy, and the flags to fetch.
#[derive(Debug, Clone)]
pub(crate) struct RelaySource {
    pub(crate) relay: BoundedRelay,
    /// Empty means all flags (GOFF-CFG-008).
    pub(crate) flags: Arc<[String]>,
}

#[derive(Debug)]
pub(crate) enum Fetched {
    NotModified,
    Received(FlagConfiguration),
}

#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error("the relay proxy answered without `flags`; keeping the flags loaded before")]
    NoFlags,
    #[error("the relay proxy's `flags` is not an object of flags: {0}")]
    Unreadable(#[source] FlagSetError),
    /// Loading goes on.
    #[error("the flags were received but not loaded within {} s; loading goes on", .0.as_secs_f32())]
    Slow(Duration),
    #[error("{0} the flags panicked")]
    Panicked(&'static str),
}

impl FetchError {
    /// Whether the relay proxy refuses the API key (GOFF-EVT-007). Any other failure may be
    /// temporary (GOFF-EVT-008).
    pub(crate) fn refusal(&self) -> Option<&RelayError> {
        match self {
            Self::Relay(error) if matches!(error.status(), Some(401 | 403)) => Some(error),
            _ => None,
        }
    }
}

impl From<FetchError> for ClientError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Relay(error) => Self::configuration(error),
            error => Self::configuration(error),
        }
    }
}

impl RelaySource {
    /// Fetches, unless `held` is still the current configuration.
    pub(crate) async fn fetch(
        &self,
        held: Option<&CompiledConfiguration>,
    ) -> Result<Fetched, FetchError> {
        let etag = held.and_then(CompiledConfiguration::etag);
        let relay = &self.relay;
        let call = relay.flag_configuration(&self.flags, etag);
        let configuration = match call.await? {
            ConfigurationUpdate::NotModified => return Ok(Fetched::NotModified),
            ConfigurationUpdate::Loaded(configuration) => configuration,
        };
        // The relay proxy omits an empty map, and so would a relay proxy that lost its flags. The
        // first time it is an empty configuration; later it is no reason to drop the flags
        // (GOFF-IP-009; docs/relay-protocol.md 21).
        if configuration.flags.is_none() && held.is_some() {
            return Err(FetchError::NoFlags);
        }
        Ok(Fetched::Received(configuration))
    }
}
