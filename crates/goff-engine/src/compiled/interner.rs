//! Parts that flags of one configuration share, stored once.

use std::{
    collections::HashSet,
    hash::{Hash, RandomState},
    sync::Arc,
};

use crate::{
    compiled::{body::Body, variation::Variation},
    evaluate::scope::Name,
};

/// Finds variations and attribute names of earlier flags.
///
/// Most flags of a configuration serve the same few sets of variations and
/// read the same few attributes. The hashes are seeded at random, because the
/// authors of flags choose what is hashed.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    variations: HashSet<Arc<[Variation]>, RandomState>,
    names: HashSet<Arc<[Name]>, RandomState>,
}

impl Interner {
    /// Knows the parts of a flag, so that its next version shares what stays the same.
    pub(crate) fn keep(&mut self, body: &Body) {
        self.names.insert(Arc::clone(&body.names));
        if let Some(state) = body.states.first() {
            self.variations.insert(Arc::clone(&state.variations));
        }
    }

    pub(crate) fn variations(&mut self, variations: Vec<Variation>) -> Arc<[Variation]> {
        interned(&mut self.variations, variations)
    }

    pub(crate) fn names(&mut self, names: Vec<Name>) -> Arc<[Name]> {
        interned(&mut self.names, names)
    }
}

fn interned<T: Eq + Hash>(known: &mut HashSet<Arc<[T]>>, parts: Vec<T>) -> Arc<[T]> {
    if let Some(known) = known.get(parts.as_slice()) {
        return Arc::clone(known);
    }
    let parts: Arc<[T]> = parts.into();
    known.insert(Arc::clone(&parts));
    parts
}
