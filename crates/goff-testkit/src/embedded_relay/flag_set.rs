//! A flag set: the source of its flags, the loaded flags, and the changes of a new load.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs;
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
    text: Vec<u8>,
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
            Source::Text(text, format) => (Cow::Borrowed(text.as_bytes()), *format),
            Source::File(path) => (Cow::Owned(read(path)?), format_of(path)),
        };
        let before = self.loaded();
        let is_first = lock(&self.loaded_at).is_none();
        if !is_first && before.text == *text {
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
    fn parse(text: Vec<u8>, format: FlagFileFormat) -> Result<Self, LoadError> {
        let file = FlagFile::parse(&text, format).map_err(|error| LoadError(error.to_string()))?;
        if let Some(problem) = file.problems.iter().find(|problem| problem.refuses_file()) {
            return Err(LoadError(problem.to_string()));
        }
        let mut loaded = Self {
            text,
            problems: file.problems.iter().map(ToString::to_string).collect(),
            ..Self::default()
        };
        let left_out: HashSet<&str> = file.problems.iter().map(FlagProblem::flag).collect();
        for flag in file
            .flags
            .iter()
            .filter(|flag| !left_out.contains(flag.key()))
        {
            if let Some(served) = flag_value(flag) {
                loaded.served.insert(flag.key().to_owned(), served);
                loaded.flags.insert(flag.clone());
            }
        }
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

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|error| LoadError(format!("{}: {error}", path.display())))
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
        for bad in ["a: [", "a: {variations: 7}", "a: {disable: 1}\nb: {}"] {
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
