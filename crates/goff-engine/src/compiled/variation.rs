//! Variations: names and values that flags serve.

use std::sync::OnceLock;

use serde_json::Value;

use crate::configuration::compact_json::CompactJson;

/// A variation of a flag.
#[derive(Clone, Debug)]
pub(crate) struct Variation {
    pub(crate) name: Box<str>,
    value: Stored,
}

/// A value. Objects and lists are stored compactly until they are served: an object of
/// `serde_json` takes 600 bytes and more, and a process serves few of a configuration's values.
#[derive(Clone, Debug)]
enum Stored {
    Scalar(Value),
    Compound(Box<(CompactJson, OnceLock<Value>)>),
}

impl Variation {
    pub(crate) fn new(name: &str, value: &CompactJson) -> Self {
        Self {
            name: name.into(),
            value: match value {
                CompactJson::List(_) | CompactJson::Object(_) => {
                    Stored::Compound(Box::new((value.clone(), OnceLock::new())))
                }
                scalar => Stored::Scalar(scalar.to_value()),
            },
        }
    }

    #[inline]
    pub(crate) fn value(&self) -> &Value {
        match &self.value {
            Stored::Scalar(value) => value,
            Stored::Compound(compound) => compound.1.get_or_init(|| compound.0.to_value()),
        }
    }
}
