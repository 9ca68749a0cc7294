//! What a flag's owner says about it.

use std::fmt;
use std::ops::{Deref, DerefMut};
#[cfg(feature = "open-feature")]
use std::sync::OnceLock;

use serde_json::{Map, Value};

/// Flag metadata, verbatim and whole (GOFF-EVAL-010). It reads as the JSON object that it is.
#[derive(Clone, Default)]
pub struct Metadata {
    entries: Map<String, Value>,
    /// The same in the SDK's form. A resolution that is kept is handed out often, and to copy the
    /// SDK's map takes less than half as long as to build one.
    #[cfg(feature = "open-feature")]
    sdk: OnceLock<open_feature::FlagMetadata>,
}

impl Metadata {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries in the SDK's form, which `make` makes of them once.
    #[cfg(feature = "open-feature")]
    pub(crate) fn sdk(
        &self,
        make: impl FnOnce(&Map<String, Value>) -> open_feature::FlagMetadata,
    ) -> &open_feature::FlagMetadata {
        self.sdk.get_or_init(|| make(&self.entries))
    }
}

impl Deref for Metadata {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl DerefMut for Metadata {
    fn deref_mut(&mut self) -> &mut Self::Target {
        #[cfg(feature = "open-feature")]
        self.sdk.take();
        &mut self.entries
    }
}

impl From<Map<String, Value>> for Metadata {
    fn from(entries: Map<String, Value>) -> Self {
        Self {
            entries,
            #[cfg(feature = "open-feature")]
            sdk: OnceLock::new(),
        }
    }
}

impl FromIterator<(String, Value)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Map::from_iter(entries).into()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl PartialEq<Map<String, Value>> for Metadata {
    fn eq(&self, other: &Map<String, Value>) -> bool {
        self.entries == *other
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Metadata {
        Metadata::from_iter([("owner".to_owned(), json!("team-a"))])
    }

    #[test]
    fn it_is_its_entries() {
        assert_eq!(metadata(), *json!({"owner": "team-a"}).as_object().unwrap());
        assert_eq!(format!("{:?}", metadata()), format!("{:?}", *metadata()));
        assert_ne!(metadata(), Metadata::new());
    }

    #[cfg(feature = "open-feature")]
    #[test]
    fn sdk_form_is_made_once_and_follows_a_change() {
        use open_feature::FlagMetadata;

        let made = |text: &str| FlagMetadata::default().with_value("made", text);
        let mut metadata = metadata();
        assert_eq!(*metadata.sdk(|_| made("first")), made("first"));
        assert_eq!(*metadata.sdk(|_| made("again")), made("first"));
        let copy = metadata.clone();
        metadata.insert("more".to_owned(), json!(1));
        assert_eq!(*metadata.sdk(|_| made("changed")), made("changed"));
        assert_eq!(*copy.sdk(|_| made("again")), made("first"));
        assert_ne!(copy, metadata);
    }
}
