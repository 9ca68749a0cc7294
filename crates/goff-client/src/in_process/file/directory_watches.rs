//! The directories in which a path can come to mean another file.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, oneshot};

/// Watches what a path leads through. The file itself is not watched but its directory, so that
/// another file in its place is noticed; and so are the directories of all symbolic links on the
/// way, as Kubernetes changes what a mounted file is by one of them.
///
/// Dropping it ends the thread that it began, if not at once.
pub(crate) struct DirectoryWatches {
    shared: Arc<Shared>,
    thread: Option<WatcherThread>,
    /// Of each watched directory, which one it was when it was watched.
    watched: HashMap<PathBuf, Identity>,
    has_warned: bool,
}

/// What the thread of the watcher looks at.
#[derive(Debug, Default)]
struct Shared {
    interest: Mutex<Interest>,
    /// Something has happened that may concern the path.
    woken: Notify,
}

#[derive(Debug, Default)]
struct Interest {
    /// Names of files, links and directories on the way. Whole paths would not do: not every
    /// system tells them as they were spelled.
    names: HashSet<OsString>,
    directories: HashSet<PathBuf>,
    /// A watched directory is not where it was, so that its watch may be gone.
    is_lost: bool,
}

impl DirectoryWatches {
    /// Watches nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::default(),
            thread: None,
            watched: HashMap::new(),
            has_warned: false,
        }
    }

    /// Is told nothing, as on a file system without events.
    #[cfg(test)]
    pub(crate) fn blind() -> Self {
        let (_, ended) = oneshot::channel();
        Self {
            thread: Some(WatcherThread {
                watcher: None,
                ended,
            }),
            ..Self::new()
        }
    }

    /// What tells of events, whatever becomes of the watches.
    pub(crate) fn events(&self) -> Events {
        Events(Arc::clone(&self.shared))
    }

    /// Watches what `path`, which must be absolute, leads through now. What happens afterwards
    /// is told; so look at the path after this, not before. It blocks.
    pub(crate) fn cover(&mut self, path: &Path) {
        // A way that changes while it is walked is walked again; the poll is there for one that
        // does so all the time.
        for _ in 0..MAX_WALKS {
            let way = Way::of(path);
            match self.watch(&way) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if !std::mem::replace(&mut self.has_warned, true) {
                        tracing::warn!(
                            %error,
                            path = %path.display(),
                            "a file cannot be watched; it is looked at every few seconds instead"
                        );
                    }
                    return;
                }
            }
        }
    }

    /// Watches nothing any more, and waits for the end of the thread.
    pub(crate) async fn end(self) {
        if let Some(thread) = self.thread {
            thread.end().await;
        }
    }

    /// Whether anything is watched that was not before.
    fn watch(&mut self, way: &Way) -> notify::Result<bool> {
        let is_lost = self.shared.expect(way);
        let thread = match &mut self.thread {
            Some(thread) => thread,
            None => self.thread.insert(WatcherThread::start(&self.shared)?),
        };
        self.watched.retain(|directory, identity| {
            let stays = !is_lost
                && way.directories.contains(directory)
                && Identity::of(directory).as_ref() == Some(identity);
            if !stays {
                thread.unwatch(directory);
            }
            stays
        });
        let (mut is_more, mut failure) = (false, None);
        for directory in &way.directories {
            if self.watched.contains_key(directory) {
                continue;
            }
            let identity = Identity::of(directory);
            match (identity, thread.watch(directory)) {
                (Some(identity), Ok(())) => {
                    self.watched.insert(directory.clone(), identity);
                    is_more = true;
                }
                // Gone since the way was walked.
                (None, _) => is_more = true,
                (Some(_), Err(error)) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if !is_more => Err(error),
            _ => Ok(is_more),
        }
    }
}

impl fmt::Debug for DirectoryWatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryWatches")
            .field("watched", &self.watched.keys())
            .finish_non_exhaustive()
    }
}

/// The watcher of notify, which has a thread of its own.
struct WatcherThread {
    watcher: Option<RecommendedWatcher>,
    /// Closed once the thread has dropped what takes its events.
    ended: oneshot::Receiver<Infallible>,
}

impl WatcherThread {
    fn start(shared: &Arc<Shared>) -> notify::Result<Self> {
        let shared = Arc::clone(shared);
        let (until_end, ended) = oneshot::channel();
        let watcher = notify::recommended_watcher(move |event| {
            let _ = &until_end;
            shared.take(event);
        })?;
        let mut thread = Self {
            watcher: Some(watcher),
            ended,
        };
        match thread.has_ended() {
            false => Ok(thread),
            true => Err(notify::Error::generic("no thread can be started")),
        }
    }

    fn watch(&mut self, directory: &Path) -> notify::Result<()> {
        match &mut self.watcher {
            Some(watcher) => watcher.watch(directory, RecursiveMode::NonRecursive),
            None => Ok(()),
        }
    }

    fn unwatch(&mut self, directory: &Path) {
        if let Some(watcher) = &mut self.watcher {
            // Its directory may be gone, and the watch with it.
            let _ = watcher.unwatch(directory);
        }
    }

    fn has_ended(&mut self) -> bool {
        self.ended.try_recv() == Err(TryRecvError::Closed)
    }

    async fn end(mut self) {
        if !self.has_ended() {
            self.watcher = None;
            let _ = (&mut self.ended).await;
        }
    }
}

impl Drop for WatcherThread {
    fn drop(&mut self) {
        // Without its thread the watcher would panic when dropped.
        if self.has_ended() {
            std::mem::forget(self.watcher.take());
        }
    }
}

impl Shared {
    /// Tells whether a watched directory was lost since the last time.
    fn expect(&self, way: &Way) -> bool {
        let mut interest = self.interest();
        interest.names.clone_from(&way.names);
        interest.directories = way.directories.iter().cloned().collect();
        std::mem::take(&mut interest.is_lost)
    }

    fn interest(&self) -> MutexGuard<'_, Interest> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event, on the watcher's thread. It must not panic: the watcher would at its end.
    fn take(&self, event: notify::Result<Event>) {
        let concerns = match event {
            Ok(event) => self.concerns(&event),
            Err(_) => true,
        };
        if concerns {
            self.woken.notify_one();
        }
    }

    fn concerns(&self, event: &Event) -> bool {
        if event.need_rescan() {
            return true;
        }
        if let EventKind::Access(kind) = event.kind
            && kind != AccessKind::Close(AccessMode::Write)
        {
            // To read the file is no change of it; we do so ourselves.
            return false;
        }
        let mut interest = self.interest();
        let mut concerns = false;
        for path in &event.paths {
            if interest.directories.contains(path) {
                interest.is_lost = true;
                concerns = true;
            }
            concerns |= path
                .file_name()
                .is_some_and(|name| interest.names.contains(name));
        }
        concerns
    }
}

/// Tells when something has happened that may concern the path.
#[derive(Debug, Clone)]
pub(crate) struct Events(Arc<Shared>);

impl Events {
    /// Resolves once something has happened since it last did.
    pub(crate) async fn next(&self) {
        self.0.woken.notified().await;
    }
}

/// What a path leads through.
#[derive(Debug, Default)]
struct Way {
    /// In which the way could be changed, without links in them.
    directories: Vec<PathBuf>,
    /// Of links, of the file, and of the directories themselves.
    names: HashSet<OsString>,
}

impl Way {
    fn of(path: &Path) -> Self {
        let mut way = Self::default();
        let mut place = PathBuf::new();
        let mut ahead = steps(path);
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            let name = match step {
                Step::Root(root) => {
                    place = root;
                    continue;
                }
                Step::Up => {
                    place.pop();
                    continue;
                }
                Step::Name(name) => name,
            };
            let next = place.join(&name);
            let metadata = fs::symlink_metadata(&next);
            let is_link = metadata.as_ref().is_ok_and(Metadata::is_symlink);
            if is_link || metadata.is_err() || ahead.is_empty() {
                way.add(&place, name);
            }
            if is_link {
                links += 1;
                let Ok(target) = fs::read_link(&next) else {
                    break;
                };
                if links > MAX_LINKS {
                    break;
                }
                for step in steps(&target).into_iter().rev() {
                    ahead.push_front(step);
                }
            } else if metadata.is_ok() {
                place = next;
            } else {
                // Whatever comes into being there is on the way.
                break;
            }
        }
        way
    }

    fn add(&mut self, directory: &Path, name: OsString) {
        self.names.insert(name);
        self.names
            .extend(directory.file_name().map(ToOwned::to_owned));
        if !self.directories.iter().any(|known| known == directory) {
            self.directories.push(directory.to_owned());
        }
    }
}

#[derive(Debug)]
enum Step {
    Root(PathBuf),
    Up,
    Name(OsString),
}

fn steps(path: &Path) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let mut root = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir => root.push(component),
            Component::CurDir => {}
            Component::ParentDir => steps.push_back(Step::Up),
            Component::Normal(name) => steps.push_back(Step::Name(name.to_owned())),
        }
    }
    if !root.as_os_str().is_empty() {
        steps.push_front(Step::Root(root));
    }
    steps
}

/// Which directory it is that has a path.
#[derive(Debug, PartialEq, Eq)]
struct Identity(#[cfg(unix)] (u64, u64));

impl Identity {
    #[cfg(unix)]
    fn of(directory: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(directory).ok()?;
        Some(Self((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn of(directory: &Path) -> Option<Self> {
        fs::metadata(directory).ok().map(|_| Self())
    }
}

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

const MAX_WALKS: usize = 8;

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::in_process::test_directory::TestDirectory;

    fn names(way: &Way, under: &TestDirectory) -> Vec<String> {
        let root = under.path("");
        way.directories
            .iter()
            .map(|directory| {
                let directory = directory.strip_prefix(&root).unwrap();
                directory.to_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn way_of_a_plain_path_is_the_directory_it_is_in() {
        let root = TestDirectory::new();
        fs::create_dir_all(root.path("a/b")).unwrap();
        fs::write(root.path("a/b/file"), "").unwrap();
        let check = |path: &str, directories: &[&str], name: &str| {
            let way = Way::of(&root.path(path));
            assert_eq!(names(&way, &root), directories, "{path}");
            assert!(way.names.contains(&OsString::from(name)), "{path}");
        };
        check("a/b/file", &["a/b"], "file");
        check("a/b/../b/./file", &["a/b"], "file");
        check("a/b/absent", &["a/b"], "absent");
        // The nearest directory that exists.
        check("a/c/d/file", &["a"], "c");
    }

    /// As Kubernetes mounts a ConfigMap.
    #[test]
    fn way_through_links_has_the_directory_of_each() {
        let root = TestDirectory::new();
        fs::create_dir_all(root.path("mount/..1")).unwrap();
        fs::write(root.path("mount/..1/file"), "").unwrap();
        symlink("..1", root.path("mount/..data")).unwrap();
        symlink("..data/file", root.path("mount/file")).unwrap();
        symlink(root.path("mount"), root.path("link")).unwrap();
        let way = Way::of(&root.path("link/file"));
        assert_eq!(names(&way, &root), ["", "mount", "mount/..1"]);
        for name in ["link", "file", "..data", "mount", "..1"] {
            assert!(way.names.contains(&OsString::from(name)), "{name}");
        }
    }

    #[test]
    fn dropped_watches_leave_no_thread() {
        let root = TestDirectory::new();
        let mut watches = DirectoryWatches::new();
        watches.cover(&root.path("file"));
        let events = watches.events();
        assert_eq!(watches.watched.len(), 1);
        drop(watches);
        let start = std::time::Instant::now();
        // The thread has the other one.
        while Arc::strong_count(&events.0) > 1 {
            assert!(start.elapsed().as_secs() < 10, "the thread lives on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn links_in_a_circle_end() {
        let root = TestDirectory::new();
        symlink("two", root.path("one")).unwrap();
        symlink("one", root.path("two")).unwrap();
        assert_eq!(names(&Way::of(&root.path("one")), &root), [""]);
    }
}
