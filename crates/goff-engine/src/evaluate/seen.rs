//! What an evaluation saw of a context and a query, for explanations.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    configuration::json::number,
    evaluate::operand::Operand,
    presentable::{excerpt, presentable},
};

/// A value that an evaluation compared: an attribute, or a literal of a query.
///
/// `Debug` shows its type only, because attributes can be personal data.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct SeenValue {
    /// `string`, `number`, `boolean`, `list`, `object`, or `null`, which stands for a missing
    /// attribute too. Literals of the rule language may also be an `integer`, a `version`, or a
    /// `list of strings`, `list of integers` or `list of numbers`.
    pub kind: &'static str,
    /// A null, a boolean or a number; for anything else a text, cut after 80 characters, which for a
    /// list or an object is that of its JSON.
    pub value: Value,
}

/// One comparison that an evaluation made.
///
/// `Debug` leaves out the text and the values, because both can be personal data: what JSONLogic
/// compares for each element of a list is written with attributes in it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Condition {
    /// What was compared: a condition of the rule language, with its operator as a word, or an
    /// operator of JSONLogic with its arguments. Cut after 160 characters.
    pub text: String,
    /// The values compared. In the rule language these are the attribute and the literal.
    pub values: Vec<SeenValue>,
    /// Whether the comparison is true, for JSONLogic whether its result is truthy. `None` if it
    /// stopped the query, which then matches no context.
    pub holds: Option<bool>,
    /// Why, in one sentence without a period.
    pub why: String,
}

impl SeenValue {
    pub(crate) fn new(operand: Operand<'_>) -> Self {
        let (kind, value) = match operand {
            Operand::Null => ("null", Value::Null),
            Operand::Bool(value) => ("boolean", Value::Bool(value)),
            Operand::Int(value) => ("number", Value::from(value)),
            Operand::Float(value) => ("number", number_value(value)),
            Operand::Str(text) => return Self::text("string", text),
            Operand::List(elements) => {
                return Self::written("list", |out| write_list(elements, out));
            }
            Operand::Object(members) => {
                return Self::written("object", |out| write_object(members, out));
            }
        };
        Self { kind, value }
    }

    pub(crate) fn plain(kind: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        Self { kind, value }
    }

    pub(crate) fn number(value: f64) -> Self {
        Self::plain("number", number_value(value))
    }

    pub(crate) fn text(kind: &'static str, text: &str) -> Self {
        Self::written(kind, |out| out.write_str(text))
    }

    pub(crate) fn written(
        kind: &'static str,
        write: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
    ) -> Self {
        Self {
            kind,
            value: Value::String(excerpt(MOST_OF_VALUE, write)),
        }
    }
}

/// `the string "42"`, `the number 42`, `missing or null`.
impl fmt::Display for SeenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("missing or null"),
            Value::Bool(value) => write!(f, "the boolean {value}"),
            Value::String(text) if self.kind == "string" => write!(f, "the string {text:?}"),
            Value::String(text) => write!(f, "the {} {text}", self.kind),
            value => write!(f, "the {} {value}", self.kind),
        }
    }
}

impl fmt::Debug for SeenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenValue")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Condition {
    pub(crate) fn new(
        text: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
        values: Vec<SeenValue>,
        holds: Option<bool>,
        why: String,
    ) -> Self {
        Self {
            text: excerpt(MOST_OF_CONDITION, text),
            values,
            holds,
            why,
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("values", &self.values)
            .field("holds", &self.holds)
            .finish_non_exhaustive()
    }
}

/// The name of an attribute or a part of a flag in backticks, on one line and cut.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", presentable(name))
}

fn number_value(value: f64) -> Value {
    match number(value) {
        Some(number) => Value::Number(number),
        None => Value::String(value.to_string()),
    }
}

fn write_list(elements: &[Value], out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_char('[')?;
    for (index, element) in elements.iter().enumerate() {
        separate(index, out)?;
        write_operand(element.into(), out)?;
    }
    out.write_char(']')
}

fn write_object(members: &Map<String, Value>, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_char('{')?;
    for (index, (name, value)) in members.iter().enumerate() {
        separate(index, out)?;
        write_text(name, out)?;
        out.write_char(':')?;
        write_operand(value.into(), out)?;
    }
    out.write_char('}')
}

/// Writes a value as JSON. Each level writes a character, so that a limit of characters limits the
/// depth.
pub(crate) fn write_operand(value: Operand<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    match value {
        Operand::Null => out.write_str("null"),
        Operand::Bool(value) => write!(out, "{value}"),
        Operand::Int(value) => write!(out, "{value}"),
        Operand::Float(value) => match number(value) {
            Some(number) => write!(out, "{number}"),
            None => write!(out, "{value}"),
        },
        Operand::Str(text) => write_text(text, out),
        Operand::List(elements) => write_list(elements, out),
        Operand::Object(members) => write_object(members, out),
    }
}

/// A text of JSON; the escapes are those that excerpts need.
pub(crate) fn write_text(text: &str, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            out.write_char('\\')?;
        }
        out.write_char(char)?;
    }
    out.write_char('"')
}

/// A comma before every part but the first.
pub(crate) fn separate(index: usize, out: &mut dyn fmt::Write) -> fmt::Result {
    if index > 0 {
        out.write_char(',')
    } else {
        Ok(())
    }
}

const MOST_OF_VALUE: usize = 80;
const MOST_OF_CONDITION: usize = 160;
