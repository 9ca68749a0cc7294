//! One attribute of an evaluation context: owned, or read in place.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::context::ExporterMetadata;
use crate::context::finite::has_only_finite_numbers;

/// An attribute of an [`EvaluationContext`](crate::EvaluationContext): any JSON value, or the
/// reason why it can be none.
///
/// Made by `From` from what Rust programs hold, or by [`from_serialize`](Self::from_serialize) from anything serializable.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute(Repr);

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
    /// Makes an attribute of any serializable value: for the native context and, behind the
    /// feature `open-feature`, for a `Struct` field of the SDK's context.
    ///
    /// A value that JSON cannot hold (NaN, infinities, maps with non-string keys) is kept as
    /// unreadable: evaluations with this context fail with `INVALID_CONTEXT` and name the
    /// attribute.
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
        if !has_only_finite_numbers(&value) {
            return Self(Repr::Unreadable(Unreadable::NotFinite));
        }
        match serde_json::to_value(value) {
            Ok(value) => value.into(),
            Err(_) => Self(Repr::Unreadable(Unreadable::NotJson)),
        }
    }

    /// The attribute, read in place.
    #[must_use]
    pub fn to_ref(&self) -> AttributeRef<'_> {
        match &self.0 {
            Repr::Null => AttributeRef::Null,
            Repr::Bool(value) => AttributeRef::Bool(*value),
            Repr::Int(value) => AttributeRef::Int(*value),
            Repr::Uint(value) => AttributeRef::Uint(*value),
            Repr::Float(value) => AttributeRef::Float(*value),
            Repr::Text(text) => AttributeRef::Text(Cow::Borrowed(text)),
            Repr::Json(value) => AttributeRef::Json(value),
            Repr::Unreadable(why) => AttributeRef::Unreadable(*why),
        }
    }

    /// Whether both are the same, where both are of one and the same usual kind.
    #[inline]
    pub(crate) fn is_same_scalar(&self, other: &AttributeRef<'_>) -> Option<bool> {
        match (&self.0, other) {
            (Repr::Text(own), AttributeRef::Text(other)) => Some(**own == **other),
            (Repr::Int(own), AttributeRef::Int(other)) => Some(own == other),
            (Repr::Bool(own), AttributeRef::Bool(other)) => Some(own == other),
            (Repr::Float(own), AttributeRef::Float(other)) => {
                Some(own.to_bits() == other.to_bits())
            }
            _ => None,
        }
    }
}

impl From<Value> for Attribute {
    fn from(value: Value) -> Self {
        Self(match value {
            Value::Null => Repr::Null,
            Value::Bool(value) => Repr::Bool(value),
            Value::Number(number) => return number_ref(&number).to_attribute(),
            Value::String(text) => Repr::Text(text.into()),
            Value::Array(_) | Value::Object(_) => Repr::Json(value),
        })
    }
}

impl From<Map<String, Value>> for Attribute {
    fn from(map: Map<String, Value>) -> Self {
        Self(Repr::Json(Value::Object(map)))
    }
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self(Repr::Text(text.into()))
    }
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self(Repr::Bool(value))
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

macro_rules! from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Attribute {
            fn from(value: $integer) -> Self {
                Self(Repr::Int(value.into()))
            }
        }
    )*};
}

from_integer!(i8, i16, i32, i64, u8, u16, u32);

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        f64::from(value).into()
    }
}

impl<T: Into<Value>> From<Vec<T>> for Attribute {
    fn from(list: Vec<T>) -> Self {
        Self(Repr::Json(Value::Array(
            list.into_iter().map(Into::into).collect(),
        )))
    }
}

impl<T: Into<Self>> From<Option<T>> for Attribute {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(Repr::Null), Into::into)
    }
}

/// An attribute as a [`ContextView`](crate::ContextView) hands it out, without copying it.
///
/// Whoever implements a view may use the variant nearest to what it holds; a scalar inside
/// [`Json`](Self::Json) is the same attribute as the scalar itself.
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
    /// A string; owned only where there was no string to borrow, as for a date.
    Text(Cow<'a, str>),
    /// Any JSON value.
    Json(&'a Value),
    /// A JSON object.
    Map(&'a Map<String, Value>),
    /// A list of strings.
    Texts(&'a [String]),
    /// A structure of the OpenFeature SDK.
    #[cfg(feature = "open-feature")]
    SdkStruct(&'a open_feature::StructValue),
    /// A value of the OpenFeature SDK.
    #[cfg(feature = "open-feature")]
    SdkValue(&'a open_feature::Value),
    /// The enriched `gofeatureflag` attribute.
    #[doc(hidden)]
    GoFeatureFlag(GoFeatureFlagRef<'a>),
    /// An attribute that no JSON value stands for.
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
            Self::Json(value) => (*value).clone().into(),
            Self::Map(map) => (*map).clone().into(),
            Self::Texts(texts) => texts.to_vec().into(),
            #[cfg(feature = "open-feature")]
            Self::SdkStruct(fields) => crate::sdk::struct_to_json(fields)
                .map_or_else(|why| Attribute(Repr::Unreadable(why)), Into::into),
            #[cfg(feature = "open-feature")]
            Self::SdkValue(value) => crate::sdk::value_to_json(value)
                .map_or_else(|why| Attribute(Repr::Unreadable(why)), Into::into),
            Self::GoFeatureFlag(goff) => goff.to_map().into(),
            Self::Unreadable(why) => Attribute(Repr::Unreadable(*why)),
        }
    }

    /// The attribute as a JSON value.
    ///
    /// # Errors
    /// Why there is none.
    pub fn to_json(&self) -> Result<Value, Unreadable> {
        match self {
            Self::Null => Ok(Value::Null),
            Self::Bool(value) => Ok((*value).into()),
            Self::Int(value) => Ok((*value).into()),
            Self::Uint(value) => Ok((*value).into()),
            Self::Float(value) => Number::from_f64(*value)
                .map(Value::Number)
                .ok_or(Unreadable::NotFinite),
            Self::Text(text) => Ok(text.as_ref().into()),
            Self::Json(value) => Ok((*value).clone()),
            Self::Map(map) => Ok(Value::Object((*map).clone())),
            Self::Texts(texts) => Ok((*texts).into()),
            #[cfg(feature = "open-feature")]
            Self::SdkStruct(fields) => crate::sdk::struct_to_json(fields).map(Value::Object),
            #[cfg(feature = "open-feature")]
            Self::SdkValue(value) => crate::sdk::value_to_json(value),
            Self::GoFeatureFlag(goff) => Ok(Value::Object(goff.to_map())),
            Self::Unreadable(why) => Err(*why),
        }
    }

    /// The attribute as a map of JSON values, where it is one; copied only out of SDK types.
    #[must_use]
    pub fn into_map(self) -> Option<Cow<'a, Map<String, Value>>> {
        match self {
            Self::Json(Value::Object(map)) | Self::Map(map) => Some(Cow::Borrowed(map)),
            #[cfg(feature = "open-feature")]
            Self::SdkStruct(fields) | Self::SdkValue(open_feature::Value::Struct(fields)) => {
                crate::sdk::struct_to_json(fields).ok().map(Cow::Owned)
            }
            Self::GoFeatureFlag(goff) => goff.siblings,
            _ => None,
        }
    }
}

pub(crate) fn number_ref<'a>(number: &Number) -> AttributeRef<'a> {
    if let Some(int) = number.as_i64() {
        AttributeRef::Int(int)
    } else if let Some(uint) = number.as_u64() {
        AttributeRef::Uint(uint)
    } else {
        AttributeRef::Float(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// The `gofeatureflag` attribute once it is enriched: what the caller put there, with this
/// client's exporter metadata as `exporterMetadata` (GOFF-CTX-006, GOFF-CTX-007).
#[derive(Debug, Clone)]
pub struct GoFeatureFlagRef<'a> {
    /// The caller's own members, such as `flagList` and `currentDateTime`; `exporterMetadata`
    /// among them is not used.
    pub siblings: Option<Cow<'a, Map<String, Value>>>,
    /// This client's exporter metadata.
    pub exporter_metadata: &'a ExporterMetadata,
}

impl GoFeatureFlagRef<'_> {
    /// The whole attribute as one map.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        let mut map = self
            .siblings
            .as_deref()
            .map_or_else(Map::new, |siblings| siblings.clone());
        map.insert(
            EXPORTER_METADATA.to_owned(),
            Value::Object(self.exporter_metadata.as_map().clone()),
        );
        map
    }
}

/// Why an attribute cannot be sent or read. It never shows the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// NaN or an infinity, which JSON has no form for.
    NotFinite,
    /// A date outside the years that RFC 3339 can write.
    NotADate,
    /// A value that serialises to no JSON.
    NotJson,
    /// An opaque type that this client does not know.
    UnknownType,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "holds NaN or an infinity, which JSON cannot",
            Self::NotADate => "is a date that RFC 3339 cannot write",
            Self::NotJson => "serialises to no JSON value",
            Self::UnknownType => {
                "is of a type this client cannot read; wrap it with `Attribute::from_serialize`"
            }
        })
    }
}

/// The attribute that carries what GO Feature Flag itself reads.
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
    fn scalars_inside_json_are_the_scalars_themselves() {
        assert_eq!(Attribute::from(json!(1)), Attribute::from(1));
        assert_eq!(Attribute::from(json!(1.0)), Attribute::from(1.0));
        assert_ne!(Attribute::from(json!(1.0)), Attribute::from(1));
        assert_eq!(Attribute::from(json!("a")), Attribute::from("a"));
        assert_eq!(Attribute::from(json!(u64::MAX)), Attribute::from(u64::MAX));
        assert_eq!(Attribute::from(7_u64), Attribute::from(7_i8));
        assert_eq!(Attribute::from(None::<bool>), Attribute::from(Value::Null));
        assert_eq!(
            Attribute::from_serialize(vec!["a", "b"]),
            Attribute::from(json!(["a", "b"]))
        );
    }

    #[test]
    fn numbers_json_cannot_hold_are_unreadable() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(
                unreadable(&Attribute::from(bad)),
                Some(Unreadable::NotFinite)
            );
            assert_eq!(
                unreadable(&Attribute::from_serialize(
                    json!({"a": 1}).as_object().map(|_| vec![bad])
                )),
                Some(Unreadable::NotFinite)
            );
            assert_eq!(
                unreadable(&Attribute::from_serialize(HashMap::from([(
                    "deep",
                    vec![Some(bad)]
                )]))),
                Some(Unreadable::NotFinite)
            );
        }
    }

    #[test]
    fn attribute_is_the_json_value_that_it_was_made_from() {
        for value in [
            json!(null),
            json!(true),
            json!(-7),
            json!(u64::MAX),
            json!(1.5),
            json!("text"),
            json!([1, null]),
            json!({"a": [1.0]}),
        ] {
            assert_eq!(AttributeRef::Json(&value).to_json(), Ok(value.clone()));
            assert_eq!(Attribute::from(value.clone()).to_ref().to_json(), Ok(value));
        }
        let texts = ["a".to_owned(), "b".to_owned()];
        assert_eq!(AttributeRef::Texts(&texts).to_json(), Ok(json!(["a", "b"])));
        for float in [f64::NAN, f64::INFINITY] {
            assert_eq!(
                AttributeRef::Float(float).to_json(),
                Err(Unreadable::NotFinite)
            );
        }
    }

    #[test]
    fn maps_without_string_keys_are_unreadable() {
        assert_eq!(
            unreadable(&Attribute::from_serialize(HashMap::from([(vec![1], 2)]))),
            Some(Unreadable::NotJson)
        );
    }
}
