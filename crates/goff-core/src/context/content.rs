//! The content of a native evaluation context.

use std::fmt;

use crate::context::memory_size::{text_size, value_size};
use crate::context::{Attribute, AttributeRef};

/// What a native context holds; its clones share it. It never changes, so two contexts with one
/// content are equal without being compared.
pub struct Content {
    pub(super) targeting_key: Option<Box<str>>,
    /// Sorted by name; names are unique.
    pub(super) attributes: Box<[(Box<str>, Attribute)]>,
    /// How many of the attributes count in comparisons.
    pub(super) counted: usize,
    /// `None` where an attribute is unreadable.
    pub(super) hash: Option<u64>,
}

impl Content {
    /// About how many bytes of memory it keeps.
    pub(super) fn memory_size(&self) -> usize {
        let on_the_heap = |(name, attribute): &(Box<str>, Attribute)| {
            let attribute = match attribute.to_ref() {
                AttributeRef::Text(text) => text_size(&text),
                AttributeRef::Json(value) => value_size(&value),
                _ => 0,
            };
            text_size(name) + attribute
        };
        size_of::<Self>()
            + self.targeting_key.as_deref().map_or(0, text_size)
            + size_of_val(&*self.attributes)
            + self.attributes.iter().map(on_the_heap).sum::<usize>()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// The argument of a method that no crate but this one can name, and so can neither call nor
/// override.
#[derive(Debug)]
pub struct Sealed(pub(super) ());
