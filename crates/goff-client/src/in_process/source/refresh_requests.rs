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
    /// The request that [`wait`](Self::wait) has found.
    first: Option<Reply>,
    /// Those that the refresh in progress serves.
    begun: Vec<Reply>,
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
        let requests = Self {
            receiver,
            first: None,
            begun: Vec::new(),
        };
        (RefreshRequester(sender), requests)
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

    /// A refresh begins, for all requests so far. Returns whether a caller waits for it.
    pub(crate) fn begin(&mut self) -> bool {
        self.begun.extend(self.first.take());
        while let Ok(request) = self.receiver.try_recv() {
            self.begun.push(request);
        }
        self.begun.retain(|request| !request.is_closed());
        !self.begun.is_empty()
    }

    /// The refresh has ended.
    pub(crate) fn end(&mut self, result: &Result<(), ClientError>) {
        for request in self.begun.drain(..) {
            // Fails for a caller that has given up.
            let _ = request.send(result.clone());
        }
    }
}
