//! The fields of the SDK's context.

use std::any::Any;

use open_feature::{EvaluationContext, EvaluationContextFieldValue, StructValue};
use serde_json::{Map, Value};

use crate::context::{Attribute, AttributeRef, Unreadable, is_name};
use crate::sdk::value::value_ref;

/// A field of the SDK's context, by name. In a small map its names are gone through, most of which
/// differ in length: that takes half as long as to hash one.
#[inline]
pub(crate) fn field<'c>(
    context: &'c EvaluationContext,
    name: &str,
) -> Option<&'c EvaluationContextFieldValue> {
    let fields = &context.custom_fields;
    if fields.capacity() > SCANNED {
        return fields.get(name);
    }
    let found = fields.iter().find(|(own, _)| is_name(own, name));
    found.map(|(_, field)| field)
}

/// The capacity of a table of 16 places.
const SCANNED: usize = 14;

/// What is inside a `Struct` field as an attribute.
pub(crate) fn opaque_ref(opaque: &(dyn Any + Send + Sync)) -> AttributeRef<'_> {
    if let Some(value) = opaque.downcast_ref::<Value>() {
        AttributeRef::Json(value)
    } else if let Some(map) = opaque.downcast_ref::<Map<String, Value>>() {
        AttributeRef::Map(map)
    } else if let Some(attribute) = opaque.downcast_ref::<Attribute>() {
        attribute.to_ref()
    } else if let Some(fields) = opaque.downcast_ref::<StructValue>() {
        AttributeRef::SdkStruct(fields)
    } else if let Some(value) = opaque.downcast_ref::<open_feature::Value>() {
        value_ref(value)
    } else if let Some(texts) = opaque.downcast_ref::<Vec<String>>() {
        AttributeRef::Texts(texts)
    } else {
        AttributeRef::Unreadable(Unreadable::UnknownType)
    }
}
