//! Writes the last-known-good file in the background.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, StopSignal, Stopped};
use goff_core::NoRuntimeError;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep};

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::last_known_good::LastKnownGood;
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
    pending: Option<(Arc<CompiledConfiguration>, LastKnownGood)>,
    /// When the file was written; `None` after a failure.
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
    pub(crate) fn loaded(&self, compiled: &Arc<CompiledConfiguration>, file: LastKnownGood) {
        self.shared.state().pending = Some((Arc::clone(compiled), file));
        self.shared.woken.notify_one();
    }

    /// The relay proxy has confirmed the configuration: renews the date in the file well before the
    /// age limit.
    pub(crate) fn confirmed(&self, compiled: &Arc<CompiledConfiguration>, file: LastKnownGood) {
        let renew_after = file.max_age() / RENEWALS;
        let written = self.shared.state().written;
        if written.is_none_or(|written| written.elapsed() >= renew_after) {
            self.loaded(compiled, file);
        }
    }

    /// The compiled configuration of the file, if it is valid.
    pub(crate) async fn restore(&self, file: LastKnownGood) -> Option<CompiledConfiguration> {
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

fn restore(file: &LastKnownGood) -> Option<CompiledConfiguration> {
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
    match CompiledConfiguration::compile(stored.configuration, None) {
        Ok(compiled) => {
            compiled.left_out().warn(&"last-known-good file", None);
            tracing::warn!(
                path = %file.path().display(),
                age_seconds = stored.age.as_secs(),
                "serving flags of the last-known-good file until the relay proxy answers"
            );
            Some(compiled)
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
        if let Some((compiled, file)) = pending {
            let writing = Arc::clone(&shared);
            let written = tokio::task::spawn_blocking(move || writing.write(&compiled, &file));
            // The write panicked, or the runtime is ending.
            if written.await.is_err() {
                shared.state().written = None;
            }
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
    fn write(&self, compiled: &CompiledConfiguration, file: &LastKnownGood) {
        let now = Instant::now();
        let stored = file.store(&compiled.configuration());
        let mut state = self.state();
        let was_failing = std::mem::replace(&mut state.is_failing, stored.is_err());
        // An earlier write was of flags that are old now.
        state.written = stored.is_ok().then_some(now);
        match stored {
            Ok(()) => {}
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
            let compiled = Arc::new(CompiledConfiguration::compile(configuration, None).unwrap());
            writer.loaded(&compiled, file.clone());
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

    /// After a restart older flags would be served, so the next poll tries again, also shortly after
    /// an earlier configuration was written.
    #[tokio::test(start_paused = true)]
    async fn failed_write_is_repeated_at_the_next_poll() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("state");
        let day = Duration::from_secs(24 * 3_600);
        let file = LastKnownGood::new(directory.join("flags"), day, b"", b"relay");
        let permit = Arc::new(Semaphore::new(1));
        let writer = LastKnownGoodWriter::start(permit).unwrap();
        let compiled = |flags: &str| {
            let configuration = FlagConfiguration::new(flags.to_owned());
            Arc::new(CompiledConfiguration::compile(configuration, None).unwrap())
        };
        let (old, new) = (r#"{"old":{}}"#, r#"{"new":{}}"#);
        let settled = async || {
            sleep(2 * PAUSE).await;
            let stored = file.load().ok()?;
            stored.configuration.flags.map(|flags| flags.to_string())
        };
        std::fs::create_dir(&directory).unwrap();
        writer.loaded(&compiled(old), file.clone());
        assert_eq!(settled().await.as_deref(), Some(old));
        std::fs::remove_dir_all(&directory).unwrap();
        let current = compiled(new);
        writer.loaded(&current, file.clone());
        for is_writable in [false, true] {
            assert_eq!(settled().await, None);
            if is_writable {
                std::fs::create_dir(&directory).unwrap();
            }
            writer.confirmed(&current, file.clone());
        }
        assert_eq!(settled().await.as_deref(), Some(new));
        // Once it is written it is renewed only towards the age limit.
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::create_dir(&directory).unwrap();
        writer.confirmed(&current, file.clone());
        assert_eq!(settled().await, None);
    }
}
