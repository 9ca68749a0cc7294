//! Variations: names and values that flags serve.

use std::sync::OnceLock;

use serde_json::{Map, Number, Value};

use crate::configuration::{compact_json::Json, json::number};

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
    Compound(Box<(Json, OnceLock<Value>)>),
}

impl Variation {
    pub(crate) fn new(name: &str, value: &Json) -> Self {
        Self {
            name: name.into(),
            value: match value {
                Json::List(_) | Json::Object(_) => {
                    Stored::Compound(Box::new((value.clone(), OnceLock::new())))
                }
                Json::Null => Stored::Shared(&NULL),
                Json::Bool(false) => Stored::Shared(&FALSE),
                Json::Bool(true) => Stored::Shared(&TRUE),
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

fn expanded(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(value) => Value::Number(number(*value).unwrap_or_else(|| Number::from(0))),
        #[cfg(feature = "file")]
        Json::Exact(value) => Value::Number(value.as_ref().clone()),
        Json::Text(text) => Value::String(text.as_ref().to_owned()),
        Json::List(elements) => Value::Array(elements.iter().map(expanded).collect()),
        Json::Object(members) => Value::Object(
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
