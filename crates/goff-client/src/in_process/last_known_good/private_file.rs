//! A file of one user, replaced as a whole.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use goff_core::__internal::random_u64;

use crate::in_process::regular_file::{self, Links};

/// Replaces a file, with mode 0600 where there are modes. A reader finds the old file or the new
/// one, after a crash too. A symbolic link at the path is replaced and its target left alone.
/// Blocks until the data are on the disk.
///
/// # Errors
/// Those of the file system; the old file stays, and no temporary one.
pub(super) fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    remove_leftovers(path);
    let mut temporary = Temporary::create(path)?;
    for part in parts {
        temporary.file.write_all(part)?;
    }
    temporary.file.sync_all()?;
    temporary.rename(path)
}

/// Reads a file that [`replace`] wrote, of at most `limit` bytes. Blocks.
///
/// # Errors
/// Those of the file system; no regular file; a file that another user owns or may write to; a
/// larger one.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // `replace` writes no links.
    let Some(mut file) = regular_file::open(path, Links::Refused)? else {
        return Err(io::Error::other("not a regular file"));
    };
    check_owner(path, &file.metadata()?)?;
    let mut content = Vec::new();
    (&mut file).take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("larger than {limit} bytes")));
    }
    Ok(content)
}

/// A new file in the same folder; removed when dropped, unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    fn create(beside: &Path) -> io::Result<Self> {
        // Process ids repeat, in containers at each start, so that they do not make names unique.
        Self::create_with(beside, &mut random_u64)
    }

    fn create_with(beside: &Path, random: &mut dyn FnMut() -> u64) -> io::Result<Self> {
        let (folder, start) = temporary_names(beside)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut attempts = 0;
        loop {
            let mut name = start.clone();
            name.push(format!("{:016x}{TEMPORARY_SUFFIX}", random()));
            let path = folder.join(name);
            attempts += 1;
            match options.open(&path) {
                Ok(file) => {
                    return Ok(Self {
                        path,
                        file,
                        is_renamed: false,
                    });
                }
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && attempts < MAX_ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_renamed = true;
        // Puts the name on the disk. Some file systems cannot; the file is whole either way.
        #[cfg(unix)]
        if let Some(folder) = self.path.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
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

/// The folder of a path, and the start of the names of temporary files in it.
fn temporary_names(path: &Path) -> Option<(&Path, OsString)> {
    let folder = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(".");
    Some((folder, name))
}

/// Removes temporary files of processes that were killed while they wrote.
fn remove_leftovers(path: &Path) {
    let Some((folder, start)) = temporary_names(path) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_old = || entry.metadata()?.modified().map(|time| time.elapsed());
        if name.starts_with(start.as_encoded_bytes())
            && name.ends_with(TEMPORARY_SUFFIX.as_bytes())
            && is_old().is_ok_and(|age| age.is_ok_and(|age| age > LEFTOVER_AGE))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(unix)]
fn check_owner(path: &Path, metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    check_owner_and_mode(metadata.uid(), metadata.mode() & 0o7777, |owner| {
        // The standard library has no `getuid`. The owner of /proc/self is this process's user,
        // unless the process must not be traced; a new file is the portable answer.
        Ok(
            fs::metadata("/proc/self").is_ok_and(|process| process.uid() == owner)
                || Temporary::create(path)?.file.metadata()?.uid() == owner,
        )
    })
}

#[cfg(unix)]
fn check_owner_and_mode(
    owner: u32,
    mode: u32,
    is_this_user: impl FnOnce(u32) -> io::Result<bool>,
) -> io::Result<()> {
    if mode & 0o022 != 0 {
        return Err(io::Error::other(format!(
            "other users may write to it (mode {mode:04o}, not 0600)"
        )));
    }
    if owner == 0 || is_this_user(owner)? {
        Ok(())
    } else {
        Err(io::Error::other("it belongs to another user"))
    }
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

const TEMPORARY_SUFFIX: &str = ".tmp";

/// The most names that are tried for a temporary file.
const MAX_ATTEMPTS: u32 = 16;

/// No write takes this long.
const LEFTOVER_AGE: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const LIMIT: u64 = 1_000;

    /// The names in a folder, sorted.
    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A folder, and the path of a file in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        (directory, path)
    }

    fn refusal(path: &Path) -> String {
        read(path, LIMIT).unwrap_err().to_string()
    }

    #[test]
    fn new_content_replaces_the_old_without_leftovers() {
        let (directory, path) = folder();
        for content in [&b"one"[..], b"", b"three"] {
            replace(&path, &[content, b"!"]).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap(), [content, b"!"].concat());
            assert_eq!(names(&directory), ["file"]);
        }
    }

    #[test]
    fn file_beyond_the_size_limit_is_refused() {
        let (_directory, path) = folder();
        replace(&path, &[&[b'x'; LIMIT as usize]]).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().len(), LIMIT as usize);
        replace(&path, &[&[b'x'; LIMIT as usize + 1]]).unwrap();
        assert_eq!(refusal(&path), "larger than 1000 bytes");
    }

    #[test]
    fn failure_keeps_the_old_file_without_leftovers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        replace(&path, &[b"content"]).unwrap_err();
        assert_eq!(names(&directory), ["taken"]);
        assert_eq!(refusal(&path), "not a regular file");
        replace(&directory.path().join("absent/file"), &[b"content"]).unwrap_err();
        replace(Path::new("/"), &[b"content"]).unwrap_err();
        assert_eq!(names(&directory), ["taken"]);
    }

    /// Names that are taken, by a leftover or by another user, are passed over.
    #[test]
    fn taken_names_are_passed_over() {
        let (directory, path) = folder();
        let name = |number: u64| format!(".file.{number:016x}.tmp");
        for number in 0..3 {
            File::create(directory.path().join(name(number))).unwrap();
        }
        let mut numbers = 0..;
        let temporary =
            Temporary::create_with(&path, &mut || numbers.next().unwrap_or_default()).unwrap();
        assert_eq!(temporary.path, directory.path().join(name(3)));
        // Where every name is taken, the attempts end.
        let error = Temporary::create_with(&path, &mut || 0).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    /// What a process with this id, and a count from 0, would have left in a container.
    #[test]
    fn leftovers_of_the_same_process_id_do_not_matter() {
        let (directory, path) = folder();
        for count in 0..1_000 {
            let name = format!(".file.{}-{count}.tmp", std::process::id());
            File::create(directory.path().join(name)).unwrap();
        }
        replace(&path, &[b"content"]).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap(), b"content");
    }

    #[test]
    fn leftovers_of_killed_processes_are_removed_and_other_files_stay() {
        let directory = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - 2 * LEFTOVER_AGE;
        for (name, modified) in [
            (".file.1-0.tmp", long_ago),
            (".file.2-0.tmp", SystemTime::now()),
            (".other.1-0.tmp", long_ago),
        ] {
            let file = File::create(directory.path().join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
        replace(&directory.path().join("file"), &[b"content"]).unwrap();
        let left = [".file.2-0.tmp", ".other.1-0.tmp", "file"];
        assert_eq!(names(&directory), left);
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

        use super::*;

        #[test]
        fn only_the_owner_may_read_even_after_a_world_writable_file() {
            let (_directory, path) = folder();
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
            replace(&path, &[b"new"]).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        }

        #[test]
        fn file_that_other_users_may_write_is_refused() {
            let (_directory, path) = folder();
            replace(&path, &[b"content"]).unwrap();
            for mode in [0o620, 0o602, 0o666] {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                let reason = format!("other users may write to it (mode {mode:04o}, not 0600)");
                assert_eq!(refusal(&path), reason);
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap(), b"content");
        }

        #[test]
        fn file_of_another_user_is_refused() {
            let check = |owner, user| {
                check_owner_and_mode(owner, 0o600, |owner| Ok(owner == user))
                    .map_err(|error| error.to_string())
            };
            let refused = Err("it belongs to another user".to_owned());
            assert_eq!(check(1_000, 1_001), refused);
            assert_eq!(check(1_000, 1_000), Ok(()));
            // The superuser can write to every file anyway.
            assert_eq!(check(0, 1_000), Ok(()));
        }

        #[test]
        fn link_is_refused_and_replaced_and_its_target_stays() {
            let (directory, path) = folder();
            let target = directory.path().join("target");
            fs::write(&target, "target").unwrap();
            symlink(&target, &path).unwrap();
            assert_eq!(refusal(&path), "not a regular file");
            replace(&path, &[b"content"]).unwrap();
            assert_eq!(read(&path, LIMIT).unwrap(), b"content");
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            assert_eq!(fs::read(&target).unwrap(), b"target");
        }
    }
}
