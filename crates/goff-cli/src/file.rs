//! Files are read up to a limit, and replaced atomically.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let read = |content: &mut Vec<u8>| File::open(path)?.take(LARGEST + 1).read_to_end(content);
    read(&mut content).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check its permissions",
            _ => "give a readable file",
        };
        Failure::at(path.display(), format!("cannot be read: {error}; {remedy}"))
    })?;
    if content.len() as u64 > LARGEST {
        let limit = LARGEST >> 20;
        let message = format!("is larger than {limit} MiB; split the file");
        return Err(Failure::at(path.display(), message));
    }
    Ok(content)
}

/// Refuses what cannot be read again: a pipe, such as `<(git show …)`, or a device.
pub(crate) fn check_regular(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            let message = "cannot be read again when it changes; write it to a file first";
            Err(Failure::at(path.display(), message))
        }
        // Reading says what is wrong.
        _ => Ok(()),
    }
}

/// Whether a file has this content, but for the line ends that git changes. A device or a pipe has
/// none, and is not read.
pub(crate) fn has(path: &Path, content: &str) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && read(path).is_ok_and(|found| {
            String::from_utf8(found).is_ok_and(|found| found.replace("\r\n", "\n") == content)
        })
}

/// Replaces a file, or leaves it as it was. Devices and pipes are written to.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let replace = || {
        let existing = fs::metadata(path).ok();
        if existing
            .as_ref()
            .is_some_and(|existing| !existing.is_file())
        {
            return File::options().write(true).open(path)?.write_all(content);
        }
        if existing
            .as_ref()
            .is_some_and(|existing| existing.permissions().readonly())
        {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is read-only",
            ));
        }
        let path = &target(path)?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut beside = tempfile::Builder::new();
        #[cfg(unix)]
        beside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut beside = beside.tempfile_in(directory)?;
        if let Some(existing) = existing {
            beside.as_file().set_permissions(existing.permissions())?;
        }
        beside.write_all(content)?;
        beside.as_file().sync_all()?;
        beside.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    replace().map_err(|error: io::Error| {
        let message = format!("cannot be written: {error}; check the folder and its permissions");
        Failure::at(path.display(), message)
    })
}

/// Where a path leads: a link stays one, also if nothing is there yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("it is a link to itself"))
}

/// As on Linux.
const MOST_LINKS: usize = 40;
const LARGEST: u64 = 256 << 20;
