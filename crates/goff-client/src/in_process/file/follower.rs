//! Keeps the flags of a file current.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use goff_core::__internal::BackgroundTask;
use goff_core::NoRuntimeError;
use tokio::sync::watch;

use crate::in_process::current_configuration::{CurrentConfiguration, FirstAttempt};
use crate::in_process::file::flag_file::FlagFile;
use crate::in_process::file::watcher::{FlagFileWatcher, Refresh};
use crate::in_process::snapshot::Snapshot;
use crate::status::error::ClientError;

/// Puts in place what the watcher of a flag file finds. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct FileFollower {
    watcher: Option<FlagFileWatcher>,
    first: watch::Receiver<Option<FirstAttempt>>,
    /// Ends a first look that takes too long.
    _impatience: BackgroundTask,
}

impl FileFollower {
    pub(crate) fn start(
        file: FlagFile,
        current: CurrentConfiguration,
    ) -> Result<Self, NoRuntimeError> {
        let (report, first) = watch::channel(None);
        let impatience = impatience(file.to_string(), current.clone(), report.clone())?;
        let watcher = FlagFileWatcher::start(file, move |refresh| {
            let attempt = take(&current, refresh);
            report.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(attempt);
                is_first
            });
        })?;
        Ok(Self {
            watcher: Some(watcher),
            first,
            _impatience: impatience,
        })
    }

    /// How the first look at the file ended, once it has.
    pub(crate) fn first_attempt(&self) -> watch::Receiver<Option<FirstAttempt>> {
        self.first.clone()
    }

    pub(crate) async fn stop(mut self, grace: Duration) {
        if let Some(watcher) = self.watcher.take() {
            watcher.stop(grace).await;
        }
    }
}

/// Whoever waits for the first look at the file waits no longer than this. The look goes on.
fn impatience(
    file: String,
    current: CurrentConfiguration,
    report: watch::Sender<Option<FirstAttempt>>,
) -> Result<BackgroundTask, NoRuntimeError> {
    BackgroundTask::spawn(|_| async move {
        tokio::time::sleep(LONGEST_FIRST_LOOK).await;
        if report.borrow().is_none() {
            let error = FirstLookTimeout { file };
            tracing::warn!(%error, "flag file not loaded yet");
            current.status.failed(ClientError::configuration(error));
            current.status.missing();
            report.send_replace(Some(FirstAttempt::Failed));
        }
    })
}

/// It blocks.
fn take(current: &CurrentConfiguration, refresh: Refresh) -> FirstAttempt {
    match refresh {
        Ok(loaded) => {
            if let Some(replaced) = current.loaded(Arc::new(Snapshot::new(loaded.flags))) {
                retire(replaced);
            }
            FirstAttempt::Loaded
        }
        Err(error) => {
            current.failed(ClientError::configuration(error));
            if current.held().is_some() {
                // The file says something else than what is served, and will go on to.
                current.status.stale();
            } else {
                current.status.missing();
            }
            FirstAttempt::Failed
        }
    }
}

/// Frees a configuration here, if those who evaluate are done with it soon.
fn retire(snapshot: Arc<Snapshot>) {
    for _ in 0..READERS_ARE_GONE_AFTER {
        if Arc::strong_count(&snapshot) == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    drop(snapshot);
}

#[derive(Debug, thiserror::Error)]
#[error("{file} was not read within {} s", LONGEST_FIRST_LOOK.as_secs())]
struct FirstLookTimeout {
    file: String,
}

const LONGEST_FIRST_LOOK: Duration = Duration::from_secs(10);
const READERS_ARE_GONE_AFTER: u32 = 100;
