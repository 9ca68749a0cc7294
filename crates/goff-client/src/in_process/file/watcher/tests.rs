use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// Events alone, without the poll.
const EVENTS: Pace = Pace {
    rest: Duration::from_millis(20),
    longest: Duration::from_millis(200),
    poll: Duration::from_secs(24 * 60 * 60),
};

/// Both, with a poll that a test can wait for.
const POLLED: Pace = Pace {
    poll: Duration::from_millis(20),
    ..EVENTS
};

const ABSENT: &str = "does not exist; create it, or correct the path";
const EMPTY: &str = "is empty; write `{}` for no flags";

/// A watcher and its refreshes: the keys of the flags, or the text of the error.
struct Watched {
    watcher: FlagFileWatcher,
    refreshes: UnboundedReceiver<Result<String, String>>,
    reads: Arc<AtomicU64>,
}

impl Watched {
    fn start(path: &Path, pace: Pace) -> Self {
        let (sender, refreshes) = unbounded_channel();
        let take = move |refresh: Refresh| {
            let refresh = refresh.map(|loaded| {
                let keys = loaded.flags.iter().map(goff_engine::Flag::key);
                keys.collect::<Vec<_>>().join(" ")
            });
            assert!(refresh.as_deref() != Ok("panic"), "on purpose");
            let _ = sender.send(refresh.map_err(|error| error.to_string()));
        };
        let file = WatchedFile::new(FlagFile::at(path).unwrap(), Box::new(take));
        let reads = Arc::clone(&file.reads);
        Self {
            watcher: FlagFileWatcher::start_with(file, pace).unwrap(),
            refreshes,
            reads,
        }
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    async fn next(&mut self) -> Option<Result<String, String>> {
        timeout(Duration::from_secs(20), self.refreshes.recv())
            .await
            .expect("no refresh")
    }

    /// Skips the moment in which a file that is written in place is empty.
    async fn gives(&mut self, flags: &str) {
        let mut refresh = self.next().await;
        if let Some(Err(error)) = &refresh
            && error.ends_with(EMPTY)
        {
            refresh = self.next().await;
        }
        assert_eq!(refresh, Some(Ok(flags.to_owned())));
    }

    async fn fails(&mut self, end: &str) {
        let error = self.next().await.unwrap().unwrap_err();
        assert!(error.ends_with(end), "{error}");
    }

    async fn stop(mut self) {
        let stopped = self.watcher.stop(Duration::from_secs(20)).await;
        assert_eq!(stopped, Stopped::Finished);
        assert_eq!(self.refreshes.recv().await, None);
    }
}

fn content(flag: &str) -> String {
    format!("{flag}: {{variations: {{on: true}}, defaultRule: {{variation: on}}}}\n")
}

fn write(path: &Path, flag: &str) {
    fs::write(path, content(flag)).unwrap();
}

/// Renames another file over one.
fn replace(path: &Path, flag: &str) {
    let temporary = path.with_extension("tmp");
    write(&temporary, flag);
    fs::rename(temporary, path).unwrap();
}

fn folder() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.yaml");
    (directory, path)
}

/// A watched file that was read.
async fn watching(flag: &str) -> (TempDir, PathBuf, Watched) {
    let (directory, path) = folder();
    write(&path, flag);
    let mut watched = Watched::start(&path, EVENTS);
    watched.gives(flag).await;
    (directory, path, watched)
}

#[tokio::test]
async fn file_is_read_at_first_and_after_each_write_and_replacement() {
    let (_directory, path, mut watched) = watching("first").await;
    for round in 0..10 {
        let (written, replaced) = (format!("written-{round}"), format!("replaced-{round}"));
        write(&path, &written);
        watched.gives(&written).await;
        replace(&path, &replaced);
        watched.gives(&replaced).await;
    }
    watched.stop().await;
}

/// A fault of this crate is an error of that content, told once; later content is read.
#[tokio::test]
async fn panic_is_a_failure_of_that_content() {
    let (_directory, path, mut watched) = watching("first").await;
    for round in 0..3 {
        replace(&path, "panic");
        let error = watched.next().await.unwrap().unwrap_err();
        assert!(error.contains("loading its flags panicked"), "{error}");
        let next = format!("next-{round}");
        replace(&path, &next);
        watched.gives(&next).await;
    }
    watched.stop().await;
}

#[tokio::test]
async fn deleted_file_is_one_failure_and_its_return_a_refresh() {
    let (_directory, path) = folder();
    let mut watched = Watched::start(&path, EVENTS);
    watched.fails(ABSENT).await;
    for _ in 0..5 {
        write(&path, "same");
        watched.gives("same").await;
        fs::remove_file(&path).unwrap();
        watched.fails(ABSENT).await;
    }
    watched.stop().await;
}

#[tokio::test]
async fn folder_that_appears_late_disappears_and_returns_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let parent = directory.path().join("a/b");
    let path = parent.join("flags.yaml");
    let mut watched = Watched::start(&path, POLLED);
    watched.fails(ABSENT).await;
    for round in ["one", "two", "three"] {
        fs::create_dir_all(&parent).unwrap();
        write(&path, round);
        watched.gives(round).await;
        write(&path, "changed");
        watched.gives("changed").await;
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        watched.fails(ABSENT).await;
    }
    // Moved away, and another one in its place.
    fs::create_dir_all(&parent).unwrap();
    write(&path, "before");
    watched.gives("before").await;
    fs::rename(&parent, directory.path().join("a/elsewhere")).unwrap();
    watched.fails(ABSENT).await;
    fs::create_dir(&parent).unwrap();
    write(&path, "after");
    watched.gives("after").await;
    write(&path, "and on");
    watched.gives("and on").await;
    watched.stop().await;
}

/// Kubernetes updates a mounted ConfigMap this way.
#[cfg(unix)]
#[tokio::test]
async fn swapped_link_is_followed() {
    use std::os::unix::fs::symlink;

    let mount = tempfile::tempdir().unwrap();
    let publish = |generation: &str| -> PathBuf {
        let directory = mount.path().join(format!("..{generation}"));
        fs::create_dir(&directory).unwrap();
        write(&directory.join("flags.yaml"), generation);
        symlink(format!("..{generation}"), mount.path().join("..data_tmp")).unwrap();
        fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
        directory
    };
    let mut old = publish("0");
    symlink("..data/flags.yaml", mount.path().join("flags.yaml")).unwrap();
    let mut watched = Watched::start(&mount.path().join("flags.yaml"), EVENTS);
    watched.gives("0").await;
    for generation in 1..10 {
        let generation = generation.to_string();
        let new = publish(&generation);
        watched.gives(&generation).await;
        fs::remove_dir_all(std::mem::replace(&mut old, new)).unwrap();
    }
    watched.stop().await;
}

/// The folder of the path has no event for it; the poll finds it.
#[cfg(unix)]
#[tokio::test]
async fn write_behind_a_link_is_found_by_the_poll() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("elsewhere/flags.yaml");
    fs::create_dir(directory.path().join("elsewhere")).unwrap();
    fs::create_dir(directory.path().join("mount")).unwrap();
    std::os::unix::fs::symlink(&target, directory.path().join("mount/flags.yaml")).unwrap();
    let mut watched = Watched::start(&directory.path().join("mount/flags.yaml"), POLLED);
    watched.fails(ABSENT).await;
    // Of one length, and perhaps within one tick of the file system's clock.
    for flag in ["one", "two", "six"] {
        write(&target, flag);
        watched.gives(flag).await;
    }
    watched.stop().await;
}

/// The end of a slow write is another change.
#[tokio::test]
async fn half_a_file_is_one_failure_and_the_whole_a_refresh() {
    use std::io::Write;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let whole = r#"{"flag": {"variations": {"on": true}, "defaultRule": {"variation": "on"}}}"#;
    fs::write(&path, whole).unwrap();
    let mut watched = Watched::start(&path, EVENTS);
    watched.gives("flag").await;
    let mut file = fs::File::create(&path).unwrap();
    watched.fails(EMPTY).await;
    let (start, end) = whole.split_at(30);
    file.write_all(start.as_bytes()).unwrap();
    watched.fails("; correct it there").await;
    // Touching the file changes nothing.
    let reads = watched.reads();
    file.set_modified(SystemTime::now()).unwrap();
    while watched.reads() == reads {
        tokio::task::yield_now().await;
    }
    file.write_all(end.as_bytes()).unwrap();
    watched.gives("flag").await;
    watched.stop().await;
}

#[tokio::test]
async fn same_bytes_are_no_refresh() {
    let (_directory, path, mut watched) = watching("same").await;
    let reads = watched.reads();
    for _ in 0..3 {
        replace(&path, "same");
    }
    while watched.reads() == reads {
        tokio::task::yield_now().await;
    }
    replace(&path, "other");
    watched.gives("other").await;
    watched.stop().await;
}

/// `GOFF_CHURN_WRITES` sets the number of writes; `cargo xtask soak churn` makes more than CI.
#[tokio::test]
async fn churn_of_other_files_causes_no_reads() {
    let writes = std::env::var("GOFF_CHURN_WRITES").map_or(500, |text| text.parse().unwrap());
    let (directory, path) = folder();
    write(&path, "before");
    age(&path);
    let mut watched = Watched::start(&path, EVENTS);
    watched.gives("before").await;
    for round in 0..writes {
        let other = directory.path().join(format!("other-{}.yaml", round % 100));
        match round % 4 {
            0 => replace(&other, "replaced"),
            3 => drop(fs::remove_file(other)),
            _ => write(&other, "written"),
        }
        if round % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(watched.reads(), 1);
    replace(&path, "after");
    watched.gives("after").await;
    watched.stop().await;
}

/// Makes a file one that was changed a minute ago.
fn age(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
}

/// A time in the future is that of a copied file, or of another clock.
#[tokio::test]
async fn file_with_a_future_time_is_read_once_and_followed() {
    for ahead in [3, 60 * 60, 20 * 365 * 24 * 60 * 60] {
        let (_directory, path) = folder();
        write(&path, "before");
        let file = fs::File::options().write(true).open(&path).unwrap();
        let time = SystemTime::now() + Duration::from_secs(ahead);
        file.set_modified(time).unwrap();
        let flag_file = FlagFile::at(&path).unwrap();
        let first = Signature::of(&flag_file);
        if ahead > 10 {
            assert!(first.is_some(), "{ahead}");
            assert_eq!(Signature::of(&flag_file), first);
        }
        write(&path, "after");
        file.set_modified(time).unwrap();
        #[cfg(unix)]
        assert_ne!(Signature::of(&flag_file), first, "{ahead}");
    }
}

#[tokio::test]
async fn quiet_file_is_not_read_again() {
    let (_directory, path) = folder();
    write(&path, "quiet");
    age(&path);
    let flag_file = FlagFile::at(&path).unwrap();
    let (old, again) = (Signature::of(&flag_file), Signature::of(&flag_file));
    assert!(old.is_some());
    assert_eq!(old, again);
    write(&path, "quiet");
    assert_eq!(Signature::of(&flag_file), None);
}

#[tokio::test]
async fn dropped_watcher_takes_nothing_more() {
    let (_directory, _, mut watched) = watching("flag").await;
    drop(watched.watcher);
    let ended = timeout(Duration::from_secs(20), watched.refreshes.recv());
    assert_eq!(ended.await, Ok(None));
}

#[tokio::test]
async fn refresh_that_hangs_does_not_delay_stopping() {
    let (_directory, path) = folder();
    write(&path, "flag");
    let (release, released): (_, Receiver<()>) = channel();
    let (begin, mut begun) = unbounded_channel();
    let take = move |_: Refresh| {
        begin.send(()).unwrap();
        let _ = released.recv();
    };
    let watcher = FlagFileWatcher::start(FlagFile::at(&path).unwrap(), take).unwrap();
    begun.recv().await.unwrap();
    let stopped = watcher.stop(Duration::from_millis(50)).await;
    assert_eq!(stopped, Stopped::Aborted);
    drop(release);
}

#[test]
fn start_without_a_runtime_is_an_error() {
    let file = FlagFile::at(Path::new("flags.yaml")).unwrap();
    let error = FlagFileWatcher::start(file, |_| {}).unwrap_err();
    assert_eq!(error, NoRuntimeError::Outside);
}
