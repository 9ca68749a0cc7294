//! A JSONLogic rule as it is kept.

use crate::configuration::json::{Node, NumberOverflow};

/// A JSON value in little memory: rules are kept for as long as their flag.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CompactJson {
    Null,
    Bool(bool),
    Number(f64),
    /// An integer that no double holds, from a flag file; never in a rule.
    #[cfg(feature = "file")]
    Exact(Box<serde_json::Number>),
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
            Node::Number(value) if value.is_finite() => Self::Number(*value),
            Node::Number(_) => return Err(NumberOverflow),
            #[cfg(feature = "file")]
            Node::Exact(value) => Self::Exact(Box::new(value.clone())),
            Node::String(text) => Self::Text(text.as_ref().into()),
            Node::Array(elements) => Self::List(
                elements
                    .iter()
                    .map(Self::from_node)
                    .collect::<Result<_, _>>()?,
            ),
            Node::Object(members) => {
                let mut entries = Vec::with_capacity(members.len());
                for (name, value) in members {
                    entries.push((Box::from(name.as_ref()), Self::from_node(value)?));
                }
                crate::configuration::repeated::keep_last(&mut entries, |(name, _)| &**name);
                Self::Object(entries.into_boxed_slice())
            }
        })
    }
}
