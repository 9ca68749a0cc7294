//! Writes the last-known-good file in the background.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, StopSignal, Stopped};
use goff_core::NoRuntimeError;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep};

use crate::in_process::last_known_good::LastKnownGood;
use crate::in_process::snapshot::Snapshot;
use crate::in_process::source::compilation::compile;

/// Writes one configuration at a time, and of several waiting ones only the newest. A refresh never
/// waits for the disk.
#[derive(Debug)]
pub(crate) struct LastKnownGoodWriter {
    shared: Arc<Shared>,
    compile_permit: Arc<Semaphore>,
    task: BackgroundTask,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// A configuration, and the file for its source.
    pending: Option<(Arc<Snapshot>, LastKnownGood)>,
    /// The last write of this process.
    written: Option<Instant>,
    is_failing: bool,
}

impl LastKnownGoodWriter {
    /// A restored configuration is compiled with `compile_permit`.
    pub(crate) fn start(compile_permit: Arc<Semaphore>) -> Result<Self, NoRuntimeError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            woken: Notify::new(),
        });
        let writing = Arc::clone(&shared);
        let task = BackgroundTask::spawn(|stop| write_pending(writing, stop))?;
        Ok(Self {
            shared,
            compile_permit,
            task,
        })
    }

    /// Writes a new configuration.
    pub(crate) fn loaded(&self, snapshot: &Arc<Snapshot>, file: LastKnownGood) {
        self.shared.state().pending = Some((Arc::clone(snapshot), file));
        self.shared.woken.notify_one();
    }

    /// The relay proxy has confirmed the configuration: renews the date in the file well before the
    /// age limit.
    pub(crate) fn confirmed(&self, snapshot: &Arc<Snapshot>, file: LastKnownGood) {
        let renew_after = file.max_age() / RENEWALS;
        let written = self.shared.state().written;
        if written.is_none_or(|written| written.elapsed() >= renew_after) {
            self.loaded(snapshot, file);
        }
    }

    /// The compiled configuration of the file, if it is valid.
    pub(crate) async fn restore(&self, file: LastKnownGood) -> Option<Snapshot> {
        let path = file.path().to_owned();
        let restoring = compile(Arc::clone(&self.compile_permit), move || restore(&file));
        match tokio::time::timeout(RESTORE_TIMEOUT, restoring).await {
            Ok(restored) => restored?,
            Err(_) => {
                tracing::warn!(
                    path = %path.display(),
                    "last-known-good file not loaded: loading it timed out"
                );
                None
            }
        }
    }

    /// Writes the waiting configuration, within `grace`.
    pub(crate) async fn stop(self, grace: Duration) -> Stopped {
        self.task.stop(grace).await
    }
}

fn restore(file: &LastKnownGood) -> Option<Snapshot> {
    let stored = match file.load() {
        Ok(stored) => stored,
        Err(error) if error.is_absent() => {
            tracing::debug!(%error, "no last-known-good file yet");
            return None;
        }
        Err(error) => {
            tracing::warn!(%error, "last-known-good file not loaded");
            return None;
        }
    };
    match Snapshot::compile(stored.configuration) {
        Ok(snapshot) => {
            snapshot.left_out().warn(&"last-known-good file", None);
            tracing::warn!(
                path = %file.path().display(),
                age_seconds = stored.age.as_secs(),
                "serving flags of the last-known-good file until the relay proxy answers"
            );
            Some(snapshot)
        }
        Err(error) => {
            tracing::warn!(
                path = %file.path().display(),
                %error,
                "last-known-good file not loaded: its flags cannot be compiled"
            );
            None
        }
    }
}

async fn write_pending(shared: Arc<Shared>, mut stop: StopSignal) {
    loop {
        let is_last = tokio::select! {
            () = stop.stopped() => true,
            () = shared.woken.notified() => false,
        };
        let pending = shared.state().pending.take();
        if let Some((snapshot, file)) = pending {
            let shared = Arc::clone(&shared);
            // An error means that the runtime is ending.
            let _ = tokio::task::spawn_blocking(move || shared.write(&snapshot, &file)).await;
        }
        if is_last {
            return;
        }
        // Of the configurations that arrive during the pause only the newest is written.
        tokio::select! {
            () = stop.stopped() => {}
            () = sleep(PAUSE) => {}
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Warns once of a series of failures; the next confirmation tries again.
    fn write(&self, snapshot: &Snapshot, file: &LastKnownGood) {
        let now = Instant::now();
        let stored = file.store(&snapshot.configuration());
        let mut state = self.state();
        let was_failing = std::mem::replace(&mut state.is_failing, stored.is_err());
        match stored {
            Ok(()) => state.written = Some(now),
            Err(error) if was_failing => {
                tracing::debug!(%error, "last-known-good file still not written");
            }
            Err(error) => tracing::warn!(%error, "last-known-good file not written"),
        }
    }
}

/// The longest that a start waits for the disk.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two writes: each one waits for the disk.
const PAUSE: Duration = Duration::from_secs(3);

/// Renewals of the date within the age limit.
const RENEWALS: u32 = 8;

#[cfg(test)]
mod tests {
    use goff_core::FlagConfiguration;

    use super::*;

    /// Each write waits for the disk, so a stream of new configurations causes few: at most one in
    /// three seconds, of the newest, and the last one is written at the stop.
    #[tokio::test(start_paused = true)]
    async fn writes_are_seconds_apart() {
        let directory = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3_600);
        let file = LastKnownGood::new(directory.path().join("flags"), hour, b"", b"relay");
        let permit = Arc::new(Semaphore::new(1));
        let writer = LastKnownGoodWriter::start(permit).unwrap();
        let written = || {
            let stored = file.load().ok()?;
            stored.configuration.flags.map(|flags| flags.to_string())
        };
        let flags = |number: usize| format!(r#"{{"flag-{number}":{{}}}}"#);
        let mut seen = Vec::new();
        let begun = Instant::now();
        for number in 0..100 {
            let configuration = FlagConfiguration::new(flags(number));
            let snapshot = Arc::new(Snapshot::compile(configuration).unwrap());
            writer.loaded(&snapshot, file.clone());
            sleep(Duration::from_millis(100)).await;
            let content = written();
            if seen.last().map(|(_, last)| last) != Some(&content) {
                seen.push((begun.elapsed(), content));
            }
        }
        let times: Vec<_> = seen.iter().map(|(at, _)| at.as_millis()).collect();
        assert!((4..=5).contains(&seen.len()), "{times:?}");
        for pair in seen.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= PAUSE, "{times:?}");
        }
        writer.stop(hour).await;
        assert_eq!(written(), Some(flags(99)));
    }
}
