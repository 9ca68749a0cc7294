//! JSON values as they are stored.

use serde_json::{Number, Value};

use crate::configuration::{
    json::{Node, NumberOverflow},
    repeated::keep_last,
};

/// A JSON value in little memory, for what is stored as long as its flag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CompactJson {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    List(Box<[CompactJson]>),
    /// Sorted by name, no name twice.
    Object(Box<[(Box<str>, CompactJson)]>),
}

impl CompactJson {
    /// Numbers must fit a double; the last of repeated members counts.
    pub(crate) fn from_node(node: &Node<'_>) -> Result<Self, NumberOverflow> {
        Ok(match node {
            Node::Null => Self::Null,
            Node::Bool(value) => Self::Bool(*value),
            Node::Number(value) => Self::Number(value.clone().ok_or(NumberOverflow)?),
            Node::String(text) => Self::Text(text.as_ref().into()),
            Node::Array(elements) => {
                let mut list = Vec::with_capacity(elements.len());
                for element in elements {
                    list.push(Self::from_node(element)?);
                }
                Self::List(list.into_boxed_slice())
            }
            Node::Object(members) => {
                let mut entries = Vec::with_capacity(members.len());
                for (name, value) in members {
                    entries.push((Box::from(name.as_ref()), Self::from_node(value)?));
                }
                keep_last(&mut entries, |(name, _)| &**name);
                Self::Object(entries.into_boxed_slice())
            }
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::Text(text) => Value::from(&**text),
            Self::List(elements) => elements.iter().map(Self::to_value).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_value()))
                .collect(),
        }
    }
}
