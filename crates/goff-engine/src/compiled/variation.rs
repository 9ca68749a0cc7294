//! Variations: names and values that flags serve.

use std::sync::OnceLock;

use serde_json::{Map, Number, Value};

use crate::configuration::{compact_json::CompactJson, json::number};

/// A variation of a flag.
#[derive(Clone, Debug)]
pub(crate) struct Variation {
    pub(crate) name: Box<str>,
    value: Stored,
}

/// A value, in little memory until it is served.
///
/// A JSON object of `serde_json` takes 600 bytes and more; a configuration
/// holds many of which a process serves few.
#[derive(Clone, Debug)]
enum Stored {
    Shared(&'static Value),
    Scalar(Box<Value>),
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
                CompactJson::Null => Stored::Shared(&NULL),
                CompactJson::Bool(false) => Stored::Shared(&FALSE),
                CompactJson::Bool(true) => Stored::Shared(&TRUE),
                scalar => Stored::Scalar(Box::new(expanded(scalar))),
            },
        }
    }

    #[inline]
    pub(crate) fn value(&self) -> &Value {
        match &self.value {
            Stored::Shared(value) => value,
            Stored::Scalar(value) => value,
            Stored::Compound(compound) => compound.1.get_or_init(|| expanded(&compound.0)),
        }
    }
}

fn expanded(json: &CompactJson) -> Value {
    match json {
        CompactJson::Null => Value::Null,
        CompactJson::Bool(value) => Value::Bool(*value),
        CompactJson::Number(value) => {
            Value::Number(number(*value).unwrap_or_else(|| Number::from(0)))
        }
        #[cfg(feature = "file")]
        CompactJson::Exact(value) => Value::Number(value.as_ref().clone()),
        CompactJson::Text(text) => Value::String(text.as_ref().to_owned()),
        CompactJson::List(elements) => Value::Array(elements.iter().map(expanded).collect()),
        CompactJson::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.as_ref().to_owned(), expanded(value)))
                .collect::<Map<_, _>>(),
        ),
    }
}

static NULL: Value = Value::Null;
static FALSE: Value = Value::Bool(false);
static TRUE: Value = Value::Bool(true);
