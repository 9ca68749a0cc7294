//! The SDK's values and structures, converted to and from JSON.

use std::borrow::Cow;

use open_feature::{StructValue, Value as SdkValue};
use serde_json::{Map, Number, Value};

use crate::context::{MAX_DEPTH, Unreadable};
use crate::evaluation::{FlagType, found};

impl FlagType for StructValue {
    const NAME: &'static str = "an object of the OpenFeature SDK";

    /// Objects only (GOFF-EVAL-002). The SDK has no null: null members are left out; a null in a
    /// list, where that would shift the other items, is a mismatch, and so is an integer above
    /// `i64::MAX`.
    fn from_json(value: &Value) -> Result<Self, Cow<'static, str>> {
        value
            .as_object()
            .ok_or_else(|| found(value))
            .and_then(json_to_struct)
    }

    fn to_json(&self) -> Value {
        struct_to_json(self).map_or(Value::Null, Value::Object)
    }
}

fn json_to_struct(map: &Map<String, Value>) -> Result<StructValue, Cow<'static, str>> {
    let mut fields = StructValue::default();
    for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        fields.fields.insert(name.clone(), json_to_value(value)?);
    }
    Ok(fields)
}

fn json_to_value(value: &Value) -> Result<SdkValue, Cow<'static, str>> {
    Ok(match value {
        Value::Null => return Err(Cow::Borrowed("a list with null")),
        Value::Bool(value) => SdkValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => SdkValue::Int(int),
            (None, Some(float)) if !number.is_u64() => SdkValue::Float(float),
            _ => {
                return Err(Cow::Borrowed(
                    "an object with an integer above the range of i64",
                ));
            }
        },
        Value::String(text) => SdkValue::String(text.clone()),
        Value::Array(items) => {
            SdkValue::Array(items.iter().map(json_to_value).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => SdkValue::Struct(json_to_struct(map)?),
    })
}

pub(crate) fn struct_to_json(fields: &StructValue) -> Result<Map<String, Value>, Unreadable> {
    members(fields, MAX_DEPTH)
}

fn members(fields: &StructValue, levels: usize) -> Result<Map<String, Value>, Unreadable> {
    let levels = levels.checked_sub(1).ok_or(Unreadable::TooDeep)?;
    fields
        .fields
        .iter()
        .map(|(name, value)| Ok((name.clone(), json_of(value, levels)?)))
        .collect()
}

/// Converts an SDK value to JSON.
///
/// # Errors
/// NaN and infinities, which JSON cannot represent, and values nested deeper than 512 levels.
pub fn value_to_json(value: &SdkValue) -> Result<Value, Unreadable> {
    json_of(value, MAX_DEPTH)
}

fn json_of(value: &SdkValue, levels: usize) -> Result<Value, Unreadable> {
    Ok(match value {
        SdkValue::Bool(value) => Value::from(*value),
        SdkValue::Int(value) => Value::from(*value),
        SdkValue::Float(value) => Number::from_f64(*value)
            .map(Value::Number)
            .ok_or(Unreadable::NotFinite)?,
        SdkValue::String(text) => Value::from(text.as_str()),
        SdkValue::Array(items) => {
            let levels = levels.checked_sub(1).ok_or(Unreadable::TooDeep)?;
            let items = items.iter().map(|item| json_of(item, levels));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        SdkValue::Struct(fields) => Value::Object(members(fields, levels)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn structure(value: &Value) -> Result<StructValue, Cow<'static, str>> {
        StructValue::from_json(value)
    }

    /// GOFF-EVAL-002; docs/python-parity.md A.6, row 24: the null member is left out.
    #[test]
    fn object_becomes_a_structure_without_null_members() {
        let expected = StructValue::default()
            .with_field("test", "test1")
            .with_field("test2", false)
            .with_field("test3", 123.3)
            .with_field("test4", 1)
            .with_field("nested", StructValue::default().with_field("list", vec![1]));
        assert_eq!(
            structure(&json!({
                "test": "test1", "test2": false, "test3": 123.3, "test4": 1, "test5": null,
                "nested": {"gone": null, "list": [1]},
            })),
            Ok(expected)
        );
    }

    /// GOFF-EVAL-002; docs/python-parity.md A.6, row 27: a top-level list is a mismatch.
    #[test]
    fn value_that_is_not_an_object_is_a_mismatch() {
        for (value, what) in [
            (json!(["test"]), "a list"),
            (json!(true), "a boolean"),
            (json!(1), "an integer"),
            (json!("{}"), "a string"),
            (json!({"list": [1, null]}), "a list with null"),
            (
                json!({"big": u64::MAX}),
                "an object with an integer above the range of i64",
            ),
        ] {
            assert_eq!(structure(&value).unwrap_err(), what);
        }
    }
}
