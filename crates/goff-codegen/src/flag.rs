//! A flag, as far as a function for it needs to know.

use serde_json::{Map, Value};

use crate::error::CodegenError;
use crate::shape::Shape;

#[derive(Clone, Debug)]
pub(crate) struct FlagDefinition {
    pub(crate) key: String,
    pub(crate) description: Option<String>,
    pub(crate) shape: Shape,
    pub(crate) default: Value,
}

impl FlagDefinition {
    /// From the JSON of a flag that is valid.
    pub(crate) fn of_flag(key: &str, flag: &Value) -> Result<Self, CodegenError> {
        let metadata = flag.get("metadata").unwrap_or(&Value::Null);
        let steps = flag.get("scheduledRollout").and_then(Value::as_array);
        let variations: Vec<(&String, &Value)> = [flag]
            .into_iter()
            .chain(steps.into_iter().flatten())
            .filter_map(|state| state.get("variations")?.as_object())
            .flat_map(Map::iter)
            .filter(|(_, value)| !value.is_null())
            .collect();
        let mut values: Vec<&Value> = variations.iter().map(|(_, value)| *value).collect();
        let shape = Shape::of(&values);
        let default = match metadata
            .get("defaultValue")
            .filter(|value| !value.is_null())
        {
            None => default(flag, &variations, &shape).cloned(),
            Some(default) => {
                values.push(default);
                if Shape::of(&values).name() != shape.name() && !is_wider(&shape, default) {
                    let (found, wanted) = (Shape::of(&[default]).name(), shape.name());
                    let message = format!(
                        "`defaultValue` of its metadata is {found}, and its variations are of type: {wanted}"
                    );
                    return Err(CodegenError::flag(key, message));
                }
                Some(default.clone())
            }
        };
        let Some(default) = default else {
            return Err(CodegenError::flag(key, "it has no variation with a value"));
        };
        let shape = Shape::of(&values).with_choice(&values);
        Self::checked(key, metadata, shape, default)
    }

    pub(crate) fn of_manifest(
        key: &str,
        flag: &Value,
        type_member: &str,
    ) -> Result<Self, CodegenError> {
        let shape = match flag.get(type_member).and_then(Value::as_str) {
            Some("boolean") => Shape::Boolean,
            Some("integer") => Shape::Integer,
            Some("float") => Shape::Float,
            Some("string") => Shape::Text,
            Some("object") => match flag.get("schema") {
                Some(schema) => Shape::of_schema(schema),
                None => Shape::AnyObject,
            },
            _ => {
                let message = format!(
                    "its `{type_member}` is none of boolean, integer, float, string and object"
                );
                return Err(CodegenError::flag(key, message));
            }
        };
        let default = flag.get("defaultValue").unwrap_or(&Value::Null);
        if !shape.accepts(default) || default.is_null() {
            let message = format!("its `defaultValue` is not {} of its type", shape.name());
            return Err(CodegenError::flag(key, message));
        }
        Self::checked(key, flag, shape, default.clone())
    }

    fn checked(
        key: &str,
        described: &Value,
        shape: Shape,
        default: Value,
    ) -> Result<Self, CodegenError> {
        if is_deep(&default, DEEPEST_DEFAULT) {
            let message = format!("its default is nested deeper than {DEEPEST_DEFAULT} levels");
            return Err(CodegenError::flag(key, message));
        }
        let description = described.get("description").and_then(Value::as_str);
        let description = description.filter(|text| !text.trim().is_empty());
        Ok(Self {
            key: key.to_owned(),
            description: description.map(ToOwned::to_owned),
            shape,
            default,
        })
    }
}

/// Whether a default makes integers into numbers.
fn is_wider(shape: &Shape, default: &Value) -> bool {
    *shape == Shape::Integer && default.is_number()
}

/// The default of a flag that does not name one.
fn default<'f>(
    flag: &'f Value,
    variations: &[(&String, &'f Value)],
    shape: &Shape,
) -> Option<&'f Value> {
    if *shape == Shape::Boolean {
        let mut values = variations.iter().map(|(_, value)| *value);
        let falsy = values.clone().find(|value| **value == false);
        return falsy.or_else(|| values.next());
    }
    let rule = flag.get("defaultRule")?;
    let served = || {
        let rollout = rule.get("progressiveRollout");
        if let Some(initial) = rollout.and_then(|rollout| rollout.get("initial")) {
            return initial.get("variation")?.as_str();
        }
        match rule.get("percentage").and_then(Value::as_object) {
            None => rule.get("variation")?.as_str(),
            Some(shares) => {
                let share = |value: &Value| value.as_f64().unwrap_or_default();
                // Of equal shares the first by name.
                let mut largest: Option<(&str, f64)> = None;
                for (name, value) in shares {
                    let share = share(value);
                    let is_larger = largest.is_none_or(|(first, other)| {
                        share > other || (share == other && **name < *first)
                    });
                    if is_larger {
                        largest = Some((name, share));
                    }
                }
                largest.map(|(name, _)| name)
            }
        }
    };
    let named = served().and_then(|served| {
        let mut variations = variations.iter();
        variations.find(|(name, _)| *name == served)
    });
    // A variation that does not exist.
    let named = named.or_else(|| variations.iter().min_by_key(|(name, _)| *name));
    named.map(|(_, value)| *value)
}

fn is_deep(value: &Value, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else {
        return true;
    };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deep(item, levels)),
        Value::Object(members) => members.values().any(|member| is_deep(member, levels)),
        _ => false,
    }
}

/// Less than what serde_json reads, and than what rustc compiles.
const DEEPEST_DEFAULT: usize = 64;
