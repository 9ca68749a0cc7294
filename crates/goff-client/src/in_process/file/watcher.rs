//! Watching a flag file.

use std::fmt;
use std::fs::{self, Metadata};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use goff_core::__internal::{BackgroundTask, StopSignal, Stopped};
use goff_core::NoRuntimeError;
use goff_engine::FlagSet;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::in_process::file::flag_file::{FlagFile, FlagFileError};
use crate::in_process::source::refresh_requests::{RefreshRequester, RefreshRequests};

/// Reads a flag file at the start and again after each change: a write, a rename over it, a changed
/// link on its path, its deletion and return.
///
/// File-system events of the folder that contains the path trigger a look at once. Events are
/// missing on some file systems, and behind a link they come from another folder, so a look at the
/// file's signature each second finds the rest.
///
/// A file that is written in place is read once no event has come for 50 ms, or after 450 ms. A
/// half-written file may parse, so replacing the file atomically is safer.
///
/// Dropping the watcher ends its task and its thread.
#[derive(Debug)]
pub(crate) struct FlagFileWatcher {
    task: BackgroundTask,
    requester: RefreshRequester,
}

/// The flags of a changed file, or the reason why it has none.
pub(crate) type Refresh = Result<Arc<goff_engine::FlagFile>, FlagFileError>;

impl FlagFileWatcher {
    /// Starts watching. `take` gets the flags of the first look and of each later one that found
    /// other bytes, and each failure once: a file that is absent, unreadable or no flag file.
    /// Calls come one at a time and may block.
    pub(crate) fn start(
        file: FlagFile,
        take: impl FnMut(Refresh) + Send + 'static,
    ) -> Result<Self, NoRuntimeError> {
        Self::start_with(WatchedFile::new(file, Box::new(take)), Pace::DEFAULT)
    }

    fn start_with(file: WatchedFile, pace: Pace) -> Result<Self, NoRuntimeError> {
        let (requester, requests) = RefreshRequests::channel();
        let task = BackgroundTask::spawn(|stop| watch(file, pace, requests, stop))?;
        Ok(Self { task, requester })
    }

    /// Requests a look that reads the file, whatever its signature.
    pub(crate) fn requester(&self) -> RefreshRequester {
        self.requester.clone()
    }

    /// Stops within `grace`. A file-system call that hangs keeps its thread until it returns.
    pub(crate) async fn stop(self, grace: Duration) -> Stopped {
        self.task.stop(grace).await
    }
}

async fn watch(
    mut file: WatchedFile,
    pace: Pace,
    mut requests: RefreshRequests,
    mut stop: StopSignal,
) {
    let events = Arc::clone(&file.events);
    loop {
        if requests.begin() {
            file.signature = None;
        }
        // Stopping waits for this file-system call only up to its own grace period.
        let look = tokio::task::spawn_blocking(move || {
            file.look_contained();
            file
        });
        match look.await {
            Ok(returned) => file = returned,
            // The runtime is ending.
            Err(_) => return,
        }
        requests.end(&Ok(()));
        tokio::select! {
            () = stop.stopped() => return,
            () = requests.wait() => {}
            () = settled(&events, pace) => {}
            () = tokio::time::sleep(pace.poll) => {}
        }
    }
}

/// Resolves after an event, once no more follow.
async fn settled(events: &Notify, pace: Pace) {
    events.notified().await;
    let first = Instant::now();
    while first.elapsed() < pace.longest && timeout(pace.rest, events.notified()).await.is_ok() {}
}

/// The times between looks at the file.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Without an event for this long, a series of events is over.
    rest: Duration,
    /// The longest series of events before a look.
    longest: Duration,
    /// The longest time without a look.
    poll: Duration,
}

impl Pace {
    const DEFAULT: Self = Self {
        rest: Duration::from_millis(50),
        longest: Duration::from_millis(450),
        poll: Duration::from_secs(1),
    };
}

/// A flag file and what the last look found.
struct WatchedFile {
    file: FlagFile,
    take: Box<dyn FnMut(Refresh) + Send>,
    events: Arc<Notify>,
    folder: Option<WatchedFolder>,
    has_warned: bool,
    seen: Option<Seen>,
    /// The last flags, which later ones mostly repeat.
    flags: Option<Arc<goff_engine::FlagFile>>,
    signature: Option<Signature>,
    reads: Arc<AtomicU64>,
}

#[derive(PartialEq, Eq)]
enum Seen {
    /// The hash of the bytes, valid flags or not.
    Content([u8; 32]),
    Unreadable(FlagFileError),
}

impl WatchedFile {
    fn new(file: FlagFile, take: Box<dyn FnMut(Refresh) + Send>) -> Self {
        Self {
            file,
            take,
            events: Arc::default(),
            folder: None,
            has_warned: false,
            seen: None,
            flags: None,
            signature: None,
            reads: Arc::default(),
        }
    }

    /// Looks at the file. A panic, which is a fault of this crate, is an error of this content.
    fn look_contained(&mut self) {
        let looked = catch_unwind(AssertUnwindSafe(|| self.look()));
        if looked.is_err() {
            let error = self.file.panicked();
            let _ = catch_unwind(AssertUnwindSafe(|| {
                tracing::error!(%error, "flag file not loaded");
                (self.take)(Err(error));
            }));
        }
    }

    /// Reads the file if its signature is another one, and hands over what is new.
    fn look(&mut self) {
        // Before the look, so that a change after the look has its event.
        self.watch_folder();
        let signature = Signature::of(&self.file);
        if signature.is_some() && signature == self.signature {
            return;
        }
        self.signature = signature;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let content = self.file.read();
        let seen = Some(match &content {
            Ok(content) => Seen::Content(Sha256::digest(content).into()),
            Err(error) => Seen::Unreadable(error.clone()),
        });
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        let refresh = content.and_then(|content| {
            let no_flags = FlagSet::default();
            let earlier = self.flags.as_ref().map_or(&no_flags, |file| &file.flags);
            self.file.parse(&content, earlier).map(Arc::new)
        });
        match &refresh {
            Ok(file) => self.flags = Some(Arc::clone(file)),
            Err(error) => tracing::warn!(%error, "flag file not loaded"),
        }
        (self.take)(refresh);
    }

    /// Watches the folder of the path, and anew after another folder has taken its place.
    fn watch_folder(&mut self) {
        let path = self.file.path();
        let folder = path.parent().unwrap_or(path);
        let identity = fs::metadata(folder).ok().map(|folder| identity(&folder));
        if self.folder.as_ref().map(|watched| watched.identity) == identity {
            return;
        }
        self.folder = None;
        let Some(identity) = identity else {
            return;
        };
        let watcher = watcher(&self.events).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => {
                self.folder = Some(WatchedFolder {
                    identity,
                    _watcher: watcher,
                });
            }
            Err(error) if !self.has_warned => {
                self.has_warned = true;
                tracing::warn!(
                    %error,
                    path = %path.display(),
                    "file-system events unavailable, checking the flag file each second"
                );
            }
            Err(_) => {}
        }
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

struct WatchedFolder {
    identity: FileId,
    _watcher: RecommendedWatcher,
}

/// A watcher whose events wake `events`.
fn watcher(events: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let references = Arc::strong_count(events);
    let woken = Arc::clone(events);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file makes events too; they must not cause the next look.
        let is_read = event.is_ok_and(|event| {
            matches!(event.kind, EventKind::Access(kind)
                if kind != AccessKind::Close(AccessMode::Write))
        });
        if !is_read {
            woken.notify_one();
        }
    })?;
    if Arc::strong_count(events) == references {
        // The watcher's thread could not be started; without it every call panics, `drop` too.
        std::mem::forget(watcher);
        return Err(notify::Error::generic("cannot start a thread"));
    }
    Ok(watcher)
}

/// Tells one version of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    length: u64,
    modified: SystemTime,
    id: FileId,
    /// Moves with the owner and the mode too.
    #[cfg(unix)]
    changed: (i64, i64),
}

impl Signature {
    /// `None` for a missing file, and for 2 s after a change: file systems keep times as coarse as
    /// that, so other content could have the same signature. A time that lies further ahead is not
    /// that of a change now.
    fn of(file: &FlagFile) -> Option<Self> {
        let now = SystemTime::now();
        let metadata = fs::metadata(file.path()).ok()?;
        let modified = metadata.modified().ok()?;
        let distance = now.duration_since(modified);
        let distance = distance.unwrap_or_else(|ahead| ahead.duration());
        (distance > COARSEST_TIME).then(|| Self {
            length: metadata.len(),
            modified,
            id: identity(&metadata),
            #[cfg(unix)]
            changed: {
                use std::os::unix::fs::MetadataExt;
                (metadata.ctime(), metadata.ctime_nsec())
            },
        })
    }
}

const COARSEST_TIME: Duration = Duration::from_secs(2);

/// Device and number of a file; nothing where there are none.
type FileId = Option<(u64, u64)>;

fn identity(metadata: &Metadata) -> FileId {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

#[cfg(test)]
mod tests;
