//! Asking a task for a refresh, and waiting for its end.

use std::future::pending;

use tokio::sync::{mpsc, oneshot};

use crate::status::error::ClientError;

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

impl RefreshRequester {
    /// `None` if the task has ended.
    pub(crate) fn ask(&self) -> Option<oneshot::Receiver<Result<(), ClientError>>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).ok().map(|()| answer)
    }
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
