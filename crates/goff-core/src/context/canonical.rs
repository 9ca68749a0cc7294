//! Equality of contexts: a hash that ignores the order of attributes, and a typed comparison.
//!
//! `1`, `1.0`, `"1"` and `true` differ. Of `gofeatureflag` only the caller's own members count:
//! `exporterMetadata` never decides a value, and enrichment replaces a `gofeatureflag` that is not a
//! map.

use std::hash::{BuildHasher, Hasher};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use foldhash::quality::{FoldHasher, SeedableRandomState};
use serde_json::Value;

use crate::context::content::Sealed;
use crate::context::{
    Attribute, AttributeRef, ContextError, ContextView, EXPORTER_METADATA, GOFEATUREFLAG,
    Unreadable,
};

/// A hash that equal contexts share.
///
/// # Errors
/// An attribute that cannot be read.
pub fn canonical_hash(view: &dyn ContextView) -> Result<u64, ContextError> {
    if let Some(hash) = view.native(Sealed(())).and_then(|content| content.hash) {
        return Ok(hash);
    }
    let mut sum = hash_of_key(view.targeting_key());
    let mut failed = None;
    let _ = view.visit(
        &mut |name, attribute| match hash_attribute(name, &attribute) {
            Ok(hash) => {
                sum = sum.wrapping_add(hash);
                ControlFlow::Continue(())
            }
            Err(reason) => {
                failed = Some(ContextError::new(name, reason));
                ControlFlow::Break(())
            }
        },
    );
    failed.map_or(Ok(sum), Err)
}

/// The canonical hash of a native context's content; `None` with an unreadable attribute.
pub(crate) fn hash_of_content(
    targeting_key: Option<&str>,
    attributes: &[(Box<str>, Attribute)],
) -> Option<u64> {
    let mut hashes = attributes
        .iter()
        .map(|(name, attribute)| hash_attribute(name, &attribute.to_ref()));
    hashes.try_fold(hash_of_key(targeting_key), |sum, hash| {
        hash.ok().map(|hash| sum.wrapping_add(hash))
    })
}

/// The hashes of the attributes are added to this one, so that their order does not matter.
fn hash_of_key(targeting_key: Option<&str>) -> u64 {
    targeting_key.map_or(0, hash_text)
}

/// Whether an attribute counts in comparisons: `gofeatureflag` only with own members.
pub(crate) fn counts(name: &str, attribute: &AttributeRef<'_>) -> bool {
    name != GOFEATUREFLAG || own_members(attribute).next().is_some()
}

/// Whether two attributes of the name `name` are equal.
pub(crate) fn same_attribute(
    name: &str,
    left: &AttributeRef<'_>,
    right: &AttributeRef<'_>,
) -> bool {
    if name != GOFEATUREFLAG {
        return same(left, right);
    }
    own_members(left).count() == own_members(right).count()
        && own_members(left).all(|(name, left)| {
            right
                .as_map()
                .and_then(|right| right.get(name))
                .is_some_and(|right| same_json(left, right))
        })
}

impl PartialEq<Attribute> for AttributeRef<'_> {
    fn eq(&self, other: &Attribute) -> bool {
        same(self, &other.to_ref())
    }
}

/// The hash of a text alone.
pub(crate) fn hash_text(text: &str) -> u64 {
    hash_with(|hasher| hasher.scalar(Scalar::Text(text)))
}

/// The caller's own members of a `gofeatureflag` attribute.
fn own_members<'a>(
    attribute: &'a AttributeRef<'_>,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    attribute
        .as_map()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != EXPORTER_METADATA)
}

fn hash_attribute(name: &str, attribute: &AttributeRef<'_>) -> Result<u64, Unreadable> {
    let mut hasher = Canonical::new();
    hasher.0.write(name.as_bytes());
    if name == GOFEATUREFLAG {
        attribute.check()?;
        if !counts(name, attribute) {
            return Ok(0);
        }
        hasher.members(own_members(attribute));
    } else {
        hasher.attribute(attribute)?;
    }
    Ok(hasher.0.finish())
}

fn same(left: &AttributeRef<'_>, right: &AttributeRef<'_>) -> bool {
    match (Scalar::of(left), Scalar::of(right)) {
        (Some(left), Some(right)) => left == right,
        (None, None) => match (left, right) {
            (AttributeRef::Json(left), AttributeRef::Json(right)) => same_json(left, right),
            _ => match (left.to_json(), right.to_json()) {
                (Ok(left), Ok(right)) => same_json(&left, &right),
                _ => false,
            },
        },
        _ => false,
    }
}

fn same_json(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same_json(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, left)| right.get(name).is_some_and(|right| same_json(left, right)))
        }
        (left, right) => {
            Scalar::of_json(left).is_some_and(|left| Scalar::of_json(right) == Some(left))
        }
    }
}

/// A value that is neither an array nor an object, whichever form a view gives it.
#[derive(PartialEq)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Uint(u64),
    /// Its bits.
    Float(u64),
    Text(&'a str),
}

impl<'a> Scalar<'a> {
    fn of(attribute: &'a AttributeRef<'_>) -> Option<Self> {
        Some(match attribute {
            AttributeRef::Null => Self::Null,
            AttributeRef::Bool(value) => Self::Bool(*value),
            AttributeRef::Int(value) => Self::Int(*value),
            AttributeRef::Uint(value) => {
                i64::try_from(*value).map_or(Self::Uint(*value), Self::Int)
            }
            AttributeRef::Float(value) => Self::Float(value.to_bits()),
            AttributeRef::Text(text) => Self::Text(text),
            AttributeRef::Json(value) => return Self::of_json(value),
            AttributeRef::GoFeatureFlag(_) | AttributeRef::Unreadable(_) => return None,
        })
    }

    fn of_json(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                (None, None) => Self::Float(number.as_f64()?.to_bits()),
            },
            Value::String(text) => Self::Text(text),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }
}

fn hash_with(write: impl FnOnce(&mut Canonical)) -> u64 {
    let mut hasher = Canonical::new();
    write(&mut hasher);
    hasher.0.finish()
}

/// Writes each value after a tag of its kind, so that values of different kinds differ.
struct Canonical(FoldHasher<'static>);

/// Seeded once per process. The hash never leaves it, so collisions are hard to aim at, though not
/// impossible: full equality decides.
static STATE: LazyLock<SeedableRandomState> = LazyLock::new(SeedableRandomState::default);

impl Canonical {
    fn new() -> Self {
        Self(STATE.build_hasher())
    }

    #[inline]
    fn attribute(&mut self, attribute: &AttributeRef<'_>) -> Result<(), Unreadable> {
        attribute.check()?;
        match attribute {
            AttributeRef::Json(value) => self.json(value),
            _ => match Scalar::of(attribute) {
                Some(scalar) => self.scalar(scalar),
                None => self.json(&attribute.to_json()?),
            },
        }
        Ok(())
    }

    fn json(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                self.tag(7);
                self.0.write_usize(items.len());
                for item in items {
                    self.json(item);
                }
            }
            Value::Object(map) => self.members(map.iter()),
            // A number of `serde_json` is an integer or a float.
            scalar => self.scalar(Scalar::of_json(scalar).unwrap_or(Scalar::Null)),
        }
    }

    /// Writes the members of an object, added up, so that their order does not matter.
    fn members<'m>(&mut self, members: impl Iterator<Item = (&'m String, &'m Value)>) {
        let (mut count, mut sum) = (0, 0_u64);
        for (name, value) in members {
            count += 1;
            sum = sum.wrapping_add(hash_with(|hasher| {
                hasher.scalar(Scalar::Text(name));
                hasher.json(value);
            }));
        }
        self.tag(8);
        self.0.write_usize(count);
        self.0.write_u64(sum);
    }

    /// Inlined into each of its callers, so that an attribute's kind is looked at once and not three
    /// times (bench row "cached, native, from an SDK context").
    #[inline(always)]
    fn scalar(&mut self, scalar: Scalar<'_>) {
        match scalar {
            Scalar::Null => self.tag(0),
            Scalar::Bool(value) => self.tag(if value { 1 } else { 2 }),
            Scalar::Int(value) => {
                self.tag(3);
                self.0.write_u64(value.cast_unsigned());
            }
            Scalar::Uint(value) => {
                self.tag(4);
                self.0.write_u64(value);
            }
            Scalar::Float(bits) => {
                self.tag(5);
                self.0.write_u64(bits);
            }
            Scalar::Text(text) => {
                self.tag(6);
                self.0.write(text.as_bytes());
            }
        }
    }

    fn tag(&mut self, kind: u8) {
        self.0.write_u8(kind);
    }
}
