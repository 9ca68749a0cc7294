//! Parts that flags of one configuration share, stored once.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use foldhash::fast::RandomState;

use crate::{
    compiled::variation::Variation, configuration::compact_json::CompactJson, evaluate::scope::Name,
};

/// Finds variations and attribute names of earlier flags.
///
/// Most flags of a configuration serve the same few sets of variations and
/// read the same few attributes.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    variations: HashMap<String, Arc<[Variation]>, RandomState>,
    names: HashMap<String, Arc<[Name]>, RandomState>,
}

impl Interner {
    pub(crate) fn variations(&mut self, entries: &[(&str, &CompactJson)]) -> Arc<[Variation]> {
        let mut content = String::new();
        for (name, value) in entries {
            // Writing to a string cannot fail.
            let _ = write!(content, "{name:?}{value:?}");
        }
        let make = || {
            entries
                .iter()
                .map(|(name, value)| Variation::new(name, value))
                .collect()
        };
        Arc::clone(self.variations.entry(content).or_insert_with(make))
    }

    pub(crate) fn names(&mut self, names: Vec<Name>) -> Arc<[Name]> {
        let mut content = String::new();
        for name in &names {
            let _ = write!(content, "{:?}", name.text());
        }
        Arc::clone(self.names.entry(content).or_insert_with(|| names.into()))
    }
}
