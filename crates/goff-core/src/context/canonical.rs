//! What makes two contexts the same one: a hash that ignores order, and a typed comparison.
//!
//! `1`, `1.0`, `"1"` and `true` differ. Of `gofeatureflag` only the caller's own members count:
//! `exporterMetadata` never decides a value, and a `gofeatureflag` that is no map is replaced by
//! the enrichment before anybody reads it.

use std::hash::{BuildHasher, Hasher};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use foldhash::quality::{FoldHasher, SeedableRandomState};
use serde_json::{Map, Value};

use crate::context::attribute::{
    Attribute, AttributeRef, EXPORTER_METADATA, GOFEATUREFLAG, Unreadable, number_ref,
};
use crate::context::{ContextError, ContextView};

/// The hash of a context. Attributes are added up, so their order does not matter.
pub(crate) fn hash<V: ContextView + ?Sized>(view: &V) -> Result<u64, ContextError> {
    let mut sum = match view.targeting_key() {
        None => 0,
        Some(key) => hash_with(|hasher| hasher.text(key)),
    };
    let mut failed = None;
    let _ = view.visit(&mut |name, attribute| {
        match hash_attribute(name, &attribute) {
            Ok(hash) => sum = u64::wrapping_add(sum, hash),
            Err(reason) => {
                failed = Some(ContextError {
                    attribute: name.to_owned(),
                    reason,
                });
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    failed.map_or(Ok(sum), Err)
}

/// Whether two attributes of the name `name` are the same.
#[inline]
pub(crate) fn same_attribute(name: &str, left: &Attribute, right: &AttributeRef<'_>) -> bool {
    if name == GOFEATUREFLAG {
        return same_own_members(left, right);
    }
    // The usual kinds first, in place.
    left.is_same_scalar(right)
        .unwrap_or_else(|| same(&left.to_ref(), right))
}

fn same_own_members(left: &Attribute, right: &AttributeRef<'_>) -> bool {
    let (left, right) = (left.to_ref().into_map(), right.clone().into_map());
    let count = |map| own_members(map).count();
    count(left.as_deref()) == count(right.as_deref())
        && own_members(left.as_deref()).all(|(name, left)| {
            right
                .as_deref()
                .and_then(|right| right.get(name))
                .is_some_and(|right| same_json(left, right))
        })
}

/// Whether the attribute of that name counts at all: `gofeatureflag` does only with members of
/// the caller's own.
#[inline]
pub(crate) fn counts(name: &str, attribute: &AttributeRef<'_>) -> bool {
    name != GOFEATUREFLAG || has_own_members(attribute)
}

fn has_own_members(attribute: &AttributeRef<'_>) -> bool {
    own_members(attribute.clone().into_map().as_deref())
        .next()
        .is_some()
}

/// The caller's own members of a `gofeatureflag` attribute.
fn own_members(map: Option<&Map<String, Value>>) -> impl Iterator<Item = (&String, &Value)> {
    map.into_iter()
        .flatten()
        .filter(|(name, _)| *name != EXPORTER_METADATA)
}

#[inline]
fn hash_attribute(name: &str, attribute: &AttributeRef<'_>) -> Result<u64, Unreadable> {
    if name == GOFEATUREFLAG {
        return Ok(hash_own_members(name, attribute));
    }
    let mut hasher = Canonical::new();
    hasher.text(name);
    hasher.attribute(attribute)?;
    Ok(hasher.finish())
}

fn hash_own_members(name: &str, attribute: &AttributeRef<'_>) -> u64 {
    let mut members = Members::default();
    for (name, value) in own_members(attribute.clone().into_map().as_deref()) {
        members.add(name, |hasher| hasher.json(value));
    }
    if members.count == 0 {
        return 0;
    }
    hash_with(|hasher| {
        hasher.text(name);
        hasher.members(members);
    })
}

fn same(left: &AttributeRef<'_>, right: &AttributeRef<'_>) -> bool {
    use AttributeRef::{Bool, Float, GoFeatureFlag, Int, Json, Map, Null, Text, Texts, Uint};
    match (scalar(left), scalar(right)) {
        (Null, Null) => true,
        (Bool(left), Bool(right)) => left == right,
        (Int(left), Int(right)) => left == right,
        (Uint(left), Uint(right)) => left == right,
        (Float(left), Float(right)) => left.to_bits() == right.to_bits(),
        (Text(left), Text(right)) => left == right,
        (Json(left), Json(right)) => same_json(left, right),
        (Map(left), Json(Value::Object(right))) | (Json(Value::Object(right)), Map(left)) => {
            same_map(left, right)
        }
        (Map(left), Map(right)) => same_map(left, right),
        (Texts(texts), Json(Value::Array(items))) | (Json(Value::Array(items)), Texts(texts)) => {
            texts.len() == items.len()
                && texts
                    .iter()
                    .zip(items)
                    .all(|(text, item)| item.as_str() == Some(text))
        }
        (Texts(left), Texts(right)) => left == right,
        (GoFeatureFlag(goff), other) | (other, GoFeatureFlag(goff)) => {
            same(&Map(&goff.to_map()), &other)
        }
        #[cfg(feature = "open-feature")]
        (AttributeRef::SdkStruct(fields), Json(Value::Object(map)))
        | (Json(Value::Object(map)), AttributeRef::SdkStruct(fields)) => {
            crate::sdk::struct_is_json(fields, map)
        }
        #[cfg(feature = "open-feature")]
        (AttributeRef::SdkValue(value), Json(json))
        | (Json(json), AttributeRef::SdkValue(value)) => crate::sdk::value_is_json(value, json),
        _ => false,
    }
}

/// The attribute with a scalar taken out of the JSON or SDK value that wraps it.
fn scalar<'a>(attribute: &AttributeRef<'a>) -> AttributeRef<'a> {
    match attribute {
        AttributeRef::Json(Value::Null) => AttributeRef::Null,
        AttributeRef::Json(Value::Bool(value)) => AttributeRef::Bool(*value),
        AttributeRef::Json(Value::Number(number)) => number_ref(number),
        AttributeRef::Json(Value::String(text)) => AttributeRef::Text(text.as_str().into()),
        #[cfg(feature = "open-feature")]
        AttributeRef::SdkValue(value) => crate::sdk::value_ref(value),
        AttributeRef::Uint(value) => {
            i64::try_from(*value).map_or(AttributeRef::Uint(*value), AttributeRef::Int)
        }
        other => other.clone(),
    }
}

fn same_json(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => same(&number_ref(left), &number_ref(right)),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same_json(left, right))
        }
        (Value::Object(left), Value::Object(right)) => same_map(left, right),
        (left, right) => left == right,
    }
}

fn same_map(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .all(|(name, left)| right.get(name).is_some_and(|right| same_json(left, right)))
}

impl PartialEq<Attribute> for AttributeRef<'_> {
    fn eq(&self, other: &Attribute) -> bool {
        same(self, &other.to_ref())
    }
}

/// The hash of a text, apart from any context.
pub(crate) fn hash_text(text: &str) -> u64 {
    hash_with(|hasher| hasher.text(text))
}

fn hash_with(write: impl FnOnce(&mut Canonical)) -> u64 {
    let mut hasher = Canonical::new();
    write(&mut hasher);
    hasher.finish()
}

/// Writes values with a tag before each, so that no two kinds of value look alike.
pub(crate) struct Canonical(FoldHasher<'static>);

/// Seeded once for the process: the hash never leaves it, and nobody can aim at collisions.
static STATE: LazyLock<SeedableRandomState> = LazyLock::new(SeedableRandomState::default);

impl Canonical {
    fn new() -> Self {
        Self(STATE.build_hasher())
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }

    fn null(&mut self) {
        self.0.write_u8(0);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.write_u8(if value { 1 } else { 2 });
    }

    pub(crate) fn int(&mut self, value: i64) {
        self.0.write_u8(3);
        self.0.write_u64(value.cast_unsigned());
    }

    fn uint(&mut self, value: u64) {
        self.0.write_u8(4);
        self.0.write_u64(value);
    }

    pub(crate) fn float(&mut self, value: f64) -> Result<(), Unreadable> {
        if !value.is_finite() {
            return Err(Unreadable::NotFinite);
        }
        self.0.write_u8(5);
        self.0.write_u64(value.to_bits());
        Ok(())
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.0.write_u8(6);
        self.0.write(text.as_bytes());
    }

    pub(crate) fn list(&mut self, length: usize) {
        self.0.write_u8(7);
        self.0.write_usize(length);
    }

    pub(crate) fn members(&mut self, members: Members) {
        self.0.write_u8(8);
        self.0.write_usize(members.count);
        self.0.write_u64(members.sum);
    }

    fn map(&mut self, map: &Map<String, Value>) {
        let mut members = Members::default();
        for (name, value) in map {
            members.add(name, |hasher| hasher.json(value));
        }
        self.members(members);
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => match number_ref(number) {
                AttributeRef::Int(int) => self.int(int),
                AttributeRef::Uint(uint) => self.uint(uint),
                AttributeRef::Float(float) => {
                    // JSON numbers are finite.
                    let _ = self.float(float);
                }
                _ => self.null(),
            },
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.list(items.len());
                for item in items {
                    self.json(item);
                }
            }
            Value::Object(map) => self.map(map),
        }
    }

    #[inline]
    fn attribute(&mut self, attribute: &AttributeRef<'_>) -> Result<(), Unreadable> {
        match attribute {
            AttributeRef::Bool(value) => self.bool(*value),
            AttributeRef::Int(value) => self.int(*value),
            AttributeRef::Float(value) => self.float(*value)?,
            AttributeRef::Text(text) => self.text(text),
            unusual => self.unusual_attribute(unusual)?,
        }
        Ok(())
    }

    fn unusual_attribute(&mut self, attribute: &AttributeRef<'_>) -> Result<(), Unreadable> {
        match attribute {
            AttributeRef::Null => self.null(),
            AttributeRef::Uint(value) => match i64::try_from(*value) {
                Ok(int) => self.int(int),
                Err(_) => self.uint(*value),
            },
            AttributeRef::Json(value) => self.json(value),
            AttributeRef::Map(map) => self.map(map),
            AttributeRef::Texts(texts) => {
                self.list(texts.len());
                for text in *texts {
                    self.text(text);
                }
            }
            #[cfg(feature = "open-feature")]
            AttributeRef::SdkStruct(fields) => crate::sdk::hash_struct(self, fields)?,
            #[cfg(feature = "open-feature")]
            AttributeRef::SdkValue(value) => crate::sdk::hash_value(self, value)?,
            AttributeRef::GoFeatureFlag(goff) => self.map(&goff.to_map()),
            AttributeRef::Unreadable(why) => return Err(*why),
            usual => self.attribute(usual)?,
        }
        Ok(())
    }
}

/// The members of an object, added up so that their order does not matter.
#[derive(Default)]
pub(crate) struct Members {
    count: usize,
    sum: u64,
}

impl Members {
    fn add(&mut self, name: &str, write: impl FnOnce(&mut Canonical)) {
        let hash = hash_with(|hasher| {
            hasher.text(name);
            write(hasher);
        });
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    #[cfg(feature = "open-feature")]
    pub(crate) fn try_add(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Canonical) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut result = Ok(());
        self.add(name, |hasher| result = write(hasher));
        result
    }
}
