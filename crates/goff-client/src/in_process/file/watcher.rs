//! A flag file that is followed.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use goff_core::__internal::{BackgroundTask, StopSignal, Stopped};
use goff_core::NoRuntimeError;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use crate::in_process::file::directory_watches::{DirectoryWatches, Events};
use crate::in_process::file::flag_file::{FlagFile, FlagFileError, LoadedFlags};

/// Reads a flag file, and again whenever its bytes may be others: it was written to, another file
/// was put in its place, a link on the way to it was changed, or it was gone and came back. What
/// the system tells is not relied upon alone: every few seconds the file is looked at anyway.
///
/// A file that is written to in place is read once writing rests for 50 ms, and at least twice a
/// second. Half of it may be flags by itself, so an atomic replacement is the better way.
///
/// Dropping it ends everything that it began.
#[derive(Debug)]
pub(crate) struct FlagFileWatcher {
    task: BackgroundTask,
}

/// What a look at the file gave that the one before did not.
pub(crate) type Refresh = Result<LoadedFlags, FlagFileError>;

impl FlagFileWatcher {
    /// Begins to follow the file. `take` gets the flags of the first look and of every one after
    /// it that found other bytes, and each failure once: a file that is absent, cannot be read or
    /// is not a flag file. It is called one refresh after the other, where it may block.
    pub(crate) fn start(
        file: FlagFile,
        take: impl FnMut(Refresh) + Send + 'static,
    ) -> Result<Self, NoRuntimeError> {
        let follower = Follower::new(file, DirectoryWatches::new(), Box::new(take));
        Self::start_with(follower, Pace::DEFAULT)
    }

    fn start_with(follower: Follower, pace: Pace) -> Result<Self, NoRuntimeError> {
        let task = BackgroundTask::spawn(|stop| follow(follower, pace, stop))?;
        Ok(Self { task })
    }

    /// Ends, with the thread that waits for the system's events, within `grace`. A file system
    /// that does not answer keeps a thread for as long as it does not.
    pub(crate) async fn stop(self, grace: Duration) -> Stopped {
        self.task.stop(grace).await
    }
}

async fn follow(mut follower: Follower, pace: Pace, mut stop: StopSignal) {
    let events = follower.watches.events();
    let mut has_event = true;
    loop {
        // Whoever stops meanwhile waits for the file system, and no longer than it likes to.
        let look = tokio::task::spawn_blocking(move || {
            follower.look(has_event);
            follower
        });
        match look.await {
            Ok(returned) => follower = returned,
            // Only when the runtime ends, or if `take` panics.
            Err(_) => return,
        }
        has_event = tokio::select! {
            () = stop.stopped() => break,
            () = settled(&events, pace) => true,
            () = tokio::time::sleep(pace.poll) => false,
        };
    }
    follower.watches.end().await;
}

/// Resolves after something has happened, once nothing more does.
async fn settled(events: &Events, pace: Pace) {
    events.next().await;
    let first = Instant::now();
    while first.elapsed() < pace.longest && timeout(pace.rest, events.next()).await.is_ok() {}
}

/// When the file is looked at.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// How long nothing happens before it is.
    rest: Duration,
    /// After how long it is, even if things go on happening.
    longest: Duration,
    /// How often it is, even if nothing happens.
    poll: Duration,
}

impl Pace {
    const DEFAULT: Self = Self {
        rest: Duration::from_millis(50),
        longest: Duration::from_millis(450),
        poll: Duration::from_secs(5),
    };
}

/// Looks at the file, and knows what it saw last.
struct Follower {
    file: FlagFile,
    take: Box<dyn FnMut(Refresh) + Send>,
    watches: DirectoryWatches,
    seen: Seen,
    signature: Option<Signature>,
    looks: Arc<AtomicU64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// The hash of the bytes, flags or not.
    Content([u8; 32]),
    Unreadable(FlagFileError),
}

impl Follower {
    fn new(
        file: FlagFile,
        watches: DirectoryWatches,
        take: Box<dyn FnMut(Refresh) + Send>,
    ) -> Self {
        Self {
            file,
            take,
            watches,
            seen: Seen::Nothing,
            signature: None,
            looks: Arc::default(),
        }
    }

    /// Reads the file after an event; without one, only if it looks like another.
    fn look(&mut self, has_event: bool) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.watches.cover(self.file.path());
        let signature = Signature::of(&self.file);
        if !has_event && signature.is_some() && signature == self.signature {
            return;
        }
        self.signature = signature;
        let content = self.file.read();
        let seen = match &content {
            Ok(content) => Seen::Content(Sha256::digest(content).into()),
            Err(error) => Seen::Unreadable(error.clone()),
        };
        if seen == self.seen {
            return;
        }
        self.seen = seen;
        let refresh = content.and_then(|content| self.file.parse(&content));
        match &refresh {
            Ok(loaded) => loaded.warn_of_what_is_left_out(&self.file),
            Err(error) => tracing::warn!(%error, "flags could not be loaded"),
        }
        (self.take)(refresh);
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("file", &self.file)
            .field("seen", &self.seen)
            .field("looks", &self.looks)
            .finish_non_exhaustive()
    }
}

/// What a file looks like without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    length: u64,
    modified: SystemTime,
    /// Device, file, and time of the last change of either.
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Signature {
    /// `None` where there is no file, or where another content could look the same: right after a
    /// change, as the times that file systems keep are as coarse as two seconds.
    fn of(file: &FlagFile) -> Option<Self> {
        let now = SystemTime::now();
        let metadata = fs::metadata(file.path()).ok()?;
        let modified = metadata.modified().ok()?;
        let age = now.duration_since(modified).ok()?;
        (age > COARSEST_TIME).then(|| Self {
            length: metadata.len(),
            modified,
            #[cfg(unix)]
            identity: {
                use std::os::unix::fs::MetadataExt;
                let changed = (metadata.ctime(), metadata.ctime_nsec());
                (metadata.dev(), metadata.ino(), changed.0, changed.1)
            },
        })
    }
}

const COARSEST_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
