//! Values during the interpretation of a rule.

use std::rc::Rc;

use serde_json::{Map, Value as ContextValue};

use crate::{
    configuration::compact_json::CompactJson, evaluate::operand::Operand, query::stop::Stop,
};

/// A value borrowed from the rule or the context, or made during the evaluation.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Text<'v>),
    List(List<'v>),
    Object(Object<'v>),
    /// The result of `-` and `/` without arguments: prints as 0, but is no JSON number.
    ZeroMarker,
}

#[derive(Clone, Debug)]
pub(super) enum Text<'v> {
    Lent(&'v str),
    Made(Rc<str>),
}

#[derive(Clone, Debug)]
pub(super) enum List<'v> {
    Rule(&'v [CompactJson]),
    Context(&'v [ContextValue]),
    Made(Rc<[Value<'v>]>),
}

#[derive(Clone, Debug)]
pub(super) enum Object<'v> {
    Rule(&'v [(Box<str>, CompactJson)]),
    Context(&'v Map<String, ContextValue>),
    /// Sorted by name.
    Made(Rc<[(Text<'v>, Value<'v>)]>),
}

impl<'v> Value<'v> {
    pub(super) fn lent(text: &'v str) -> Self {
        Self::Text(Text::Lent(text))
    }

    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(super) fn list(elements: Vec<Self>) -> Self {
        Self::List(List::Made(elements.into()))
    }

    pub(super) fn as_list(&self) -> Result<&List<'v>, Stop> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err(Stop::Abort),
        }
    }

    /// Truth inside a rule. The truth of the final result is [`matches`](Self::matches).
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::ZeroMarker => false,
            Self::Bool(value) => *value,
            // NaN is truthy.
            Self::Number(value) => *value != 0.0,
            Self::Text(text) => !text.as_str().is_empty(),
            Self::List(list) => list.len() > 0,
            Self::Object(object) => object.len() > 0,
        }
    }

    /// Whether the serialized result matches: not `false`, `null`, `""`, `0` or `[]`.
    pub(super) fn matches(&self) -> bool {
        match self {
            Self::Null | Self::ZeroMarker => false,
            Self::Bool(value) => *value,
            // Negative zero prints as `-0`; what is not finite cannot be printed.
            Self::Number(value) => value.is_finite() && (*value != 0.0 || value.is_sign_negative()),
            Self::Text(text) => !text.as_str().is_empty(),
            Self::List(list) => list.len() > 0 && self.is_finite(),
            Self::Object(_) => self.is_finite(),
        }
    }

    /// Whether all numbers inside can be printed.
    fn is_finite(&self) -> bool {
        match self {
            Self::Number(value) => value.is_finite(),
            // Only values made during the evaluation can hold others.
            Self::List(List::Made(elements)) => elements.iter().all(Self::is_finite),
            Self::Object(Object::Made(members)) => {
                members.iter().all(|(_, value)| value.is_finite())
            }
            _ => true,
        }
    }
}

impl<'v> From<&'v CompactJson> for Value<'v> {
    fn from(json: &'v CompactJson) -> Self {
        match json {
            CompactJson::Null => Self::Null,
            CompactJson::Bool(value) => Self::Bool(*value),
            CompactJson::Number(value) => Self::Number(value.as_f64().unwrap_or(f64::NAN)),
            CompactJson::Text(text) => Self::lent(text),
            CompactJson::List(elements) => Self::List(List::Rule(elements)),
            CompactJson::Object(members) => Self::Object(Object::Rule(members)),
        }
    }
}

impl<'v> From<&'v ContextValue> for Value<'v> {
    fn from(value: &'v ContextValue) -> Self {
        Self::from(Operand::from(value))
    }
}

impl<'v> From<Operand<'v>> for Value<'v> {
    fn from(operand: Operand<'v>) -> Self {
        match operand {
            Operand::Null => Self::Null,
            Operand::Bool(value) => Self::Bool(value),
            Operand::Int(value) => Self::Number(value as f64),
            Operand::Float(value) => Self::Number(value),
            Operand::Str(text) => Self::lent(text),
            Operand::List(elements) => Self::List(List::Context(elements)),
            Operand::Object(members) => Self::Object(Object::Context(members)),
        }
    }
}

impl Value<'_> {
    /// A copy of a context value that outlives its owner.
    pub(super) fn copied<'v>(value: &ContextValue) -> Value<'v> {
        match value {
            ContextValue::Null => Value::Null,
            ContextValue::Bool(value) => Value::Bool(*value),
            ContextValue::Number(value) => Value::Number(value.as_f64().unwrap_or(f64::NAN)),
            ContextValue::String(text) => Value::text(text.as_str()),
            ContextValue::Array(elements) => {
                Value::list(elements.iter().map(Self::copied).collect())
            }
            ContextValue::Object(members) => Value::Object(Object::Made(
                members
                    .iter()
                    .map(|(name, value)| (Text::Made(name.as_str().into()), Self::copied(value)))
                    .collect(),
            )),
        }
    }
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Lent(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'v> List<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Rule(elements) => elements.len(),
            Self::Context(elements) => elements.len(),
            Self::Made(elements) => elements.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Value<'v>> {
        match self {
            Self::Rule(elements) => elements.get(index).map(Value::from),
            Self::Context(elements) => elements.get(index).map(Value::from),
            Self::Made(elements) => elements.get(index).cloned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'v>> + '_ {
        (0..self.len()).map_while(|index| self.get(index))
    }
}

impl<'v> Object<'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Rule(members) => members.len(),
            Self::Context(members) => members.len(),
            Self::Made(members) => members.len(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Value<'v>> {
        match self {
            Self::Rule(members) => {
                let found = members.binary_search_by(|(member, _)| (**member).cmp(name));
                members.get(found.ok()?).map(|(_, value)| value.into())
            }
            Self::Context(members) => members.get(name).map(Value::from),
            Self::Made(members) => {
                let found = members.binary_search_by(|(member, _)| member.as_str().cmp(name));
                members.get(found.ok()?).map(|(_, value)| value.clone())
            }
        }
    }

    /// The name and value of the only member.
    pub(super) fn single(&self) -> Option<(Text<'v>, Value<'v>)> {
        match self {
            Self::Rule([(name, value)]) => Some((Text::Lent(name), Value::from(value))),
            Self::Context(members) if members.len() == 1 => members
                .iter()
                .next()
                .map(|(name, value)| (Text::Lent(name.as_str()), Value::from(value))),
            Self::Made(members) => match &**members {
                [(name, value)] => Some((name.clone(), value.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    /// All members, sorted by name.
    pub(super) fn members(&self) -> Vec<(Text<'v>, Value<'v>)> {
        match self {
            Self::Rule(members) => members
                .iter()
                .map(|(name, value)| (Text::Lent(name), Value::from(value)))
                .collect(),
            Self::Context(members) => members
                .iter()
                .map(|(name, value)| (Text::Lent(name.as_str()), Value::from(value)))
                .collect(),
            Self::Made(members) => members.to_vec(),
        }
    }
}
