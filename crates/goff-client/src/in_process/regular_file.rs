//! Opening a file that anything may have replaced.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// What to do with a symbolic link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// As in Kubernetes, which mounts files as links.
    #[cfg_attr(
        not(feature = "file"),
        expect(dead_code, reason = "only flag files may be links")
    )]
    Followed,
    Refused,
}

/// Opens a file for reading; `None` if it is no regular file. It never waits for the writer of a
/// pipe: what is at the path is looked at once it is open, because it may change before.
#[cfg(unix)]
pub(crate) fn open(path: &Path, links: Links) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = match links {
        Links::Followed => libc::O_NONBLOCK,
        Links::Refused => libc::O_NONBLOCK | libc::O_NOFOLLOW,
    };
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if links == Links::Refused && error.raw_os_error() == Some(libc::ELOOP) => {
            return Ok(None);
        }
        // A socket.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

#[cfg(not(unix))]
pub(crate) fn open(path: &Path, links: Links) -> io::Result<Option<File>> {
    let metadata = match links {
        Links::Followed => std::fs::metadata(path)?,
        Links::Refused => std::fs::symlink_metadata(path)?,
    };
    match metadata.is_file() {
        true => OpenOptions::new().read(true).open(path).map(Some),
        false => Ok(None),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    fn pipe(path: &Path) {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.is_ok_and(|status| status.success()));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "content").unwrap();
        fs::create_dir(at("folder")).unwrap();
        pipe(&at("pipe"));
        let _listener = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("pipe"), at("link to a pipe")).unwrap();
        for (name, followed, refused) in [
            ("file", true, true),
            ("link", true, false),
            ("folder", false, false),
            ("pipe", false, false),
            ("socket", false, false),
            ("link to a pipe", false, false),
        ] {
            for (links, expected) in [(Links::Followed, followed), (Links::Refused, refused)] {
                let opened = open(&at(name), links).unwrap();
                assert_eq!(opened.is_some(), expected, "{name}, {links:?}");
            }
        }
        let absent = open(&at("absent"), Links::Refused).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }

    /// A pipe without a writer takes the file's place and gives it back, while the file is read.
    #[test]
    fn pipe_in_the_place_of_the_file_does_not_hang() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        pipe(&at("pipe"));
        fs::write(at("content"), "content").unwrap();
        fs::write(at("file"), "content").unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for name in ["pipe", "content"].into_iter().cycle() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let _ = fs::remove_file(at("next"));
                    fs::hard_link(at(name), at("next")).unwrap();
                    fs::rename(at("next"), at("file")).unwrap();
                }
            });
            let (done, reads) = std::sync::mpsc::channel();
            let path = at("file");
            // Detached, so that a read that hangs does not keep the test from failing.
            let reader = thread::spawn(move || {
                let start = Instant::now();
                while start.elapsed() < Duration::from_secs(1) {
                    for links in [Links::Followed, Links::Refused] {
                        open(&path, links).unwrap();
                    }
                }
                done.send(()).unwrap();
            });
            let outcome = reads.recv_timeout(Duration::from_secs(30));
            is_over.store(true, Ordering::Relaxed);
            outcome.expect("reading hangs");
            reader.join().unwrap();
        });
    }
}
