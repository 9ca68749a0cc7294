//! Refreshes that the application asks for.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use goff_engine::FlagSet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::in_process::InProcessEvaluator;
#[cfg(feature = "file")]
use crate::in_process::file::merged::MergedFiles;
use crate::in_process::left_out::LeftOut;
use crate::in_process::snapshot::Snapshot;
use crate::status::error::ClientError;
use crate::status::events::ChangedFlags;
use crate::status::refresh::Refreshed;

/// Asks one task for refreshes.
#[derive(Debug, Clone)]
pub(crate) struct RefreshRequester(mpsc::UnboundedSender<Reply>);

/// The refreshes that a task was asked for.
#[derive(Debug)]
pub(crate) struct RefreshRequests {
    receiver: mpsc::UnboundedReceiver<Reply>,
    first: Option<Reply>,
}

/// Gets how the refresh has ended. Dropping it says that the task has ended.
pub(crate) type Reply = oneshot::Sender<Result<(), ClientError>>;

/// Refreshes all that the flags of a session come from.
#[derive(Debug)]
pub(crate) struct Refresher {
    pub(crate) tasks: Vec<RefreshRequester>,
    /// The longest that a caller waits.
    pub(crate) timeout: Duration,
    /// The files, whose tasks know only about one file each.
    #[cfg(feature = "file")]
    pub(crate) files: Option<Arc<MergedFiles>>,
}

impl RefreshRequests {
    pub(crate) fn channel() -> (RefreshRequester, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let first = None;
        (RefreshRequester(sender), Self { receiver, first })
    }

    /// Waits for the next request, which stays to be taken.
    pub(crate) async fn wait(&mut self) {
        if self.first.is_none() {
            self.first = match self.receiver.recv().await {
                None => pending().await,
                request => request,
            };
        }
    }

    /// Takes the requests whose callers still wait. One refresh that begins afterwards serves all.
    pub(crate) fn take(&mut self) -> Vec<Reply> {
        let mut requests: Vec<Reply> = self.first.take().into_iter().collect();
        while let Ok(request) = self.receiver.try_recv() {
            requests.push(request);
        }
        requests.retain(|request| !request.is_closed());
        requests
    }
}

impl Refresher {
    /// Refreshes, and compares the flags in use before with those afterwards. `None` if the client
    /// is being shut down. Runs on the session's runtime.
    pub(crate) async fn refresh(
        self,
        evaluator: Arc<InProcessEvaluator>,
    ) -> Option<Result<Refreshed, ClientError>> {
        let before = evaluator.snapshot();
        let replies: Option<Vec<_>> = self.tasks.iter().map(RefreshRequester::ask).collect();
        let end = Instant::now() + self.timeout;
        for reply in replies? {
            match timeout_at(end, reply).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => return Some(Err(error)),
                Ok(Err(_)) => return None,
                Err(_) => {
                    let error = RefreshTimeout(self.timeout);
                    return Some(Err(ClientError::configuration(error)));
                }
            }
        }
        #[cfg(feature = "file")]
        if let Some(error) = self.files.and_then(|files| files.failure()) {
            return Some(Err(ClientError::configuration(error)));
        }
        let after = evaluator.snapshot()?;
        if before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, &after))
        {
            return Some(Ok(Refreshed::Unchanged));
        }
        // Comparing and freeing large configurations takes long.
        let comparing = tokio::task::spawn_blocking(move || compare(before, after));
        comparing.await.ok().map(Ok)
    }
}

impl RefreshRequester {
    /// `None` if the task has ended.
    fn ask(&self) -> Option<oneshot::Receiver<Result<(), ClientError>>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).ok().map(|()| answer)
    }
}

/// Blocks.
fn compare(before: Option<Arc<Snapshot>>, after: Arc<Snapshot>) -> Refreshed {
    let none = || Arc::new(Snapshot::new(FlagSet::default(), LeftOut::default()));
    let is_first = before.is_none();
    let difference = after.difference(&before.unwrap_or_else(none));
    if difference.is_empty() && !is_first {
        return Refreshed::Unchanged;
    }
    Refreshed::Changed(ChangedFlags::from(difference).bounded())
}

#[derive(Debug, thiserror::Error)]
#[error("not refreshed within {} s; the refresh goes on", .0.as_secs_f32())]
struct RefreshTimeout(Duration);
