//! The SDK's values and structures beside JSON: written, compared and hashed without a copy, and
//! made from a flag's value.

use std::borrow::Cow;

use open_feature::{StructValue, Value as SdkValue};
use serde_json::{Map, Value};

use crate::context::{AttributeRef, Unreadable, number_ref};
use crate::context::{Canonical, Members};
use crate::context::{write_json, write_name};
use crate::evaluation::{FlagType, found};

impl FlagType for StructValue {
    const NAME: &'static str = "an object that the SDK can hold";

    /// Objects only (GOFF-EVAL-002). Null members are left out, because the SDK has no null; a
    /// null in a list, where leaving it out would shift its neighbours, and an integer beyond
    /// `i64` are a mismatch.
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
        Value::Number(number) => match number_ref(number) {
            AttributeRef::Int(int) => SdkValue::Int(int),
            AttributeRef::Float(float) => SdkValue::Float(float),
            _ => return Err(Cow::Borrowed("an object with an integer beyond 64 bits")),
        },
        Value::String(text) => SdkValue::String(text.clone()),
        Value::Array(items) => {
            SdkValue::Array(items.iter().map(json_to_value).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => SdkValue::Struct(json_to_struct(map)?),
    })
}

/// An SDK value as an attribute: scalars as themselves.
pub(crate) fn value_ref(value: &SdkValue) -> AttributeRef<'_> {
    match value {
        SdkValue::Bool(value) => AttributeRef::Bool(*value),
        SdkValue::Int(value) => AttributeRef::Int(*value),
        SdkValue::Float(value) => AttributeRef::Float(*value),
        SdkValue::String(text) => AttributeRef::Text(Cow::Borrowed(text)),
        SdkValue::Array(_) => AttributeRef::SdkValue(value),
        SdkValue::Struct(fields) => AttributeRef::SdkStruct(fields),
    }
}

pub(crate) fn struct_to_json(fields: &StructValue) -> Result<Map<String, Value>, Unreadable> {
    fields
        .fields
        .iter()
        .map(|(name, value)| Ok((name.clone(), value_to_json(value)?)))
        .collect()
}

pub(crate) fn value_to_json(value: &SdkValue) -> Result<Value, Unreadable> {
    Ok(match value {
        SdkValue::Bool(value) => Value::from(*value),
        SdkValue::Int(value) => Value::from(*value),
        SdkValue::Float(value) => Value::from(finite(*value)?),
        SdkValue::String(text) => Value::from(text.as_str()),
        SdkValue::Array(items) => {
            Value::Array(items.iter().map(value_to_json).collect::<Result<_, _>>()?)
        }
        SdkValue::Struct(fields) => Value::Object(struct_to_json(fields)?),
    })
}

pub(crate) fn write_struct(fields: &StructValue, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    out.push(b'{');
    for (index, (name, value)) in fields.fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_name(name, out);
        write_value(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

pub(crate) fn write_value(value: &SdkValue, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    match value {
        SdkValue::Bool(value) => write_json(value, out),
        SdkValue::Int(value) => write_json(value, out),
        SdkValue::Float(value) => write_json(&finite(*value)?, out),
        SdkValue::String(text) => write_json(text, out),
        SdkValue::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out)?;
            }
            out.push(b']');
        }
        SdkValue::Struct(fields) => write_struct(fields, out)?,
    }
    Ok(())
}

pub(crate) fn struct_is_json(fields: &StructValue, map: &Map<String, Value>) -> bool {
    fields.fields.len() == map.len()
        && fields
            .fields
            .iter()
            .all(|(name, value)| map.get(name).is_some_and(|json| value_is_json(value, json)))
}

pub(crate) fn value_is_json(value: &SdkValue, json: &Value) -> bool {
    match (value, json) {
        (SdkValue::Bool(value), Value::Bool(json)) => value == json,
        (SdkValue::Int(value), Value::Number(json)) => json.as_i64() == Some(*value),
        (SdkValue::Float(value), Value::Number(json)) => {
            json.is_f64() && json.as_f64().map(f64::to_bits) == Some(value.to_bits())
        }
        (SdkValue::String(text), Value::String(json)) => text == json,
        (SdkValue::Array(items), Value::Array(json)) => {
            items.len() == json.len()
                && items
                    .iter()
                    .zip(json)
                    .all(|(item, json)| value_is_json(item, json))
        }
        (SdkValue::Struct(fields), Value::Object(map)) => struct_is_json(fields, map),
        _ => false,
    }
}

pub(crate) fn hash_struct(hasher: &mut Canonical, fields: &StructValue) -> Result<(), Unreadable> {
    let mut members = Members::default();
    for (name, value) in &fields.fields {
        members.try_add(name, |hasher| hash_value(hasher, value))?;
    }
    hasher.members(members);
    Ok(())
}

pub(crate) fn hash_value(hasher: &mut Canonical, value: &SdkValue) -> Result<(), Unreadable> {
    match value {
        SdkValue::Bool(value) => hasher.bool(*value),
        SdkValue::Int(value) => hasher.int(*value),
        SdkValue::Float(value) => hasher.float(*value)?,
        SdkValue::String(text) => hasher.text(text),
        SdkValue::Array(items) => {
            hasher.list(items.len());
            for item in items {
                hash_value(hasher, item)?;
            }
        }
        SdkValue::Struct(fields) => hash_struct(hasher, fields)?,
    }
    Ok(())
}

fn finite(value: f64) -> Result<f64, Unreadable> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Unreadable::NotFinite)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn structure(value: &Value) -> Result<StructValue, Cow<'static, str>> {
        StructValue::from_json(value)
    }

    /// GOFF-EVAL-002; Python A.6 row 24: the null member is left out.
    #[test]
    fn object_becomes_a_structure_without_its_null_members() {
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

    /// GOFF-EVAL-002; Python A.6 row 27: a top-level list is a mismatch.
    #[test]
    fn everything_but_an_object_is_a_mismatch() {
        for (value, what) in [
            (json!(["test"]), "a list"),
            (json!(true), "a boolean"),
            (json!(1), "an integer"),
            (json!("{}"), "a string"),
            (json!({"list": [1, null]}), "a list with null"),
            (
                json!({"big": u64::MAX}),
                "an object with an integer beyond 64 bits",
            ),
        ] {
            assert_eq!(structure(&value).unwrap_err(), what);
        }
    }
}
