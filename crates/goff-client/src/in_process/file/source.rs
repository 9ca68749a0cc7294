//! Serving the flags of a watched file.

use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::BackgroundTask;
use goff_core::NoRuntimeError;
use tokio::sync::watch;

use crate::in_process::current_configuration::{CurrentConfiguration, FirstAttempt};
use crate::in_process::file::flag_file::FlagFile;
use crate::in_process::file::watcher::{FlagFileWatcher, Refresh};
use crate::in_process::snapshot::{Snapshot, retire};
use crate::status::error::ClientError;

/// Serves what the watcher of a flag file finds. Dropping it stops the watcher.
#[derive(Debug)]
pub(crate) struct FlagFileSource {
    watcher: Option<FlagFileWatcher>,
    first: watch::Receiver<Option<FirstAttempt>>,
    _first_load_timeout: BackgroundTask,
}

impl FlagFileSource {
    pub(crate) fn start(
        file: FlagFile,
        current: CurrentConfiguration,
    ) -> Result<Self, NoRuntimeError> {
        let (report, first) = watch::channel(None);
        let timeout = first_load_timeout(file.to_string(), current.clone(), report.clone())?;
        let watcher = FlagFileWatcher::start(file, move |refresh| {
            let attempt = serve(&current, refresh);
            report.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(attempt);
                is_first
            });
        })?;
        Ok(Self {
            watcher: Some(watcher),
            first,
            _first_load_timeout: timeout,
        })
    }

    /// How the first load of the file ended, once it has.
    pub(crate) fn first_attempt(&self) -> watch::Receiver<Option<FirstAttempt>> {
        self.first.clone()
    }

    pub(crate) async fn stop(mut self, grace: Duration) {
        if let Some(watcher) = self.watcher.take() {
            watcher.stop(grace).await;
        }
    }
}

/// Bounds how long initialization waits for the file. The load goes on.
fn first_load_timeout(
    file: String,
    current: CurrentConfiguration,
    report: watch::Sender<Option<FirstAttempt>>,
) -> Result<BackgroundTask, NoRuntimeError> {
    BackgroundTask::spawn(|_| async move {
        tokio::time::sleep(FIRST_LOAD_TIMEOUT).await;
        if report.borrow().is_none() {
            let error = FirstLoadTimeout { file };
            tracing::warn!(%error, "flag file not loaded yet");
            current.status.failed(ClientError::configuration(error));
            current.status.missing();
            report.send_replace(Some(FirstAttempt::Failed));
        }
    })
}

/// Blocks.
fn serve(current: &CurrentConfiguration, refresh: Refresh) -> FirstAttempt {
    match refresh {
        Ok(loaded) => {
            let reasons = loaded.left_out.iter();
            let reasons = reasons.map(|left| (left.flag().to_owned(), left.message().to_owned()));
            let snapshot = Snapshot::new(loaded.flags, reasons.collect());
            if let Some(replaced) = current.loaded(Arc::new(snapshot)) {
                retire(replaced);
            }
            FirstAttempt::Loaded
        }
        Err(error) => {
            current.failed(ClientError::configuration(error));
            if current.held().is_some() {
                // The served flags differ from the file, and will until it is fixed.
                current.status.stale();
            } else {
                current.status.missing();
            }
            FirstAttempt::Failed
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{file} was not loaded within {} s", FIRST_LOAD_TIMEOUT.as_secs())]
struct FirstLoadTimeout {
    file: String,
}

const FIRST_LOAD_TIMEOUT: Duration = Duration::from_secs(10);
