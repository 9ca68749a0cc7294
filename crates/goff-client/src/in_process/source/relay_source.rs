//! Where flag configurations come from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{ConfigurationUpdate, Etag, RelayClient, RelayError};
use tokio::task::JoinSet;

use crate::in_process::GRACE;
use crate::in_process::snapshot::Snapshot;

/// Gives configurations, compiled.
#[derive(Debug, Clone)]
pub(crate) enum ConfigurationSource {
    RelayProxy(RelaySource),
}

/// A relay proxy's flags.
#[derive(Debug, Clone)]
pub(crate) struct RelaySource {
    pub(crate) relay: Arc<dyn RelayClient>,
    /// Which flags; all if there are none (GOFF-CFG-008).
    pub(crate) flags: Arc<[String]>,
    pub(crate) timeout: Duration,
}

/// What a fetch gave.
#[derive(Debug)]
pub(crate) enum Fetched {
    NotModified,
    Loaded(Snapshot),
}

/// Why a fetch gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// 401 or 403 (GOFF-EVT-007).
    Refused { status: u16, reason: String },
    /// Anything else; it may heal by itself (GOFF-EVT-008).
    Failed(String),
}

impl ConfigurationSource {
    /// Fetches and compiles, unless `held` is still the current configuration. A panic on the way
    /// is a failure like others (GOFF-IP-010).
    pub(crate) async fn fetch(&self, held: Option<&Snapshot>) -> Result<Fetched, FetchError> {
        match self {
            Self::RelayProxy(source) => {
                let held = held.map(|snapshot| snapshot.etag().cloned());
                let source = source.clone();
                apart(async move { source.fetch(held).await }).await
            }
        }
    }
}

impl RelaySource {
    /// `held` is the configuration that is held, with its ETag if it has one.
    async fn fetch(&self, held: Option<Option<Etag>>) -> Result<Fetched, FetchError> {
        let etag = held.as_ref().and_then(Option::as_ref);
        let asked = self.relay.flag_configuration(&self.flags, etag);
        let update = tokio::time::timeout(self.timeout + GRACE, asked)
            .await
            .unwrap_or(Err(RelayError::Timeout {
                timeout: self.timeout,
                sent: true,
            }))?;
        let configuration = match update {
            ConfigurationUpdate::NotModified => return Ok(Fetched::NotModified),
            ConfigurationUpdate::Loaded(configuration) => configuration,
        };
        // The relay proxy leaves an empty map out, and so would one that lost its flags: the first
        // time it is an empty configuration, afterwards no reason to forget what is held
        // (GOFF-IP-009; relay-protocol 21).
        if configuration.flags.is_none() && held.is_some() {
            return Err(FetchError::Failed(
                "the relay proxy answered without `flags`; those held are kept".to_owned(),
            ));
        }
        // Thousands of flags take milliseconds to compile.
        tokio::task::spawn_blocking(move || Snapshot::compile(configuration))
            .await
            .map_err(|_| FetchError::Failed("compiling the flags panicked".to_owned()))?
            .map(Fetched::Loaded)
            .map_err(|error| {
                FetchError::Failed(format!(
                    "the relay proxy's `flags` are not an object of flags: {error}"
                ))
            })
    }
}

/// Runs a fetch where its panic does no harm; it ends with whoever waits for it.
async fn apart<T: Send + 'static>(
    fetch: impl Future<Output = Result<T, FetchError>> + Send + 'static,
) -> Result<T, FetchError> {
    let mut round = JoinSet::new();
    round.spawn(fetch);
    match round.join_next().await {
        Some(Ok(result)) => result,
        _ => Err(FetchError::Failed("fetching the flags panicked".to_owned())),
    }
}

impl From<RelayError> for FetchError {
    fn from(error: RelayError) -> Self {
        match error.status() {
            Some(status @ (401 | 403)) => Self::Refused {
                status,
                reason: error.to_string(),
            },
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason, .. } | Self::Failed(reason) => f.write_str(reason),
        }
    }
}
