//! A flag file in YAML, JSON or TOML.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use goff_engine::{__internal, FlagFileFormat, FlagSet};

use crate::in_process::regular_file::{self, Links};

/// The path of a flag file and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlagFile {
    path: PathBuf,
    format: FlagFileFormat,
}

impl FlagFile {
    /// The file at `path`, which need not exist yet. A relative path is resolved now, against the
    /// current directory.
    pub(crate) fn at(path: &Path) -> Result<Self, FlagFileError> {
        let error = |problem| FlagFileError {
            path: path.to_owned(),
            problem,
        };
        let format =
            FlagFileFormat::of_path(path).ok_or_else(|| error(Problem::UnknownExtension))?;
        let path = std::path::absolute(path).map_err(|source| error(source.into()))?;
        Ok(Self { path, format })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content, at most [`MAX_FLAG_FILE_SIZE`] bytes. Blocks.
    pub(crate) fn read(&self) -> Result<Vec<u8>, FlagFileError> {
        self.try_read().map_err(|problem| self.error(problem))
    }

    fn try_read(&self) -> Result<Vec<u8>, Problem> {
        let Some(file) = regular_file::open(&self.path, Links::Followed)? else {
            return Err(Problem::NotAFile);
        };
        let mut content = Vec::new();
        file.take(MAX_FLAG_FILE_SIZE + 1)
            .read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FLAG_FILE_SIZE {
            return Err(Problem::TooLarge);
        }
        Ok(content)
    }

    /// Parses what [`read`](Self::read) returned. Flags that are as in `earlier` are not compiled again.
    pub(crate) fn parse(
        &self,
        content: &[u8],
        earlier: &FlagSet,
    ) -> Result<goff_engine::FlagFile, FlagFileError> {
        // YAML would read no flags from it, but a file is empty while it is being written.
        if content.trim_ascii().is_empty() {
            return Err(self.error(Problem::Empty));
        }
        __internal::refreshed_file(earlier, content, self.format)
            .map_err(|error| self.error(Problem::Malformed(error.to_string())))
    }

    /// The error of content whose loading panicked.
    pub(crate) fn panicked(&self) -> FlagFileError {
        self.error(Problem::Panicked)
    }

    fn error(&self, problem: Problem) -> FlagFileError {
        FlagFileError {
            path: self.path.clone(),
            problem,
        }
    }
}

impl fmt::Display for FlagFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flag file `{}`", self.path.display())
    }
}

/// Why a flag file cannot be used, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("flag file `{}`{problem}", .path.display())]
pub(crate) struct FlagFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error(" has an unsupported extension; rename it to end in .yaml, .yml, .json or .toml")]
    UnknownExtension,
    #[error(" does not exist; create it, or correct the path")]
    Absent,
    #[error(" is not a regular file; correct the path")]
    NotAFile,
    #[error(" is not readable (permission denied)")]
    Denied,
    #[error(" cannot be read: {0}")]
    NotRead(String),
    #[error(" is larger than {MAX_FLAG_FILE_SIZE} bytes; remove flags from it")]
    TooLarge,
    #[error(" is empty; write `{{}}` for no flags")]
    Empty,
    #[error(", {0}; correct it there")]
    Malformed(String),
    #[error(": loading its flags panicked; please report it, and change the file to try again")]
    Panicked,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::NotRead(error.to_string()),
        }
    }
}

/// The largest flag file, in bytes: the limit for a relay proxy's configuration too.
const MAX_FLAG_FILE_SIZE: u64 = 256 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    const VALID: &str = "variations: {on: true, off: false}\n  defaultRule: {variation: on}\n";

    /// The error text of a file with this name and content.
    fn error(name: &str, content: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        let file = FlagFile::at(&path).unwrap();
        let error = file
            .parse(&file.read().unwrap(), &FlagSet::default())
            .unwrap_err();
        error
            .to_string()
            .replace(&path.display().to_string(), "PATH")
    }

    #[test]
    fn extension_says_the_format_and_an_unknown_one_is_refused() {
        for name in ["a.yaml", "a.yml", "a.YAML", "a.json", "a.toml"] {
            FlagFile::at(Path::new(name)).unwrap();
        }
        for name in ["flags", "flags.ini", "flags.yaml.bak"] {
            let error = FlagFile::at(Path::new(name)).unwrap_err().to_string();
            let end =
                "has an unsupported extension; rename it to end in .yaml, .yml, .json or .toml";
            assert_eq!(error, format!("flag file `{name}` {end}"));
        }
    }

    #[test]
    fn each_format_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let yaml = format!("fläg:\n  {VALID}");
        let json = r#"{"fläg": {"variations": {"on": true}, "defaultRule": {"variation": "on"}}}"#;
        let toml = "[\"fläg\".variations]\non = true\n[\"fläg\".defaultRule]\nvariation = \"on\"\n";
        for (name, content) in [("a.yaml", &*yaml), ("a.json", json), ("a.toml", toml)] {
            fs::write(directory.path().join(name), content).unwrap();
            let file = FlagFile::at(&directory.path().join(name)).unwrap();
            let loaded = file
                .parse(&file.read().unwrap(), &FlagSet::default())
                .unwrap();
            assert!(loaded.flags.get("fläg").is_some(), "{name}");
            assert_eq!(loaded.problems, []);
        }
    }

    #[test]
    fn error_has_path_position_and_advice() {
        assert_eq!(
            error("a.json", b"{\n  \"f\": tru}"),
            "flag file `PATH`, line 2, column 8: expected a value; correct it there"
        );
        assert_eq!(
            error("a.yaml", b"a: \xc3\xa9\xc3\xa9 \n\xc3\xa9b \xff"),
            "flag file `PATH`, line 2, column 4: not UTF-8; save it in that encoding; correct it there"
        );
        for empty in [&b""[..], b" \n\t\n"] {
            let error = error("a.yaml", empty);
            assert_eq!(error, "flag file `PATH` is empty; write `{}` for no flags");
        }
    }

    #[test]
    fn unreadable_file_is_an_error_with_advice() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("directory.yaml")).unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let absent = "does not exist; create it, or correct the path";
        for (name, end) in [
            ("absent.yaml", absent),
            ("file/a.yaml", absent),
            ("directory.yaml", "is not a regular file; correct the path"),
        ] {
            let file = FlagFile::at(&directory.path().join(name)).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert_eq!(error, format!("{file} {end}"));
        }
    }

    #[test]
    fn file_is_read_up_to_its_largest_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large.yaml");
        // A sparse file takes no space on the disk.
        let file = File::create(&path).unwrap();
        file.set_len(MAX_FLAG_FILE_SIZE + 1).unwrap();
        let error = FlagFile::at(&path).unwrap().read().unwrap_err().to_string();
        assert!(error.ends_with("is larger than 268435456 bytes; remove flags from it"));
    }
}
