//! The checked options of in-process evaluation: where its flags come from.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::in_process::compiled_configuration::CompiledConfiguration;
#[cfg(feature = "file")]
use crate::in_process::file::flag_file::FlagFile;
use crate::in_process::source::relay_source::RelaySource;
use crate::in_process::source::source_key::SourceKey;
use crate::remote::bounded_relay::BoundedRelay;

#[derive(Debug)]
pub(crate) enum InProcessMode {
    RelayProxy(RelayMode),
    /// Flags that never change.
    Flags(Arc<CompiledConfiguration>),
    #[cfg(feature = "file")]
    Files(Vec<FlagFile>),
}

/// Flags of a relay proxy.
#[derive(Debug)]
pub(crate) struct RelayMode {
    pub(crate) source: RelaySource,
    pub(crate) interval: Duration,
    /// Evaluates over OFREP where the engine fails.
    pub(crate) fallback: Option<BoundedRelay>,
    /// The API key, and the last-known-good file for its flags.
    pub(crate) key: watch::Sender<SourceKey>,
    /// One configuration of a client is compiled at a time, whichever session began it: the work
    /// outlives a session.
    pub(crate) compile_permit: Arc<Semaphore>,
}

impl InProcessMode {
    pub(crate) fn relay(&self) -> Option<&RelayMode> {
        match self {
            Self::RelayProxy(relay) => Some(relay),
            _ => None,
        }
    }
}
