//! Serving the flags of a watched file.

use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, end_after};
use goff_core::NoRuntimeError;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::current_configuration::{CurrentConfiguration, FirstAttempt};
use crate::in_process::file::flag_file::FlagFile;
use crate::in_process::file::merged::{FilesError, MergedFiles};
use crate::in_process::file::watcher::FlagFileWatcher;
use crate::in_process::replaced::retire;
use crate::in_process::source::refresher::Refresher;
use crate::status::error::ClientError;

/// Serves what the watchers of the flag files find. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct FlagFileSource {
    watchers: Vec<FlagFileWatcher>,
    merged: Arc<MergedFiles>,
    first: watch::Receiver<Option<FirstAttempt>>,
    _first_load_timeout: BackgroundTask,
}

impl FlagFileSource {
    pub(crate) fn start(
        files: &[FlagFile],
        current: CurrentConfiguration,
    ) -> Result<Self, NoRuntimeError> {
        let (report, first) = watch::channel(None);
        let merged = Arc::new(MergedFiles::new(files));
        let timeout = first_load_timeout(merged.to_string(), current.clone(), report.clone())?;
        let watch = |(index, file): (usize, &FlagFile)| {
            let (merged, current, report) = (Arc::clone(&merged), current.clone(), report.clone());
            FlagFileWatcher::start(file.clone(), move |refresh| {
                merged.take(index, refresh, |flags| {
                    let attempt = serve(&current, flags);
                    report.send_if_modified(|first| {
                        let is_first = first.is_none();
                        first.get_or_insert(attempt);
                        is_first
                    });
                });
            })
        };
        let watchers: Result<Vec<_>, _> = files.iter().enumerate().map(watch).collect();
        Ok(Self {
            watchers: watchers?,
            merged,
            first,
            _first_load_timeout: timeout,
        })
    }

    pub(crate) fn refresher(&self) -> Refresher {
        Refresher {
            tasks: self
                .watchers
                .iter()
                .map(FlagFileWatcher::requester)
                .collect(),
            timeout: FIRST_LOAD_TIMEOUT,
            files: Some(Arc::clone(&self.merged)),
        }
    }

    /// How the first load of the file ended, once it has.
    pub(crate) fn first_attempt(&self) -> watch::Receiver<Option<FirstAttempt>> {
        self.first.clone()
    }

    pub(crate) async fn stop(self, grace: Duration) {
        let end = end_after(grace);
        for watcher in self.watchers {
            let left = end.saturating_duration_since(Instant::now());
            watcher.stop(left).await;
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
fn serve(
    current: &CurrentConfiguration,
    flags: Result<CompiledConfiguration, FilesError>,
) -> FirstAttempt {
    match flags {
        Ok(mut compiled) => {
            if let Some(held) = current.held() {
                compiled.keep_prepared(&held);
            }
            tracing::info!(flags = compiled.len(), "flag file loaded");
            if let Some(replaced) = current.loaded(Arc::new(compiled)) {
                // A file changes seldom, so what is still read is not kept until the next change.
                drop(retire(replaced));
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
