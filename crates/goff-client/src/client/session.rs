//! What exists between initialisation and shutdown.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use goff_core::__internal::BackgroundTask;
use goff_core::EvaluationType;
use tokio::sync::watch;

use crate::client::changes::ChangeSink;
use crate::client::evaluator::Evaluator;
#[cfg(feature = "in-process")]
use crate::in_process::current_configuration::FirstAttempt;
#[cfg(feature = "in-process")]
use crate::in_process::source::ConfigurationFollower;

/// A client that answers. Dropping it ends everything that it began.
pub(crate) struct Running {
    pub(crate) evaluator: Evaluator,
    pub(crate) sink: Arc<ChangeSink>,
    #[cfg(feature = "ws")]
    pub(crate) listener: ListenerSlot,
    #[cfg(feature = "in-process")]
    pub(crate) follower: std::sync::Mutex<Option<ConfigurationFollower>>,
    #[cfg(feature = "ws")]
    pub(crate) monitor: Option<goff_ws::StreamMonitor>,
    /// Ends with the client; nobody waits for it.
    pub(crate) _staleness: Option<BackgroundTask>,
    /// Evaluations that wait for the relay proxy, and whether they may go on.
    pub(crate) asking: watch::Sender<Asking>,
}

/// A listener until somebody takes it: whoever stops the client, or finds that the relay proxy
/// refuses it.
#[cfg(feature = "ws")]
pub(crate) type ListenerSlot = Arc<std::sync::Mutex<Option<goff_ws::ChangeListener>>>;

/// Evaluations under way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asking {
    count: usize,
    is_cut_off: bool,
}

impl Running {
    pub(crate) fn mode(&self) -> EvaluationType {
        match self.evaluator {
            Evaluator::Remote(_) => EvaluationType::Remote,
            #[cfg(feature = "in-process")]
            Evaluator::InProcess(..) => EvaluationType::InProcess,
        }
    }

    /// Whether there is nothing to load.
    pub(crate) fn answers_at_once(&self) -> bool {
        #[cfg(feature = "in-process")]
        if self.mode() == EvaluationType::InProcess {
            return self.first_attempt().is_none();
        }
        true
    }

    /// How the first attempt to load flags ends; `None` where they never change, or once the
    /// follower was taken.
    #[cfg(feature = "in-process")]
    pub(crate) fn first_attempt(&self) -> Option<watch::Receiver<Option<FirstAttempt>>> {
        let follower = self
            .follower
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        follower.as_ref().map(ConfigurationFollower::first_attempt)
    }

    /// Runs an evaluation that waits; `None` when the client's shutdown has run out of time.
    pub(crate) async fn until_cut_off<T>(&self, evaluation: impl Future<Output = T>) -> Option<T> {
        let mut asking = self.asking.subscribe();
        tokio::select! {
            biased;
            result = evaluation => Some(result),
            // The sender is in `self`, so the channel is open.
            _ = asking.wait_for(|asking| asking.is_cut_off) => None,
        }
    }

    /// Waits until no evaluation waits.
    pub(crate) async fn idle(&self) {
        let _ = self
            .asking
            .subscribe()
            .wait_for(|asking| asking.count == 0)
            .await;
    }

    /// Ends every evaluation that waits, and any that has come too late to be counted.
    pub(crate) fn cut_off(&self) {
        self.asking.send_modify(|asking| asking.is_cut_off = true);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("evaluator", &self.evaluator)
            .field("asking", &self.asking)
            .finish_non_exhaustive()
    }
}

/// One evaluation in the count. Shutdown waits for it, so it is held until the evaluation is
/// recorded: then the last delivery has its event.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Running>);

impl Counted {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        running.asking.send_if_modified(|asking| {
            asking.count += 1;
            // Nobody waits for there to be more.
            false
        });
        Self(running)
    }
}

impl Deref for Counted {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.asking.send_if_modified(|asking| {
            asking.count -= 1;
            asking.count == 0
        });
    }
}
