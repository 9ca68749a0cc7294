//! A flag set: the source of its flags, the loaded flags, and the changes of a new load.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use goff_engine::{FlagFile, FlagFileFormat, FlagSet as Flags};
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
    /// A file, read again at every poll.
    File(PathBuf),
    Text(String, FlagFileFormat),
}

/// The flags of one load.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) flags: Flags,
    /// Each flag in the form of the configuration endpoint.
    pub(super) served: BTreeMap<String, Value>,
    /// The text from which they were loaded.
    text: String,
    /// Why flags of the source are not served.
    problems: Vec<String>,
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

    /// The file, if flags come from one.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &*lock(&self.source) {
            Source::File(path) => Some(path.clone()),
            Source::Text(..) => None,
        }
    }

    pub(super) fn set_source(&self, source: Source) {
        *lock(&self.source) = source;
    }

    /// Loads the flags again. Returns the change message if something changed.
    pub(super) fn load(&self) -> Result<Option<Arc<str>>, LoadError> {
        // The lock is held throughout, so that loads do not overlap.
        let source = lock(&self.source);
        let (text, format) = match &*source {
            Source::Text(text, format) => (Cow::Borrowed(text.as_str()), *format),
            Source::File(path) => (Cow::Owned(read(path)?), format_of(path)),
        };
        let before = self.loaded();
        let is_first = lock(&self.loaded_at).is_none();
        if !is_first && before.text == text {
            *lock(&self.loaded_at) = Some(SystemTime::now());
            return Ok(None);
        }
        let after = Loaded::parse(text.into_owned(), format)?;
        let message = change_message(&before.served, &after.served).filter(|_| !is_first);
        *lock(&self.loaded) = Arc::new(after);
        *lock(&self.loaded_at) = Some(SystemTime::now());
        Ok(message)
    }
}

impl Loaded {
    /// Parses flags as the relay proxy does: a flag that cannot be decoded refuses the whole text;
    /// an invalid flag is left out.
    fn parse(text: String, format: FlagFileFormat) -> Result<Self, LoadError> {
        let file = FlagFile::parse(&text, format).map_err(|error| LoadError(error.to_string()))?;
        let undecodable = |problem: &&goff_engine::FlagProblem| {
            let flag = file.flags.get(problem.flag());
            flag.is_some_and(|flag| flag.error().is_some())
        };
        if let Some(problem) = file.problems.iter().find(undecodable) {
            return Err(LoadError(problem.to_string()));
        }
        let mut loaded = Self {
            problems: file.problems.iter().map(ToString::to_string).collect(),
            ..Self::default()
        };
        let has_problem = |key: &str| file.problems.iter().any(|problem| problem.flag() == key);
        for flag in file.flags.iter().filter(|flag| !has_problem(flag.key())) {
            let served = serde_json::from_str(flag.raw_json());
            let served = served.map_err(|error| LoadError(error.to_string()))?;
            loaded.served.insert(flag.key().to_owned(), served);
            loaded.flags.insert(flag.clone());
        }
        loaded.text = text;
        Ok(loaded)
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

fn read(path: &Path) -> Result<String, LoadError> {
    fs::read_to_string(path).map_err(|error| LoadError(format!("{}: {error}", path.display())))
}

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
        assert!(set.load().unwrap().is_none());
        assert!(set.load().unwrap().is_none());
        let text = FLAGS.replace("b:", "c:");
        let text = text.replace("a: {", "a: {version: '2', ");
        set.set_source(Source::Text(text, FlagFileFormat::Yaml));
        let message = set.load().unwrap().unwrap();
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
    fn a_malformed_file_changes_nothing_and_an_invalid_flag_is_left_out() {
        let set = set(FLAGS);
        set.load().unwrap();
        for bad in ["a: [", "a: {variations: 7}"] {
            set.set_source(Source::Text(bad.to_owned(), FlagFileFormat::Yaml));
            set.load().unwrap_err();
            assert_eq!(set.loaded().flags.len(), 2, "{bad}");
        }
        let text = format!("{FLAGS}d: {{variations: {{x: 1}}}}\n");
        set.set_source(Source::Text(text, FlagFileFormat::Yaml));
        // The served flags are the same.
        assert!(set.load().unwrap().is_none());
        assert_eq!(set.loaded().flags.len(), 2);
        assert_eq!(set.problems().len(), 1, "{:?}", set.problems());
    }
}
