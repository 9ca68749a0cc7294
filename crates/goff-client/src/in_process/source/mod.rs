//! Where the flags of a session come from, and what keeps them current.

pub(crate) mod compilation;
pub(crate) mod fetch_schedule;
pub(crate) mod load_log;
pub(crate) mod pending_changes;
pub(crate) mod poller;
pub(crate) mod refresh_requests;
pub(crate) mod refresher;
pub(crate) mod relay_source;
pub(crate) mod source_key;

use std::sync::Arc;
use std::time::Duration;

use goff_core::NoRuntimeError;
use tokio::sync::watch;

use crate::in_process::current_configuration::{CurrentConfiguration, FirstAttempt};
#[cfg(feature = "file")]
use crate::in_process::file::source::FlagFileSource;
use crate::in_process::last_known_good::writer::LastKnownGoodWriter;
use crate::in_process::mode::InProcessMode;
use crate::in_process::replaced::ReplacedConfigurations;
use crate::in_process::source::compilation::Compilation;
use crate::in_process::source::load_log::LoadLog;
use crate::in_process::source::pending_changes::PendingChanges;
use crate::in_process::source::poller::{ConfigurationPoller, Poll};
use crate::in_process::source::refresh_requests::RefreshRequests;
use crate::in_process::source::refresher::Refresher;

/// Keeps the configuration of a session current. Dropping it stops it.
#[derive(Debug)]
pub(crate) enum ConfigurationSource {
    Poller(ConfigurationPoller),
    #[cfg(feature = "file")]
    File(FlagFileSource),
}

impl ConfigurationSource {
    /// Starts what `mode` needs; `None` if the flags never change. `on_refused` is called when the
    /// relay proxy refuses the key.
    pub(crate) fn start(
        mode: &InProcessMode,
        current: CurrentConfiguration,
        changes: Arc<PendingChanges>,
        on_refused: Box<dyn FnOnce() + Send>,
    ) -> Result<Option<Self>, NoRuntimeError> {
        match mode {
            InProcessMode::RelayProxy(relay) => {
                let has_file = relay.key.borrow().file.is_some();
                let writer = has_file
                    .then(|| LastKnownGoodWriter::start(Arc::clone(&relay.compile_permit)))
                    .transpose()?;
                let (requester, requests) = RefreshRequests::channel();
                let poll = Poll {
                    compilation: Compilation::new(Arc::clone(&relay.compile_permit)),
                    source: relay.source.clone(),
                    current,
                    writer,
                    key: relay.key.subscribe(),
                    changes,
                    requests,
                    replaced: ReplacedConfigurations::default(),
                    interval: relay.interval,
                    log: LoadLog::default(),
                    fetch_took: Duration::ZERO,
                };
                ConfigurationPoller::start(poll, requester, on_refused)
                    .map(|poller| Some(Self::Poller(poller)))
            }
            InProcessMode::Flags(compiled) => {
                current.evaluator.replace(Some(Arc::clone(compiled)));
                Ok(None)
            }
            #[cfg(feature = "file")]
            InProcessMode::Files(files) => {
                FlagFileSource::start(files, current).map(|source| Some(Self::File(source)))
            }
        }
    }

    /// Refreshes on request.
    pub(crate) fn refresher(&self) -> Refresher {
        match self {
            Self::Poller(poller) => poller.refresher(),
            #[cfg(feature = "file")]
            Self::File(source) => source.refresher(),
        }
    }

    /// How the first attempt to load ended, once it has.
    pub(crate) fn first_attempt(&self) -> watch::Receiver<Option<FirstAttempt>> {
        match self {
            Self::Poller(poller) => poller.first_attempt(),
            #[cfg(feature = "file")]
            Self::File(source) => source.first_attempt(),
        }
    }

    pub(crate) async fn stop(self, grace: Duration) {
        match self {
            Self::Poller(poller) => poller.stop(grace).await,
            #[cfg(feature = "file")]
            Self::File(source) => source.stop(grace).await,
        }
    }
}
