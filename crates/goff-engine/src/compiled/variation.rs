//! Variations, and the values that flags hold.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use serde_json::Value;

use crate::configuration::compact_json::CompactJson;

/// A variation of a flag. Copies share a long value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Variation {
    pub(crate) name: Box<str>,
    pub(crate) value: StoredValue,
}

impl Variation {
    /// The bytes that a copy takes.
    pub(crate) fn copied_size(&self) -> usize {
        size_of::<Self>() + self.name.len() + SHORT
    }
}

/// A value. Objects and lists are stored compactly until they are served: an object of
/// `serde_json` takes 600 bytes and more, and a process serves few of a configuration's values.
#[derive(Clone, Debug)]
pub(crate) enum StoredValue {
    /// The value, null, of a variation that does not exist.
    Missing,
    /// Null, a boolean, a number or a short text.
    Inline(Value),
    Text(Arc<Value>),
    Compound(Arc<(CompactJson, OnceLock<Value>)>),
}

impl StoredValue {
    pub(crate) fn new(value: CompactJson) -> Self {
        match value {
            CompactJson::List(_) | CompactJson::Object(_) => {
                Self::Compound(Arc::new((value, OnceLock::new())))
            }
            CompactJson::Text(text) if text.len() > SHORT => {
                Self::Text(Arc::new(Value::String(text.into())))
            }
            scalar => Self::Inline(scalar.to_value()),
        }
    }

    #[inline]
    pub(crate) fn value(&self) -> &Value {
        match self {
            Self::Missing => &Value::Null,
            Self::Inline(value) => value,
            Self::Text(value) => value,
            Self::Compound(compound) => compound.1.get_or_init(|| compound.0.to_value()),
        }
    }
}

/// A text that is copied rather than shared.
const SHORT: usize = 64;

impl PartialEq for StoredValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Missing, Self::Missing) => true,
            (Self::Inline(value), Self::Inline(other)) => value == other,
            (Self::Text(value), Self::Text(other)) => value == other,
            (Self::Compound(value), Self::Compound(other)) => value.0 == other.0,
            _ => false,
        }
    }
}

impl Eq for StoredValue {}

impl Hash for StoredValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Missing => {}
            Self::Inline(value) => value.hash(state),
            Self::Text(value) => value.hash(state),
            Self::Compound(compound) => compound.0.hash(state),
        }
    }
}
