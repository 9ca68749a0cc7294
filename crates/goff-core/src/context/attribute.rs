//! One attribute of an evaluation context: owned, or borrowed.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::context::depth::is_too_deep;
use crate::context::scan::find_unreadable;
use crate::context::{ExporterMetadata, Unreadable};

/// An attribute of an [`EvaluationContext`](crate::EvaluationContext): any JSON value, or the
/// reason why the given value has no JSON form.
///
/// Convert the usual types with `From` and any other serializable value with
/// [`from_serialize`](Self::from_serialize).
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute(Repr);

/// A new kind is a variant here and in [`AttributeRef`]. The compiler then names the places that
/// need it, except those with a wildcard: [`AttributeRef::as_map`], [`AttributeRef::into_map`], and
/// `engine_attribute` in goff-client, which reads unknown kinds as JSON.
#[derive(Debug, Clone, PartialEq)]
enum Repr {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Uint(u64),
    /// Finite.
    Float(f64),
    Text(Box<str>),
    /// An array or an object.
    Json(Value),
    Unreadable(Unreadable),
}

impl Attribute {
    /// Converts any serializable value: for the native context and, behind the feature
    /// `open-feature`, for a `Struct` field of the SDK's context.
    ///
    /// A value that JSON cannot represent (NaN, infinities, maps with non-string keys), one nested
    /// deeper than 512 levels, and a `SystemTime` or `Duration`, whose JSON form no rule matches, is
    /// stored as unreadable: evaluations that need it fail with `INVALID_CONTEXT` and name the
    /// attribute. Convert dates with `From`, behind the features `time` and `chrono`.
    ///
    /// ```
    /// # use goff_core::{Attribute, EvaluationContext};
    /// #[derive(serde::Serialize)]
    /// struct Company { name: &'static str, size: u32 }
    /// let company = Company { name: "Example", size: 120 };
    /// let context = EvaluationContext::builder()
    ///     .targeting_key("user-1")
    ///     .attribute("company", Attribute::from_serialize(company))
    ///     .build();
    /// ```
    pub fn from_serialize(value: impl Serialize) -> Self {
        if let Some(unreadable) = find_unreadable(&value) {
            return unreadable.into();
        }
        match serde_json::to_value(value) {
            Ok(value) => value.into(),
            Err(_) => Unreadable::NotJson.into(),
        }
    }

    /// Borrows the attribute.
    #[must_use]
    pub fn to_ref(&self) -> AttributeRef<'_> {
        match &self.0 {
            Repr::Null => AttributeRef::Null,
            Repr::Bool(value) => AttributeRef::Bool(*value),
            Repr::Int(value) => AttributeRef::Int(*value),
            Repr::Uint(value) => AttributeRef::Uint(*value),
            Repr::Float(value) => AttributeRef::Float(*value),
            Repr::Text(text) => AttributeRef::Text(Cow::Borrowed(text)),
            Repr::Json(value) => AttributeRef::Json(Cow::Borrowed(value)),
            Repr::Unreadable(why) => AttributeRef::Unreadable(*why),
        }
    }
}

impl From<Value> for Attribute {
    fn from(value: Value) -> Self {
        Self(match value {
            Value::Null => Repr::Null,
            Value::Bool(value) => Repr::Bool(value),
            Value::Number(number) => {
                return match (number.as_i64(), number.as_u64()) {
                    (Some(int), _) => int.into(),
                    (None, Some(uint)) => uint.into(),
                    (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
                };
            }
            Value::String(text) => Repr::Text(text.into()),
            Value::Array(_) | Value::Object(_) if is_too_deep(&value) => {
                Repr::Unreadable(Unreadable::TooDeep)
            }
            Value::Array(_) | Value::Object(_) => Repr::Json(value),
        })
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl From<$type> for Attribute {
            fn from(value: $type) -> Self {
                Self(Repr::$variant(value.into()))
            }
        }
    )*};
}

from!(bool => Bool, &str => Text, String => Text, Box<str> => Text, Cow<'_, str> => Text);
from!(i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int);
from!(Unreadable => Unreadable);

impl From<&String> for Attribute {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<u64> for Attribute {
    fn from(value: u64) -> Self {
        Self(i64::try_from(value).map_or(Repr::Uint(value), Repr::Int))
    }
}

impl From<f64> for Attribute {
    fn from(value: f64) -> Self {
        Self(if value.is_finite() {
            Repr::Float(value)
        } else {
            Repr::Unreadable(Unreadable::NotFinite)
        })
    }
}

impl From<usize> for Attribute {
    fn from(value: usize) -> Self {
        // No platform has more than 64 bits.
        (value as u64).into()
    }
}

impl From<isize> for Attribute {
    fn from(value: isize) -> Self {
        (value as i64).into()
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        f64::from(value).into()
    }
}

impl From<Map<String, Value>> for Attribute {
    fn from(map: Map<String, Value>) -> Self {
        Value::Object(map).into()
    }
}

/// A list with an unreadable item is unreadable.
impl<T: Into<Self>> FromIterator<T> for Attribute {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let items = items.into_iter().map(|item| item.into().to_ref().to_json());
        match items.collect::<Result<Vec<Value>, Unreadable>>() {
            Ok(items) => Value::Array(items).into(),
            Err(reason) => reason.into(),
        }
    }
}

impl<T: Into<Self>> From<Vec<T>> for Attribute {
    fn from(list: Vec<T>) -> Self {
        list.into_iter().collect()
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for Attribute {
    fn from(list: [T; N]) -> Self {
        list.into_iter().collect()
    }
}

impl<T: Clone + Into<Self>> From<&[T]> for Attribute {
    fn from(list: &[T]) -> Self {
        list.iter().cloned().collect()
    }
}

impl<T: Clone + Into<Self>, const N: usize> From<&[T; N]> for Attribute {
    fn from(list: &[T; N]) -> Self {
        list.as_slice().into()
    }
}

impl<T: Clone + Into<Self>> From<&Vec<T>> for Attribute {
    fn from(list: &Vec<T>) -> Self {
        list.as_slice().into()
    }
}

impl<T: Into<Self>> From<Option<T>> for Attribute {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(Repr::Null), Into::into)
    }
}

/// An attribute as a [`ContextView`](crate::ContextView) returns it.
///
/// A scalar in [`Json`](Self::Json) equals the variant for that scalar, so a view may return either,
/// whichever needs no conversion.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AttributeRef<'a> {
    /// JSON null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A floating-point number; NaN and infinities count as unreadable.
    Float(f64),
    /// A string; owned where it is made for this read, such as a formatted date.
    Text(Cow<'a, str>),
    /// Any JSON value; owned where it is made for this read.
    Json(Cow<'a, Value>),
    /// The enriched `gofeatureflag` attribute.
    #[doc(hidden)]
    GoFeatureFlag(GoFeatureFlagRef<'a>),
    /// A value without a JSON form.
    Unreadable(Unreadable),
}

impl<'a> AttributeRef<'a> {
    /// Copies the attribute.
    #[must_use]
    pub fn to_attribute(&self) -> Attribute {
        match self {
            Self::Null => Attribute(Repr::Null),
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Json(_) | Self::GoFeatureFlag(_) => match self.to_json() {
                Ok(value) => value.into(),
                Err(why) => why.into(),
            },
            Self::Unreadable(why) => (*why).into(),
        }
    }

    /// Whether the attribute has a JSON form of bounded depth.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn check(&self) -> Result<(), Unreadable> {
        match self {
            Self::Float(value) if !value.is_finite() => Err(Unreadable::NotFinite),
            Self::Json(value) if is_too_deep(value) => Err(Unreadable::TooDeep),
            Self::GoFeatureFlag(attribute) if attribute.is_too_deep() => Err(Unreadable::TooDeep),
            Self::Unreadable(why) => Err(*why),
            _ => Ok(()),
        }
    }

    /// Converts the attribute to a JSON value.
    ///
    /// # Errors
    /// Why it has no JSON form.
    pub fn to_json(&self) -> Result<Value, Unreadable> {
        self.check()?;
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(value) => Ok((*value).into()),
            Self::Int(value) => Ok((*value).into()),
            Self::Uint(value) => Ok((*value).into()),
            Self::Float(value) => Number::from_f64(*value)
                .map(Value::Number)
                .ok_or(Unreadable::NotFinite),
            Self::Text(text) => Ok(text.as_ref().into()),
            Self::Json(value) => Ok(value.as_ref().clone()),
            Self::GoFeatureFlag(attribute) => Ok(Value::Object(attribute.to_map())),
            Self::Unreadable(why) => Err(*why),
        }
    }

    /// The members, if the attribute is a JSON object. Of the enriched `gofeatureflag` attribute,
    /// the caller's own members.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Json(value) => value.as_object(),
            Self::GoFeatureFlag(attribute) => attribute.siblings.as_deref(),
            _ => None,
        }
    }

    /// Like [`as_map`](Self::as_map), for as long as the context is borrowed.
    #[must_use]
    pub fn into_map(self) -> Option<Cow<'a, Map<String, Value>>> {
        match self {
            Self::Json(Cow::Borrowed(Value::Object(map))) => Some(Cow::Borrowed(map)),
            Self::Json(Cow::Owned(Value::Object(map))) => Some(Cow::Owned(map)),
            Self::GoFeatureFlag(attribute) => attribute.siblings,
            _ => None,
        }
    }
}

/// The `gofeatureflag` attribute after enrichment: the caller's own members, and this client's
/// exporter metadata as `exporterMetadata`.
///
/// *Specification*: GOFF-CTX-006, GOFF-CTX-007.
#[derive(Debug, Clone)]
pub struct GoFeatureFlagRef<'a> {
    /// The caller's own members, such as `flagList` and `currentDateTime`; an `exporterMetadata`
    /// among them is ignored.
    pub siblings: Option<Cow<'a, Map<String, Value>>>,
    /// This client's exporter metadata.
    pub exporter_metadata: &'a ExporterMetadata,
}

impl GoFeatureFlagRef<'_> {
    fn is_too_deep(&self) -> bool {
        let mut members = self.siblings.iter().flat_map(|siblings| siblings.values());
        members.any(is_too_deep)
    }

    /// Copies the whole attribute into one map.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        let mut map = self.siblings.as_deref().cloned().unwrap_or_default();
        map.insert(
            EXPORTER_METADATA.to_owned(),
            Value::Object(self.exporter_metadata.as_map().clone()),
        );
        map
    }
}

/// The attribute with the members that GO Feature Flag reads.
pub const GOFEATUREFLAG: &str = "gofeatureflag";
/// The member of [`GOFEATUREFLAG`] that this client writes.
pub const EXPORTER_METADATA: &str = "exporterMetadata";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn unreadable(attribute: &Attribute) -> Option<Unreadable> {
        match attribute.to_ref() {
            AttributeRef::Unreadable(why) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn scalar_inside_json_equals_the_scalar() {
        assert_eq!(Attribute::from(json!(1)), Attribute::from(1));
        assert_eq!(Attribute::from(json!(1.0)), Attribute::from(1.0));
        assert_ne!(Attribute::from(json!(1.0)), Attribute::from(1));
        assert_eq!(Attribute::from(json!("a")), Attribute::from("a"));
        assert_eq!(Attribute::from(json!(u64::MAX)), Attribute::from(u64::MAX));
        assert_eq!(Attribute::from(7_u64), Attribute::from(7_i8));
        assert_eq!(Attribute::from(None::<bool>), Attribute::from(Value::Null));
        let list = Attribute::from(json!(["a", "b"]));
        assert_eq!(Attribute::from_serialize(vec!["a", "b"]), list);
    }

    #[test]
    fn texts_numbers_and_lists_of_them_are_attributes() {
        let text = "a".to_owned();
        for attribute in [
            Attribute::from(&text),
            Attribute::from(Cow::Borrowed("a")),
            Attribute::from(text.clone().into_boxed_str()),
            Attribute::from(Some(&text)),
        ] {
            assert_eq!(attribute, Attribute::from("a"));
        }
        assert_eq!(Attribute::from(7_usize), Attribute::from(7));
        assert_eq!(Attribute::from(-7_isize), Attribute::from(-7));
        assert_eq!(Attribute::from(usize::MAX), Attribute::from(u64::MAX));
        assert_eq!(
            Attribute::from(None::<&String>),
            Attribute::from(Value::Null)
        );
        let texts = vec!["a", "b"];
        for attribute in [
            Attribute::from(["a", "b"]),
            Attribute::from(&["a".to_owned(), "b".to_owned()]),
            Attribute::from(texts.as_slice()),
            Attribute::from(&texts),
            texts.iter().copied().collect(),
        ] {
            assert_eq!(attribute, Attribute::from(json!(["a", "b"])));
        }
        let mixed = vec![Some(1_u8), None];
        assert_eq!(Attribute::from(mixed), Attribute::from(json!([1, null])));
        assert_eq!(Attribute::from([[1.5]]), Attribute::from(json!([[1.5]])));
    }

    /// The stack of a test has 2 MiB, which the recursion of the copy or of the hash would overflow.
    #[test]
    fn deep_json_is_unreadable_wherever_it_comes_from() {
        let deep = |levels| (0..levels).fold(json!(1), |value, _| Value::Array(vec![value]));
        for levels in [513, 10_000] {
            let map = Map::from_iter([("a".to_owned(), deep(levels))]);
            for attribute in [
                Attribute::from(deep(levels)),
                Attribute::from(vec![deep(levels)]),
                Attribute::from(map),
                AttributeRef::Json(Cow::Owned(deep(levels))).to_attribute(),
            ] {
                assert_eq!(unreadable(&attribute), Some(Unreadable::TooDeep));
            }
        }
        assert_eq!(unreadable(&Attribute::from(deep(512))), None);
    }

    #[test]
    fn numbers_that_are_not_finite_are_unreadable() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for attribute in [
                Attribute::from(bad),
                Attribute::from_serialize(Some(vec![bad])),
                Attribute::from(vec![1.0, bad]),
                Attribute::from([Some(bad)]),
                Attribute::from_serialize(HashMap::from([("deep", vec![Some(bad)])])),
            ] {
                assert_eq!(unreadable(&attribute), Some(Unreadable::NotFinite));
            }
            assert_eq!(
                AttributeRef::Float(bad).to_json(),
                Err(Unreadable::NotFinite)
            );
        }
    }

    #[test]
    fn attribute_keeps_its_json_value() {
        let values = json!([null, true, -7, u64::MAX, 1.5, "text", [1, null], {"a": [1.0]}]);
        for value in values.as_array().unwrap() {
            let borrowed = AttributeRef::Json(Cow::Borrowed(value));
            assert_eq!(borrowed.to_json().as_ref(), Ok(value));
            let owned = Attribute::from(value.clone());
            assert_eq!(owned.to_ref().to_json().as_ref(), Ok(value));
        }
    }

    #[test]
    fn maps_without_string_keys_are_unreadable() {
        let attribute = Attribute::from_serialize(HashMap::from([(vec![1], 2)]));
        assert_eq!(unreadable(&attribute), Some(Unreadable::NotJson));
    }
}
