//! Flag metadata.

use std::fmt;

use serde_json::{Map, Value};

use crate::compiled::variation::StoredValue;

type Entry = (Box<str>, StoredValue);

/// Descriptions of a flag in its configuration: names and JSON values.
///
/// Sorted by name; shared by all evaluations of the flag.
#[derive(Clone, Default, PartialEq)]
pub struct Metadata {
    entries: Option<Box<[Entry]>>,
}

impl Metadata {
    pub(crate) const EMPTY: Self = Self { entries: None };

    /// Entries that are sorted by name, no name twice.
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self {
            entries: (!entries.is_empty()).then(|| entries.into_boxed_slice()),
        }
    }

    /// The value called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let entries = self.entries.as_deref()?;
        let index = entries
            .binary_search_by(|(entry, _)| (**entry).cmp(name))
            .ok()?;
        entries.get(index).map(|(_, value)| value.value())
    }

    /// All entries, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries
            .as_deref()
            .unwrap_or_default()
            .iter()
            .map(|(name, value)| (&**name, value.value()))
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.len())
    }

    /// A copy as a JSON object.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
