//! The `Struct` fields of the SDK's context, whose type is erased.

use std::any::Any;
use std::borrow::Cow;

use open_feature::StructValue;
use serde_json::{Map, Value};

use crate::context::{Attribute, AttributeRef, Unreadable, is_too_deep};
use crate::sdk::value::{struct_to_json, value_to_json};

/// The content of a `Struct` field as an attribute.
pub(crate) fn opaque_ref(opaque: &(dyn Any + Send + Sync)) -> AttributeRef<'_> {
    if let Some(value) = opaque.downcast_ref::<Value>() {
        AttributeRef::Json(Cow::Borrowed(value))
    } else if let Some(attribute) = opaque.downcast_ref::<Attribute>() {
        attribute.to_ref()
    } else if let Some(map) = opaque.downcast_ref::<Map<String, Value>>() {
        // Before the copy, which uses the stack too.
        if map.values().any(is_too_deep) {
            return AttributeRef::Unreadable(Unreadable::TooDeep);
        }
        AttributeRef::Json(Cow::Owned(Value::Object(map.clone())))
    } else if let Some(fields) = opaque.downcast_ref::<StructValue>() {
        made(struct_to_json(fields).map(Value::Object))
    } else if let Some(value) = opaque.downcast_ref::<open_feature::Value>() {
        made(value_to_json(value))
    } else if let Some(texts) = opaque.downcast_ref::<Vec<String>>() {
        AttributeRef::Json(Cow::Owned(texts.as_slice().into()))
    } else {
        AttributeRef::Unreadable(Unreadable::UnknownType)
    }
}

fn made<'a>(value: Result<Value, Unreadable>) -> AttributeRef<'a> {
    value.map_or_else(AttributeRef::Unreadable, |value| {
        AttributeRef::Json(Cow::Owned(value))
    })
}
