//! Operators and values of JSONLogic in words, for explanations.

use std::fmt;

use super::{
    comparison::Comparable,
    interpreter::Outcome,
    value::{List, Object, Value},
};
use crate::{
    evaluate::{
        operand::Operand,
        seen::{Condition, SeenValue, quoted, separate, write_operand, write_text},
    },
    query::stop::Stop,
};

/// An operator with its raw argument, the evaluated arguments if it has such, and its result.
pub(super) fn operation(
    operator: &str,
    argument: &Value<'_>,
    arguments: Option<&Value<'_>>,
    outcome: &Outcome<'_>,
) -> Condition {
    let values: Vec<Value<'_>> = match arguments {
        Some(Value::List(list)) => list.iter().take(MOST_VALUES).collect(),
        Some(value) => vec![value.clone()],
        None => Vec::new(),
    };
    let seen: Vec<_> = values.iter().map(seen).collect();
    let why = match (outcome, &*values) {
        (Err(Stop::Unreadable(attribute)), _) => {
            format!("attribute {} cannot be read", quoted(&attribute.0))
        }
        (Err(Stop::Abort), _) if !OPERATORS.contains(&operator) => {
            format!("{} is no operator of the engine", quoted(operator))
        }
        (Ok(_), [left, right]) if is_comparison(operator) => {
            why(operator, &seen, left.into(), right.into())
        }
        (Err(Stop::Abort), _) => {
            let values: Vec<_> = seen.iter().map(SeenValue::to_string).collect();
            stopped(operator, &values)
        }
        (Ok(result), _) => format!("the result is {}", self::seen(result)),
    };
    let write = |out: &mut dyn fmt::Write| {
        out.write_char('{')?;
        write_text(operator, out)?;
        out.write_char(':')?;
        write(argument, out)?;
        out.write_char('}')
    };
    let holds = outcome.as_ref().ok().map(Value::is_truthy);
    Condition::new(write, seen, holds, why)
}

/// A comparison of two values.
pub(super) fn comparison(
    operator: &str,
    text: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
    seen: Vec<SeenValue>,
    sides: (Comparable<'_>, Comparable<'_>),
    holds: Option<bool>,
) -> Condition {
    let why = match holds {
        Some(_) => why(operator, &seen, sides.0, sides.1),
        None => stopped(
            operator,
            &seen.iter().map(SeenValue::to_string).collect::<Vec<_>>(),
        ),
    };
    Condition::new(text, seen, holds, why)
}

fn stopped(operator: &str, values: &[String]) -> String {
    let values = if values.is_empty() {
        "these arguments".to_owned()
    } else {
        values.join(" and ")
    };
    format!("{} cannot be applied to {values}", quoted(operator))
}

/// Both sides, and what the operator makes of their types (docs/engine-semantics.md 18.2).
fn why(operator: &str, seen: &[SeenValue], left: Comparable<'_>, right: Comparable<'_>) -> String {
    let [first, second] = seen else {
        return String::new();
    };
    let sides = format!("the left side is {first}, the right side is {second}");
    let same_type = first.kind == second.kind;
    let note = match (operator, left, right) {
        ("in", Comparable::Text(_), Comparable::Text(_)) => "a text is searched as it is written",
        ("in", Comparable::Text(_), _) => "an entry must be the same text, also in its case",
        ("in", Comparable::Number(_), _) => {
            "an entry must be the same number, or a text that reads as it"
        }
        ("in", _, _) => "an entry must have the same type and value",
        ("===" | "!==", ..) if !same_type => "values of different types are never identical",
        (_, Comparable::Text(_), Comparable::Text(_)) => "two texts compare byte by byte",
        ("==" | "!=", Comparable::Null, _) | ("==" | "!=", _, Comparable::Null) if !same_type => {
            "null equals only null"
        }
        (_, Comparable::Other, _) | (_, _, Comparable::Other) => {
            "a list or an object equals nothing"
        }
        _ if same_type => return sides,
        _ => {
            let number = |value: Comparable<'_>| match value.number() {
                number if number.is_nan() => "no number".to_owned(),
                number => number.to_string(),
            };
            let (left, right) = (number(left), number(right));
            return format!("{sides}; different types compare as numbers, here {left} and {right}");
        }
    };
    format!("{sides}; {note}")
}

fn is_comparison(operator: &str) -> bool {
    matches!(
        operator,
        "==" | "!=" | "===" | "!==" | "<" | "<=" | ">" | ">=" | "in"
    )
}

fn seen(value: &Value<'_>) -> SeenValue {
    match value {
        Value::Null => SeenValue::new(Operand::Null),
        Value::Bool(value) => SeenValue::new(Operand::Bool(*value)),
        Value::Number(value) => SeenValue::new(Operand::Float(*value)),
        Value::ZeroMarker => SeenValue::new(Operand::Float(0.0)),
        Value::Text(text) => SeenValue::new(Operand::Str(text.as_str())),
        Value::List(_) => SeenValue::written("list", |out| write(value, out)),
        Value::Object(_) => SeenValue::written("object", |out| write(value, out)),
    }
}

/// Writes the value as JSON. Each level writes a character, so that a limit of characters limits
/// the depth.
fn write(value: &Value<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Number(value) => write_operand(Operand::Float(*value), out),
        Value::ZeroMarker => out.write_char('0'),
        Value::Text(text) => write_text(text.as_str(), out),
        Value::List(list) => write_list(list, out),
        Value::Object(object) => {
            out.write_char('{')?;
            match object {
                Object::Rule(members) => {
                    let members = members.iter();
                    write_members(members.map(|(name, value)| (&**name, value.into())), out)?;
                }
                Object::Context(members) => {
                    let members = members.iter();
                    write_members(members.map(|(name, value)| (&**name, value.into())), out)?;
                }
                Object::Made(members) => {
                    let members = members.iter();
                    write_members(
                        members.map(|(name, value)| (name.as_str(), value.clone())),
                        out,
                    )?;
                }
            }
            out.write_char('}')
        }
    }
}

fn write_list(list: &List<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    out.write_char('[')?;
    for (index, element) in list.iter().enumerate() {
        separate(index, out)?;
        write(&element, out)?;
    }
    out.write_char(']')
}

fn write_members<'m, 'v: 'm>(
    members: impl Iterator<Item = (&'m str, Value<'v>)>,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    for (index, (name, value)) in members.enumerate() {
        separate(index, out)?;
        write_text(name, out)?;
        out.write_char(':')?;
        write(&value, out)?;
    }
    Ok(())
}

/// Arguments of one operator in an explanation.
const MOST_VALUES: usize = 4;

/// docs/engine-semantics.md 18.3 to 18.6.
pub(super) const OPERATORS: [&str; 39] = [
    "and",
    "or",
    "if",
    "?:",
    "!",
    "!!",
    "==",
    "!=",
    "===",
    "!==",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "max",
    "min",
    "abs",
    "var",
    "missing",
    "missing_some",
    "in",
    "set",
    "contains_all",
    "contains_any",
    "contains_none",
    "map",
    "filter",
    "reduce",
    "all",
    "some",
    "none",
    "merge",
    "cat",
    "substr",
];
