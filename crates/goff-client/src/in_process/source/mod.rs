//! Whoever brings configurations to a client that is running.

pub(crate) mod pending_changes;
pub(crate) mod poller;
pub(crate) mod relay_source;

use std::time::Duration;

use tokio::sync::watch;

use crate::in_process::current_configuration::FirstAttempt;
#[cfg(feature = "file")]
use crate::in_process::file::follower::FileFollower;
use crate::in_process::source::poller::ConfigurationPoller;

/// Dropping it ends it.
#[derive(Debug)]
pub(crate) enum ConfigurationFollower {
    Poller(ConfigurationPoller),
    #[cfg(feature = "file")]
    File(FileFollower),
}

impl ConfigurationFollower {
    /// How the first attempt to load ended, once it has.
    pub(crate) fn first_attempt(&self) -> watch::Receiver<Option<FirstAttempt>> {
        match self {
            Self::Poller(poller) => poller.first_attempt(),
            #[cfg(feature = "file")]
            Self::File(follower) => follower.first_attempt(),
        }
    }

    pub(crate) async fn stop(self, grace: Duration) {
        match self {
            Self::Poller(poller) => poller.stop(grace).await,
            #[cfg(feature = "file")]
            Self::File(follower) => follower.stop(grace).await,
        }
    }
}
