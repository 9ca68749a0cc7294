//! Comparisons (docs/engine-semantics.md 18.3).

use super::{number, value::Value};
use crate::evaluate::operand::Operand;

/// What a comparison sees of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comparable<'v> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'v str),
    /// A list, an object or another value that equals nothing.
    Other,
}

impl<'v> From<Operand<'v>> for Comparable<'v> {
    #[inline]
    fn from(operand: Operand<'v>) -> Self {
        match operand {
            Operand::Null => Self::Null,
            Operand::Bool(value) => Self::Bool(value),
            Operand::Int(value) => Self::Number(value as f64),
            Operand::Float(value) => Self::Number(value),
            Operand::Str(text) => Self::Text(text),
            Operand::List(_) | Operand::Object(_) => Self::Other,
        }
    }
}

impl<'v> From<&'v Value<'_>> for Comparable<'v> {
    fn from(value: &'v Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => Self::Number(*value),
            Value::Text(text) => Self::Text(text.as_str()),
            Value::List(_) | Value::Object(_) | Value::ZeroMarker => Self::Other,
        }
    }
}

impl Comparable<'_> {
    pub(super) fn number(self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Number(value) => value,
            Self::Text(text) if text.trim().is_empty() => 0.0,
            Self::Text(text) => match number::parse(text) {
                Some(parsed) if !parsed.overflow => parsed.value,
                _ => f64::NAN,
            },
            Self::Other => f64::NAN,
        }
    }
}

#[inline]
pub(super) fn loosely_equal(left: Comparable<'_>, right: Comparable<'_>) -> bool {
    match (left, right) {
        (Comparable::Text(left), Comparable::Text(right)) => left == right,
        (Comparable::Null, Comparable::Null) => true,
        (Comparable::Null, _) | (_, Comparable::Null) => false,
        _ => left.number() == right.number(),
    }
}

pub(super) fn strictly_equal(left: Comparable<'_>, right: Comparable<'_>) -> bool {
    match (left, right) {
        (Comparable::Null, Comparable::Null) => true,
        (Comparable::Bool(left), Comparable::Bool(right)) => left == right,
        (Comparable::Number(left), Comparable::Number(right)) => left == right,
        (Comparable::Text(left), Comparable::Text(right)) => left == right,
        _ => false,
    }
}

#[inline]
pub(super) fn less(left: Comparable<'_>, right: Comparable<'_>) -> bool {
    match (left, right) {
        (Comparable::Text(left), Comparable::Text(right)) => left < right,
        _ => left.number() < right.number(),
    }
}

pub(super) fn less_or_equal(left: Comparable<'_>, right: Comparable<'_>) -> bool {
    less(left, right) || loosely_equal(left, right)
}
