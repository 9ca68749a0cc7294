//! The values that queries read: fetched attributes, and parts of them.

use serde_json::{Map, Value};

use crate::evaluate::attributes::Attribute;

/// An attribute as it was fetched.
#[derive(Debug)]
pub(crate) enum Fetched<'a> {
    Plain(Operand<'a>),
    Text(Box<str>),
    Owned(Box<Value>),
    Unreadable,
}

impl<'a> Fetched<'a> {
    pub(crate) const MISSING: Self = Self::Plain(Operand::Null);

    /// An attribute of the context: whole numbers become integers at the top level.
    #[inline]
    pub(crate) fn from_context(attribute: Attribute<'a>) -> Self {
        Self::Plain(match attribute {
            Attribute::Null => Operand::Null,
            Attribute::Bool(value) => Operand::Bool(value),
            Attribute::Int(value) => narrow(value as f64),
            Attribute::Float(value) if value.is_finite() => narrow(value),
            Attribute::Float(_) | Attribute::Unreadable => return Self::Unreadable,
            Attribute::Str(text) => Operand::Str(text),
            Attribute::Text(text) => return Self::Text(text),
            Attribute::Json(value) => match Operand::from(value) {
                Operand::Float(value) => narrow(value),
                operand => operand,
            },
            Attribute::Object(members) => Operand::Object(members),
            Attribute::Owned(value) => match Operand::from(&*value) {
                Operand::Float(value) => narrow(value),
                _ => return Self::Owned(value),
            },
        })
    }

    /// An attribute of the enrichment: numbers stay doubles.
    pub(crate) fn from_enrichment(value: &'a Value) -> Self {
        Self::Plain(Operand::from(value))
    }

    /// What a query sees; `None` if the attribute is unreadable.
    #[inline]
    pub(crate) fn operand(&self) -> Option<Operand<'_>> {
        Some(match self {
            Self::Plain(operand) => *operand,
            Self::Text(text) => Operand::Str(text),
            Self::Owned(value) => Operand::from(&**value),
            Self::Unreadable => return None,
        })
    }
}

/// A value that a query compares. Absent and null are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'v str),
    List(&'v [Value]),
    Object(&'v Map<String, Value>),
}

impl<'v> From<&'v Value> for Operand<'v> {
    #[inline]
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Float(value.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => Self::Str(text),
            Value::Array(elements) => Self::List(elements),
            Value::Object(members) => Self::Object(members),
        }
    }
}

/// A whole number within 64 bits becomes an integer (docs/engine-semantics.md 5).
#[inline]
fn narrow(value: f64) -> Operand<'static> {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    if value.trunc() == value && (-TWO_POW_63..TWO_POW_63).contains(&value) {
        Operand::Int(value as i64)
    } else {
        Operand::Float(value)
    }
}
