//! A flag set: the source of its flags, the loaded flags, and the changes of a new load.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use goff_engine::__internal::flag_value;
use goff_engine::{FlagFile, FlagFileFormat, FlagProblem, FlagSet as Flags};
use serde_json::{Map, Value, json};

/// A flag set: its own flags, keys and enrichment.
#[derive(Debug)]
pub(super) struct FlagSet {
    /// `None` for the only set of a relay proxy without flag sets.
    pub(super) name: Option<String>,
    pub(super) api_keys: Vec<String>,
    pub(super) enrichment: Map<String, Value>,
    source: Mutex<Source>,
    loaded: Mutex<Arc<Loaded>>,
    /// The time of the last load, changes or not; `None` before the first load.
    loaded_at: Mutex<Option<SystemTime>>,
}

/// The source of flags.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Files, read again at every poll.
    Files(Vec<PathBuf>),
    Text(String, FlagFileFormat),
}

/// The flags of one load.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) flags: Flags,
    /// Each flag in the form of the configuration endpoint.
    pub(super) served: BTreeMap<String, Value>,
    /// The texts from which they were loaded.
    texts: Vec<Vec<u8>>,
    /// Why flags of the source are not served.
    problems: Vec<String>,
}

/// What another load of flags changed.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// The message for the change streams, if other flags are served.
    pub(super) message: Option<Arc<str>>,
    /// Why flags are not served, if it is not as before.
    pub(super) problems: Vec<String>,
}

/// Why flags could not be loaded. The earlier flags stay.
#[derive(Debug)]
pub(super) struct LoadError(String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the flags cannot be loaded: {}", self.0)
    }
}

impl std::error::Error for LoadError {}

impl FlagSet {
    pub(super) fn new(
        name: Option<String>,
        api_keys: Vec<String>,
        enrichment: Map<String, Value>,
        source: Source,
    ) -> Self {
        Self {
            name,
            api_keys,
            enrichment,
            source: Mutex::new(source),
            loaded: Mutex::default(),
            loaded_at: Mutex::default(),
        }
    }

    /// The flags of the last good load.
    pub(super) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&lock(&self.loaded))
    }

    /// The time of the last load, changes or not.
    pub(super) fn loaded_at(&self) -> SystemTime {
        // The relay proxy starts with a load.
        lock(&self.loaded_at).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Why flags of the source are not served.
    pub(super) fn problems(&self) -> Vec<String> {
        self.loaded().problems.clone()
    }

    /// The files, if flags come from them.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match &*lock(&self.source) {
            Source::Files(paths) => paths.clone(),
            Source::Text(..) => Vec::new(),
        }
    }

    pub(super) fn set_source(&self, source: Source) {
        *lock(&self.source) = source;
    }

    /// Loads the flags again.
    pub(super) fn load(&self) -> Result<Reload, LoadError> {
        // The lock is held throughout, so that loads do not overlap.
        let source = lock(&self.source);
        let (texts, places) = match &*source {
            Source::Text(text, format) => (vec![text.clone().into_bytes()], vec![(None, *format)]),
            Source::Files(paths) => {
                let texts: Result<_, LoadError> = paths.iter().map(|path| read(path)).collect();
                let place = |path| (Some(path), format_of(path));
                (
                    texts?,
                    paths.iter().map(PathBuf::as_path).map(place).collect(),
                )
            }
        };
        let before = self.loaded();
        let is_first = lock(&self.loaded_at).is_none();
        if !is_first && before.texts == texts {
            *lock(&self.loaded_at) = Some(SystemTime::now());
            return Ok(Reload::default());
        }
        let mut after = Loaded::default();
        for (text, (path, format)) in texts.iter().zip(places) {
            after.add(text, path, format)?;
        }
        after.texts = texts;
        let mut reload = Reload::default();
        if !is_first {
            reload.message = change_message(&before.served, &after.served);
            if after.problems != before.problems {
                reload.problems.clone_from(&after.problems);
            }
        }
        *lock(&self.loaded) = Arc::new(after);
        *lock(&self.loaded_at) = Some(SystemTime::now());
        Ok(reload)
    }
}

impl Loaded {
    /// Adds flags as the relay proxy does: a flag that cannot be decoded refuses the whole text; an
    /// invalid flag is left out.
    fn add(
        &mut self,
        text: &[u8],
        path: Option<&Path>,
        format: FlagFileFormat,
    ) -> Result<(), LoadError> {
        let located = |message: &dyn fmt::Display| match path {
            Some(path) => format!("{}: {message}", path.display()),
            None => message.to_string(),
        };
        let file = FlagFile::parse(text, format).map_err(|error| LoadError(located(&error)))?;
        if let Some(problem) = file.problems.iter().find(|problem| problem.refuses_file()) {
            return Err(LoadError(located(problem)));
        }
        let problems = file.problems.iter().map(|problem| located(problem));
        self.problems.extend(problems);
        let left_out: HashSet<&str> = file.problems.iter().map(FlagProblem::flag).collect();
        for flag in file
            .flags
            .iter()
            .filter(|flag| !left_out.contains(flag.key()))
        {
            if let Some(served) = flag_value(flag) {
                self.served.insert(flag.key().to_owned(), served);
                self.flags.insert(flag.clone());
            }
        }
        Ok(())
    }
}

/// The message for the change streams; `None` if nothing changed.
fn change_message(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Option<Arc<str>> {
    let missing = |from: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| {
        let missing = from.iter().filter(|(key, _)| !other.contains_key(*key));
        missing
            .map(|(key, flag)| (key.clone(), flag.clone()))
            .collect::<Map<_, _>>()
    };
    let updated: Map<String, Value> = before
        .iter()
        .filter_map(|(key, old)| {
            let new = after.get(key).filter(|new| *new != old)?;
            Some((key.clone(), json!({"old_value": old, "new_value": new})))
        })
        .collect();
    let (deleted, added) = (missing(before, after), missing(after, before));
    if deleted.is_empty() && added.is_empty() && updated.is_empty() {
        return None;
    }
    let message = json!({"deleted": deleted, "added": added, "updated": updated});
    Some(format!("{message}\n").into())
}

/// Reads a file that can be read again: of a pipe the second reading waits or is empty.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let read = || {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other(
                "not a regular file, which can be read again",
            ));
        }
        let mut text = Vec::new();
        if metadata.len() <= LARGEST {
            File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
        }
        if metadata.len().max(text.len() as u64) > LARGEST {
            let message = format!("larger than {} MiB; split the file", LARGEST >> 20);
            return Err(io::Error::other(message));
        }
        Ok(text)
    };
    read().map_err(|error| LoadError(format!("{}: {error}", path.display())))
}

const LARGEST: u64 = 256 << 20;

/// The format by the extension; YAML if it is unknown.
fn format_of(path: &Path) -> FlagFileFormat {
    FlagFileFormat::of_path(path).unwrap_or(FlagFileFormat::Yaml)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &str = "\
a: {variations: {x: 1}, defaultRule: {variation: x}}
b: {variations: {x: 1}, defaultRule: {variation: x}}
";

    fn set(text: &str) -> FlagSet {
        let source = Source::Text(text.to_owned(), FlagFileFormat::Yaml);
        FlagSet::new(None, Vec::new(), Map::new(), source)
    }

    #[test]
    fn a_load_announces_its_changes() {
        let set = set(FLAGS);
        // The first load announces nothing.
        assert!(set.load().unwrap().message.is_none());
        assert!(set.load().unwrap().message.is_none());
        let text = FLAGS.replace("b:", "c:");
        let text = text.replace("a: {", "a: {version: '2', ");
        set.set_source(Source::Text(text, FlagFileFormat::Yaml));
        let message = set.load().unwrap().message.unwrap();
        assert!(message.ends_with('\n'));
        let message: Value = serde_json::from_str(&message).unwrap();
        let flag = json!({"variations": {"x": 1}, "defaultRule": {"variation": "x"}});
        let mut newer = flag.clone();
        newer["version"] = "2".into();
        let expected = json!({
            "deleted": {"b": flag},
            "added": {"c": flag},
            "updated": {"a": {"old_value": flag, "new_value": newer}},
        });
        assert_eq!(message, expected);
    }

    #[test]
    fn only_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.yaml");
        File::create(&large).unwrap().set_len(LARGEST + 1).unwrap();
        for (path, message) in [
            (large, "larger than 256 MiB"),
            (folder.path().to_owned(), "not a regular file"),
            (folder.path().join("none"), "none: "),
            #[cfg(unix)]
            ("/dev/zero".into(), "not a regular file"),
        ] {
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_malformed_file_changes_nothing_and_an_invalid_flag_is_left_out() {
        let set = set(FLAGS);
        set.load().unwrap();
        for bad in ["a: [", "a: {variations: 7}", "a: {disable: 1}\nb: {}"] {
            set.set_source(Source::Text(bad.to_owned(), FlagFileFormat::Yaml));
            set.load().unwrap_err();
            assert_eq!(set.loaded().flags.len(), 2, "{bad}");
        }
        let text = format!("{FLAGS}d: {{variations: {{x: 1}}}}\n");
        set.set_source(Source::Text(text, FlagFileFormat::Yaml));
        // The served flags are the same.
        assert!(set.load().unwrap().message.is_none());
        assert_eq!(set.loaded().flags.len(), 2);
        assert_eq!(set.problems().len(), 1, "{:?}", set.problems());
    }

    /// Values nested deeper than `serde_json` reads are served, and flags beyond a limit that the
    /// relay proxy does not have are left out.
    #[test]
    fn what_the_relay_proxy_serves_does_not_refuse_the_file() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let copies = "*s , ".repeat(100);
        let long = "y".repeat(20_000);
        let text = format!(
            "{FLAGS}deep: {{variations: {{x: {deep}}}, defaultRule: {{variation: x}}}}\n\
             copies: {{variations: {{x: &s {long}}}, defaultRule: {{variation: x}}, metadata: {{m: [{copies}]}}}}\n"
        );
        let set = set(&text);
        set.load().unwrap();
        assert_eq!(set.loaded().flags.len(), 3, "{:?}", set.problems());
        assert_eq!(set.loaded().served.len(), 3);
        assert_eq!(set.problems().len(), 1, "{:?}", set.problems());
    }
}
