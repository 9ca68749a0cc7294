//! The flags that a key gives access to: where they come from, what was loaded, and what a new
//! load changes.

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
    /// None for the only one of a relay proxy without flag sets.
    pub(super) name: Option<String>,
    pub(super) api_keys: Vec<String>,
    pub(super) enrichment: Map<String, Value>,
    source: Mutex<Source>,
    loaded: Mutex<Arc<Loaded>>,
    /// When flags were last loaded, changed or not; none before the first load.
    loaded_at: Mutex<Option<SystemTime>>,
}

/// Where flags come from.
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
    /// Each flag as the configuration endpoint serves it.
    pub(super) served: BTreeMap<String, Value>,
    /// The text it was loaded from.
    text: String,
    /// Flags of the file that are not served.
    problems: Vec<String>,
}

/// Why flags could not be loaded; the flags of the load before stay.
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

    /// When flags were last loaded, changed or not.
    pub(super) fn loaded_at(&self) -> Option<SystemTime> {
        *lock(&self.loaded_at)
    }

    /// The flags that the last load left out, and why.
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

    /// Loads the flags again; gives the change message if that changes anything.
    pub(super) fn load(&self) -> Result<Option<Arc<str>>, LoadError> {
        // Held throughout, so that loads follow each other.
        let source = lock(&self.source);
        let (text, format) = match &*source {
            Source::Text(text, format) => (Cow::Borrowed(text.as_str()), *format),
            Source::File(path) => (Cow::Owned(read(path)?), format_of(path)),
        };
        let before = self.loaded();
        let is_first = self.loaded_at().is_none();
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
    /// The flags that the server would serve. It refuses a file with a flag that it cannot
    /// decode, and leaves out flags that it finds invalid.
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
        for flag in file.flags.iter() {
            if file
                .problems
                .iter()
                .any(|problem| problem.flag() == flag.key())
            {
                continue;
            }
            let served = serde_json::from_str(flag.raw_json())
                .map_err(|error| LoadError(error.to_string()))?;
            loaded.served.insert(flag.key().to_owned(), served);
            loaded.flags.insert(flag.clone());
        }
        loaded.text = text;
        Ok(loaded)
    }
}

/// What the relay proxy tells on its streams about a load; none if nothing changed.
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

/// YAML unless the name says otherwise.
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
    fn a_load_tells_what_it_changed() {
        let set = set(FLAGS);
        assert!(set.load().unwrap().is_none(), "the first one tells nothing");
        assert!(set.load().unwrap().is_none());
        let text = FLAGS
            .replace("b:", "c:")
            .replace("a: {", "a: {version: '2', ");
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
    fn a_bad_file_leaves_the_flags_and_an_invalid_flag_is_left_out() {
        let set = set(FLAGS);
        set.load().unwrap();
        for bad in ["a: [", "a: {variations: 7}"] {
            set.set_source(Source::Text(bad.to_owned(), FlagFileFormat::Yaml));
            set.load().unwrap_err();
            assert_eq!(set.loaded().flags.len(), 2, "{bad}");
        }
        let text = format!("{FLAGS}d: {{variations: {{x: 1}}}}\n");
        set.set_source(Source::Text(text, FlagFileFormat::Yaml));
        assert!(
            set.load().unwrap().is_none(),
            "nothing that is served changed"
        );
        assert_eq!(set.loaded().flags.len(), 2);
        assert_eq!(set.problems().len(), 1, "{:?}", set.problems());
    }
}
