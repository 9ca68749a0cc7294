//! The contents of flag files in any format, with positions.

use std::borrow::Cow;

use serde_json::Number;

use super::{error::FlagFileError, position::Position};
use crate::{
    configuration::{
        definition::known,
        json::{Node, number},
    },
    validation::Step,
};

#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) position: Position,
    pub(super) content: Content,
    /// How YAML spells a plain scalar.
    pub(super) source: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    /// `None` is a number of a JSON file that does not fit a double.
    Number(Option<Number>),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Deepest nesting of a file; a flag may be nested less.
pub(super) const MAX_DEPTH: usize = 256;

impl Content {
    /// An exact integer of 64 bits.
    pub(super) fn integer(value: i128) -> Option<Self> {
        let number = i64::try_from(value).map(Number::from);
        number
            .or_else(|_| u64::try_from(value).map(Number::from))
            .ok()
            .map(|number| Self::Number(Some(number)))
    }

    pub(super) fn double(value: f64) -> Self {
        Self::Number(number(value))
    }
}

impl Tree {
    pub(super) fn new(position: Position, content: Content) -> Self {
        Self {
            position,
            content,
            source: None,
        }
    }

    /// The flags by name.
    pub(super) fn into_flags(self) -> Result<Vec<(String, Self)>, FlagFileError> {
        match self.content {
            Content::Object(members) => Ok(members),
            Content::Null => Ok(Vec::new()),
            _ => FlagFileError::at(self.position, "expected an object of flags"),
        }
    }

    pub(super) fn to_node(&self) -> Node<'static> {
        match &self.content {
            Content::Null => Node::Null,
            Content::Bool(value) => Node::Bool(*value),
            Content::Number(value) => Node::Number(value.clone()),
            Content::Text(text) => Node::String(Cow::Owned(text.clone())),
            Content::List(elements) => Node::Array(elements.iter().map(Self::to_node).collect()),
            Content::Object(members) => Node::Object(
                members
                    .iter()
                    .map(|(name, value)| (Cow::Owned(name.clone()), value.to_node()))
                    .collect(),
            ),
        }
    }

    /// Writes the value as JSON.
    pub(super) fn write(&self, text: &mut String) {
        match &self.content {
            Content::Null => text.push_str("null"),
            Content::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Content::Number(Some(value)) => text.push_str(&value.to_string()),
            // Any number that does not fit a double will do.
            Content::Number(None) => text.push_str("1e999"),
            Content::Text(value) => {
                text.push_str(&serde_json::Value::from(value.as_str()).to_string());
            }
            Content::List(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    element.write(text);
                }
                text.push(']');
            }
            Content::Object(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    text.push_str(&serde_json::Value::from(name.as_str()).to_string());
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }

    /// The position of a part, or of the last existing part on the path to it.
    pub(super) fn locate(&self, path: &[Step]) -> Position {
        let mut current = self;
        for step in path {
            let next = match (step, &current.content) {
                (Step::Member(name), Content::Object(members)) => {
                    last(members, |member| known(member, &[name]).is_some())
                }
                (Step::Entry(name), Content::Object(members)) => {
                    last(members, |member| member == name)
                }
                (Step::Index(index), Content::List(elements)) => elements.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            current = next;
        }
        current.position
    }

    /// The position of the only member of that name at any depth; the position of the tree if there
    /// are several.
    pub(super) fn member(&self, name: &'static str) -> Position {
        let mut found = Vec::new();
        self.members_called(name, &mut found);
        match found.as_slice() {
            [only] => *only,
            _ => self.position,
        }
    }

    fn members_called(&self, name: &'static str, found: &mut Vec<Position>) {
        match &self.content {
            Content::List(elements) => {
                for element in elements {
                    element.members_called(name, found);
                }
            }
            Content::Object(members) => {
                for (member, value) in members {
                    if known(member, &[name]).is_some() {
                        found.push(value.position);
                    }
                    value.members_called(name, found);
                }
            }
            _ => {}
        }
    }
}

/// Of repeated members the last one counts.
pub(super) fn last(members: &[(String, Tree)], is: impl Fn(&str) -> bool) -> Option<&Tree> {
    let mut found = members.iter().rev().filter(|(member, _)| is(member));
    found.next().map(|(_, value)| value)
}
