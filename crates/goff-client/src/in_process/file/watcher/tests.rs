use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::in_process::test_directory::TestDirectory;

/// Only what the system tells counts.
const EVENTS: Pace = Pace {
    rest: Duration::from_millis(20),
    longest: Duration::from_millis(200),
    poll: Duration::from_secs(24 * 60 * 60),
};

const ABSENT: &str = "does not exist; create it, or correct the path";
const EMPTY: &str = "is empty; where there are to be no flags, write {}";

/// A watcher, and what it gave: the names of the flags, or the error's text.
struct Followed {
    watcher: FlagFileWatcher,
    refreshes: UnboundedReceiver<Result<String, String>>,
    looks: Arc<AtomicU64>,
}

impl Followed {
    fn start(path: &Path) -> Self {
        Self::start_with(path, DirectoryWatches::new(), EVENTS)
    }

    fn start_with(path: &Path, watches: DirectoryWatches, pace: Pace) -> Self {
        let (sender, refreshes) = unbounded_channel();
        let take = move |refresh: Refresh| {
            let refresh = refresh.map(|loaded| {
                let keys = loaded.flags.iter().map(goff_engine::Flag::key);
                keys.collect::<Vec<_>>().join(" ")
            });
            let _ = sender.send(refresh.map_err(|error| error.to_string()));
        };
        let follower = Follower::new(FlagFile::at(path).unwrap(), watches, Box::new(take));
        let looks = Arc::clone(&follower.looks);
        Self {
            watcher: FlagFileWatcher::start_with(follower, pace).unwrap(),
            refreshes,
            looks,
        }
    }

    async fn next(&mut self) -> Option<Result<String, String>> {
        timeout(Duration::from_secs(20), self.refreshes.recv())
            .await
            .expect("no refresh")
    }

    /// Writing in place empties the file at first, which may be seen on a busy machine.
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
        assert_eq!(
            self.watcher.stop(Duration::from_secs(20)).await,
            Stopped::Finished
        );
        assert_eq!(self.refreshes.recv().await, None);
    }
}

fn content(flag: &str) -> String {
    format!("{flag}: {{variations: {{on: true}}, defaultRule: {{variation: on}}}}\n")
}

fn write(path: &Path, flag: &str) {
    fs::write(path, content(flag)).unwrap();
}

/// Puts another file in the place of one.
fn replace(path: &Path, flag: &str) {
    let temporary = path.with_extension("tmp");
    write(&temporary, flag);
    fs::rename(temporary, path).unwrap();
}

#[tokio::test]
async fn file_is_read_at_first_and_after_each_write_and_replacement() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    write(&path, "first");
    let mut followed = Followed::start(&path);
    followed.gives("first").await;
    for round in 0..10 {
        let (written, replaced) = (format!("written-{round}"), format!("replaced-{round}"));
        write(&path, &written);
        followed.gives(&written).await;
        replace(&path, &replaced);
        followed.gives(&replaced).await;
    }
    followed.stop().await;
}

#[tokio::test]
async fn deleted_file_is_one_failure_and_its_return_a_refresh() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    let mut followed = Followed::start(&path);
    followed.fails(ABSENT).await;
    for _ in 0..5 {
        write(&path, "same");
        followed.gives("same").await;
        fs::remove_file(&path).unwrap();
        followed.fails(ABSENT).await;
    }
    followed.stop().await;
}

#[tokio::test]
async fn directory_that_comes_late_goes_and_returns_is_followed() {
    let directory = TestDirectory::new();
    let (parent, path) = (directory.path("a/b"), directory.path("a/b/flags.yaml"));
    let mut followed = Followed::start(&path);
    followed.fails(ABSENT).await;
    for round in ["one", "two", "three"] {
        fs::create_dir_all(&parent).unwrap();
        write(&path, round);
        followed.gives(round).await;
        write(&path, "changed");
        followed.gives("changed").await;
        fs::remove_dir_all(directory.path("a")).unwrap();
        followed.fails(ABSENT).await;
    }
    // Moved away, and another one in its place.
    fs::create_dir_all(&parent).unwrap();
    write(&path, "before");
    followed.gives("before").await;
    fs::rename(&parent, directory.path("a/elsewhere")).unwrap();
    followed.fails(ABSENT).await;
    fs::create_dir(&parent).unwrap();
    write(&path, "after");
    followed.gives("after").await;
    write(&path, "and on");
    followed.gives("and on").await;
    followed.stop().await;
}

/// As Kubernetes changes a mounted ConfigMap.
#[cfg(unix)]
#[tokio::test]
async fn swapped_link_is_followed() {
    use std::os::unix::fs::symlink;

    let mount = TestDirectory::new();
    let publish = |generation: &str| -> PathBuf {
        let directory = mount.path(format!("..{generation}"));
        fs::create_dir(&directory).unwrap();
        write(&directory.join("flags.yaml"), generation);
        symlink(format!("..{generation}"), mount.path("..data_tmp")).unwrap();
        fs::rename(mount.path("..data_tmp"), mount.path("..data")).unwrap();
        directory
    };
    let mut old = publish("0");
    symlink("..data/flags.yaml", mount.path("flags.yaml")).unwrap();
    let mut followed = Followed::start(&mount.path("flags.yaml"));
    followed.gives("0").await;
    for generation in 1..10 {
        let generation = generation.to_string();
        let new = publish(&generation);
        followed.gives(&generation).await;
        fs::remove_dir_all(std::mem::replace(&mut old, new)).unwrap();
    }
    // A write behind the links is noticed too.
    write(&mount.path("..data/flags.yaml"), "written");
    followed.gives("written").await;
    followed.stop().await;
}

/// A writer that takes its time is seen once more when it is done.
#[tokio::test]
async fn half_a_file_is_one_failure_and_the_whole_a_refresh() {
    use std::io::Write;

    let directory = TestDirectory::new();
    let path = directory.path("flags.json");
    let whole = r#"{"flag": {"variations": {"on": true}, "defaultRule": {"variation": "on"}}}"#;
    fs::write(&path, whole).unwrap();
    let mut followed = Followed::start(&path);
    followed.gives("flag").await;
    let mut file = fs::File::create(&path).unwrap();
    followed.fails(EMPTY).await;
    let (start, end) = whole.split_at(30);
    file.write_all(start.as_bytes()).unwrap();
    followed.fails("; correct it there").await;
    // To touch it is nothing new.
    let looks = followed.looks.load(Ordering::Relaxed);
    file.set_modified(SystemTime::now()).unwrap();
    while followed.looks.load(Ordering::Relaxed) == looks {
        tokio::task::yield_now().await;
    }
    file.write_all(end.as_bytes()).unwrap();
    followed.gives("flag").await;
    followed.stop().await;
}

#[tokio::test]
async fn same_bytes_are_no_refresh() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    write(&path, "same");
    let mut followed = Followed::start(&path);
    followed.gives("same").await;
    let looks = followed.looks.load(Ordering::Relaxed);
    for _ in 0..3 {
        replace(&path, "same");
    }
    while followed.looks.load(Ordering::Relaxed) == looks {
        tokio::task::yield_now().await;
    }
    replace(&path, "other");
    followed.gives("other").await;
    followed.stop().await;
}

/// What happens to other files in the directory is not worth a look. The soak takes more files
/// than CI.
#[tokio::test]
async fn churn_of_other_files_is_not_looked_at() {
    let writes = std::env::var("GOFF_CHURN_WRITES").map_or(500, |text| text.parse().unwrap());
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    write(&path, "before");
    let mut followed = Followed::start(&path);
    followed.gives("before").await;
    for round in 0..writes {
        let other = directory.path(format!("other-{}.yaml", round % 100));
        match round % 4 {
            0 => replace(&other, "replaced"),
            3 => drop(fs::remove_file(other)),
            _ => write(&other, "written"),
        }
        if round % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // Events come in order, so that those of the others have been dealt with after this one.
    replace(&path, "after");
    followed.gives("after").await;
    let looks = followed.looks.load(Ordering::Relaxed);
    // The system gives up telling when there is too much to tell.
    assert!(looks <= 3 + writes / 1_000, "{looks} looks");
    followed.stop().await;
}

#[tokio::test]
async fn file_system_that_tells_nothing_is_polled() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    let pace = Pace {
        poll: Duration::from_millis(20),
        ..EVENTS
    };
    let mut followed = Followed::start_with(&path, DirectoryWatches::blind(), pace);
    followed.fails(ABSENT).await;
    // As long as each other, and maybe within one tick of the file system's clock.
    for flag in ["one", "two", "six"] {
        write(&path, flag);
        followed.gives(flag).await;
    }
    followed.stop().await;
}

#[tokio::test]
async fn quiet_file_is_not_read_again() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    write(&path, "quiet");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    let flag_file = FlagFile::at(&path).unwrap();
    let (old, again) = (Signature::of(&flag_file), Signature::of(&flag_file));
    assert!(old.is_some());
    assert_eq!(old, again);
    write(&path, "quiet");
    assert_eq!(Signature::of(&flag_file), None);
}

#[tokio::test]
async fn dropped_watcher_takes_nothing_more() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    write(&path, "flag");
    let mut followed = Followed::start(&path);
    followed.gives("flag").await;
    drop(followed.watcher);
    let ended = timeout(Duration::from_secs(20), followed.refreshes.recv());
    assert_eq!(ended.await, Ok(None));
}

#[tokio::test]
async fn refresh_that_hangs_does_not_hold_up_the_end() {
    let directory = TestDirectory::new();
    let path = directory.path("flags.yaml");
    write(&path, "flag");
    let (release, released): (_, Receiver<()>) = channel();
    let (begin, mut begun) = unbounded_channel();
    let take = move |_: Refresh| {
        begin.send(()).unwrap();
        let _ = released.recv();
    };
    let watcher = FlagFileWatcher::start(FlagFile::at(&path).unwrap(), take).unwrap();
    begun.recv().await.unwrap();
    assert_eq!(
        watcher.stop(Duration::from_millis(50)).await,
        Stopped::Aborted
    );
    drop(release);
}

#[test]
fn without_a_runtime_it_says_so() {
    let file = FlagFile::at(Path::new("flags.yaml")).unwrap();
    assert_eq!(
        FlagFileWatcher::start(file, |_| {}).unwrap_err(),
        NoRuntimeError
    );
}
