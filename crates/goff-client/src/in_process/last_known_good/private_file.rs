//! A file that only its owner may read, replaced as a whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Writes a file anew, with mode 0600 where there are modes. Whoever reads the path meanwhile finds
/// the old file or the new one, and so does whoever comes after a crash.
///
/// The new file takes the path's place: where a symbolic link was, it is gone and its target
/// untouched. It blocks, until the data are on the disk.
///
/// # Errors
/// Those of the file system; what was at the path stays, and nothing is left beside it.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    remove_leftovers(path);
    let mut temporary = Temporary::create(path)?;
    for part in parts {
        temporary.file.write_all(part)?;
    }
    temporary.file.sync_all()?;
    temporary.rename(path)
}

/// Reads a file that [`replace`] may have written, of at most `limit` bytes. It blocks.
///
/// # Errors
/// A file that somebody else may have changed is refused, and so is what is no file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    // Not through a link: what it points to is not what `replace` wrote.
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    let mut file = File::open(path)?;
    if !is_same(&metadata, &file.metadata()?) {
        return Err(ReadError::NotRegular);
    }
    check_owner(path, &metadata)?;
    let mut content = Vec::new();
    (&mut file).take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(ReadError::TooLarge(limit));
    }
    Ok(content)
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file system's error.
    Io(io::Error),
    /// A directory, a symbolic link or a device, or replaced by another file just now.
    NotRegular,
    /// Group or others may write to it.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no modes"))]
    Writable(u32),
    /// It belongs to another user than this process.
    #[cfg_attr(not(unix), expect(dead_code, reason = "owners are not looked at"))]
    Foreign,
    /// It has more bytes than this.
    TooLarge(u64),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::NotRegular => f.write_str("is not a regular file"),
            Self::Writable(mode) => {
                write!(f, "may be written by others (mode {mode:04o}, not 0600)")
            }
            Self::Foreign => f.write_str("belongs to another user"),
            Self::TooLarge(limit) => write!(f, "is larger than {limit} bytes"),
        }
    }
}

/// A new file beside another one; removed when dropped, unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    fn create(beside: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (directory, mut name) = temporary_names(beside)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a path of a file"))?;
        name.push(format!(
            "{}-{}{TEMPORARY_SUFFIX}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        let path = directory.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        Ok(Self {
            path,
            file,
            is_renamed: false,
        })
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_renamed = true;
        // The name is on the disk once the directory is. Not all file systems can be asked for
        // it, and the file is whole either way.
        #[cfg(unix)]
        if let Some(directory) = self.path.parent() {
            let _ = File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The directory of a path, and what the names of temporary files there begin with.
fn temporary_names(path: &Path) -> Option<(&Path, OsString)> {
    let directory = match path.parent()? {
        directory if directory.as_os_str().is_empty() => Path::new("."),
        directory => directory,
    };
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(".");
    Some((directory, name))
}

/// Removes what a process left that was killed while it wrote; it cannot do so itself.
fn remove_leftovers(path: &Path) {
    let Some((directory, start)) = temporary_names(path) else {
        return;
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let is_leftover = |name: &OsStr, modified: SystemTime| {
        let name = name.as_encoded_bytes();
        name.starts_with(start.as_encoded_bytes())
            && name.ends_with(TEMPORARY_SUFFIX.as_bytes())
            && modified.elapsed().is_ok_and(|age| age > LEFTOVER_AGE)
    };
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| is_leftover(&entry.file_name(), modified)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, other: &Metadata) -> bool {
    other.is_file()
}

#[cfg(unix)]
fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), ReadError> {
    use std::os::unix::fs::MetadataExt;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(ReadError::Writable(mode));
    }
    let owner = metadata.uid();
    // Safe Rust does not tell the process's user. On Linux /proc does, except of processes that
    // may not be traced; elsewhere a new file does.
    let is_own = owner == 0
        || fs::metadata("/proc/self").is_ok_and(|process| process.uid() == owner)
        || Temporary::create(path)?.file.metadata()?.uid() == owner;
    if is_own {
        Ok(())
    } else {
        Err(ReadError::Foreign)
    }
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &Metadata) -> Result<(), ReadError> {
    Ok(())
}

const TEMPORARY_SUFFIX: &str = ".tmp";

/// Nobody takes so long to write a file.
const LEFTOVER_AGE: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_process::test_directory::TestDirectory;

    const LIMIT: u64 = 1_000;

    fn refusal(path: &Path) -> String {
        read(path, LIMIT).unwrap_err().to_string()
    }

    #[test]
    fn new_content_takes_the_place_of_the_old_and_nothing_stays_beside_it() {
        let directory = TestDirectory::new();
        let path = directory.path("file");
        for content in [&b"one"[..], b"", b"three"] {
            replace(&path, &[content, b"!"]).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap(), [content, b"!"].concat());
            assert_eq!(directory.names(), ["file"]);
        }
    }

    #[test]
    fn file_is_as_large_as_the_limit_or_refused() {
        let directory = TestDirectory::new();
        let path = directory.path("file");
        replace(&path, &[&[b'x'; LIMIT as usize]]).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().len(), LIMIT as usize);
        replace(&path, &[&[b'x'; LIMIT as usize + 1]]).unwrap();
        assert_eq!(refusal(&path), "is larger than 1000 bytes");
    }

    #[test]
    fn failure_leaves_what_was_there_and_nothing_beside_it() {
        let directory = TestDirectory::new();
        let path = directory.path("taken");
        fs::create_dir(&path).unwrap();
        replace(&path, &[b"content"]).unwrap_err();
        assert_eq!(directory.names(), ["taken"]);
        assert_eq!(refusal(&path), "is not a regular file");
        replace(&directory.path("absent/file"), &[b"content"]).unwrap_err();
        replace(Path::new("/"), &[b"content"]).unwrap_err();
        assert_eq!(directory.names(), ["taken"]);
    }

    #[test]
    fn leftovers_of_killed_processes_go_and_others_files_stay() {
        let directory = TestDirectory::new();
        let long_ago = SystemTime::now() - 2 * LEFTOVER_AGE;
        for (name, modified) in [
            (".file.1-0.tmp", long_ago),
            (".file.2-0.tmp", SystemTime::now()),
            (".other.1-0.tmp", long_ago),
        ] {
            let file = File::create(directory.path(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        replace(&directory.path("file"), &[b"content"]).unwrap();
        assert_eq!(
            directory.names(),
            [".file.2-0.tmp", ".other.1-0.tmp", "file"]
        );
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

        use super::*;

        #[test]
        fn only_the_owner_may_read_even_where_the_old_file_was_open_to_all() {
            let directory = TestDirectory::new();
            let path = directory.path("file");
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
            replace(&path, &[b"new"]).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        }

        #[test]
        fn file_that_others_may_write_is_refused() {
            let directory = TestDirectory::new();
            let path = directory.path("file");
            replace(&path, &[b"content"]).unwrap();
            for mode in [0o620, 0o602, 0o666] {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                assert_eq!(
                    refusal(&path),
                    format!("may be written by others (mode {mode:04o}, not 0600)")
                );
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap(), b"content");
        }

        /// Only the superuser can give files away, so that others cannot show it.
        #[test]
        fn file_of_another_user_is_refused() {
            let directory = TestDirectory::new();
            let path = directory.path("file");
            replace(&path, &[b"content"]).unwrap();
            if chown(&path, Some(4_711), None).is_err() {
                return;
            }
            assert_eq!(refusal(&path), "belongs to another user");
            assert_eq!(directory.names(), ["file"]);
        }

        #[test]
        fn link_is_refused_and_replaced_while_its_target_stays() {
            let directory = TestDirectory::new();
            let (path, target) = (directory.path("link"), directory.path("target"));
            fs::write(&target, "target").unwrap();
            symlink(&target, &path).unwrap();
            assert_eq!(refusal(&path), "is not a regular file");
            replace(&path, &[b"content"]).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap(), b"content");
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            assert_eq!(fs::read(&target).unwrap(), b"target");
        }
    }
}
