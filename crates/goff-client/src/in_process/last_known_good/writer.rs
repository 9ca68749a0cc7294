//! Keeps the last-known-good file current, beside whoever fetches configurations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, StopSignal, Stopped};
use goff_core::NoRuntimeError;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::in_process::last_known_good::LastKnownGood;
use crate::in_process::snapshot::Snapshot;

/// Writes one configuration at a time, and of those that come meanwhile only the newest. Nobody
/// waits for it: a disk that hangs holds up no refresh.
#[derive(Debug)]
pub(crate) struct ConfigurationKeeper {
    shared: Arc<Shared>,
    task: BackgroundTask,
}

#[derive(Debug)]
struct Shared {
    file: LastKnownGood,
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Option<Arc<Snapshot>>,
    /// When the file was written last, by this process.
    written: Option<Instant>,
    is_failing: bool,
}

impl ConfigurationKeeper {
    pub(crate) fn start(file: LastKnownGood) -> Result<Self, NoRuntimeError> {
        let shared = Arc::new(Shared {
            file,
            state: Mutex::default(),
            woken: Notify::new(),
        });
        let keeping = Arc::clone(&shared);
        let task = BackgroundTask::spawn(|stop| keep(keeping, stop))?;
        Ok(Self { shared, task })
    }

    /// A configuration was loaded.
    pub(crate) fn loaded(&self, snapshot: &Arc<Snapshot>) {
        self.shared.state().pending = Some(Arc::clone(snapshot));
        self.shared.woken.notify_one();
    }

    /// The configuration was found to be still the current one. Its date in the file is renewed
    /// before it gets near the age limit, as it is known to be good until now.
    pub(crate) fn confirmed(&self, snapshot: &Arc<Snapshot>) {
        let renew_after = self.shared.file.max_age() / RENEWALS;
        let written = self.shared.state().written;
        if written.is_none_or(|written| written.elapsed() >= renew_after) {
            self.loaded(snapshot);
        }
    }

    /// The configuration of the file, compiled, if there is one that can be trusted.
    pub(crate) async fn restore(&self) -> Option<Snapshot> {
        let file = self.shared.file.clone();
        let path = file.path().to_owned();
        let restoring = tokio::task::spawn_blocking(move || restore(&file));
        match tokio::time::timeout(LONGEST_RESTORE, restoring).await {
            Ok(restored) => restored.ok()?,
            Err(_) => {
                tracing::warn!(
                    path = %path.display(),
                    "flags that an earlier run kept are not used: the disk does not answer"
                );
                None
            }
        }
    }

    /// Writes what is left to write, within `grace`.
    pub(crate) async fn stop(self, grace: Duration) -> Stopped {
        self.task.stop(grace).await
    }
}

fn restore(file: &LastKnownGood) -> Option<Snapshot> {
    let stored = match file.load() {
        Ok(stored) => stored,
        Err(error) if error.is_absent() => {
            tracing::debug!(%error, "no flags were kept by an earlier run");
            return None;
        }
        Err(error) => {
            tracing::warn!(%error, "flags that an earlier run kept are not used");
            return None;
        }
    };
    match Snapshot::compile(stored.configuration) {
        Ok(snapshot) => {
            tracing::warn!(
                path = %file.path().display(),
                age_seconds = stored.age.as_secs(),
                "flags that an earlier run kept are served until there are current ones"
            );
            Some(snapshot)
        }
        Err(error) => {
            tracing::warn!(
                path = %file.path().display(),
                %error,
                "flags that an earlier run kept cannot be read"
            );
            None
        }
    }
}

async fn keep(shared: Arc<Shared>, mut stop: StopSignal) {
    loop {
        let is_last = tokio::select! {
            () = stop.stopped() => true,
            () = shared.woken.notified() => false,
        };
        let pending = shared.state().pending.take();
        if let Some(snapshot) = pending {
            let shared = Arc::clone(&shared);
            // Without it the runtime is about to end.
            let _ = tokio::task::spawn_blocking(move || shared.write(&snapshot)).await;
        }
        if is_last {
            return;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A failure is warned of once; the next confirmation tries again.
    fn write(&self, snapshot: &Snapshot) {
        let now = Instant::now();
        let stored = self.file.store(&snapshot.configuration());
        let mut state = self.state();
        let was_failing = std::mem::replace(&mut state.is_failing, stored.is_err());
        match stored {
            Ok(()) => state.written = Some(now),
            Err(error) if was_failing => {
                tracing::debug!(%error, "flags are still not kept for the next start");
            }
            Err(error) => tracing::warn!(%error, "flags are not kept for the next start"),
        }
    }
}

/// A start is not held up for longer by a disk that hangs.
const LONGEST_RESTORE: Duration = Duration::from_secs(10);

/// How many times the date is renewed within the age limit.
const RENEWALS: u32 = 8;
