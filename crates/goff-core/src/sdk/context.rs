//! The SDK's evaluation context as a [`ContextView`].

use std::borrow::Cow;
use std::ops::ControlFlow;

use open_feature::{EvaluationContext, EvaluationContextFieldValue};

use crate::context::{Attribute, AttributeRef, ContextView, Unreadable, date_text};
use crate::sdk::GoFeatureFlagAttribute;
use crate::sdk::opaque::opaque_ref;

/// Of the opaque types inside `EvaluationContextFieldValue::Struct` these are read:
/// `serde_json::Value` and `Map<String, Value>`, the SDK's `Value` and `StructValue`,
/// `Vec<String>`, and [`Attribute`], which [`Attribute::from_serialize`] makes of any serializable
/// value. Any other is `INVALID_CONTEXT`, naming the attribute.
impl ContextView for EvaluationContext {
    fn targeting_key(&self) -> Option<&str> {
        self.targeting_key.as_deref()
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        self.custom_fields.get(name).map(field_ref)
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.custom_fields
            .iter()
            .try_for_each(|(name, field)| visitor(name, field_ref(field)))
    }
}

/// A field of the SDK's context as an attribute.
fn field_ref(field: &EvaluationContextFieldValue) -> AttributeRef<'_> {
    match field {
        EvaluationContextFieldValue::Bool(value) => AttributeRef::Bool(*value),
        EvaluationContextFieldValue::Int(value) => AttributeRef::Int(*value),
        EvaluationContextFieldValue::Float(value) if value.is_finite() => {
            AttributeRef::Float(*value)
        }
        EvaluationContextFieldValue::Float(_) => AttributeRef::Unreadable(Unreadable::NotFinite),
        EvaluationContextFieldValue::String(text) => AttributeRef::Text(Cow::Borrowed(text)),
        EvaluationContextFieldValue::DateTime(date) => date_text(*date)
            .map_or_else(AttributeRef::Unreadable, |text| {
                AttributeRef::Text(Cow::Owned(text))
            }),
        EvaluationContextFieldValue::Struct(opaque) => {
            match opaque.downcast_ref::<GoFeatureFlagAttribute>() {
                Some(goff) => AttributeRef::GoFeatureFlag(goff.to_ref()),
                None => opaque_ref(&**opaque),
            }
        }
    }
}

impl From<Attribute> for EvaluationContextFieldValue {
    fn from(attribute: Attribute) -> Self {
        Self::new_struct(attribute)
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use open_feature::{StructValue, Value as SdkValue};
    use serde_json::{Value, json};
    use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

    use super::*;
    use crate::context::{canonical_hash, write_flat_form, write_nested_form};
    use crate::{ContextError, EvaluationContext as NativeContext};

    fn with(field: impl Into<EvaluationContextFieldValue>) -> EvaluationContext {
        EvaluationContext::default().with_custom_field("field", field)
    }

    fn opaque<T: Any + Send + Sync>(value: T) -> EvaluationContext {
        with(EvaluationContextFieldValue::new_struct(value))
    }

    fn date(year: i32, hour: u8, offset: i8) -> OffsetDateTime {
        Date::from_calendar_date(year, Month::March, 1)
            .unwrap()
            .with_time(Time::from_hms(hour, 2, 3).unwrap())
            .assume_offset(UtcOffset::from_hms(offset, 0, 0).unwrap())
    }

    fn written(context: &EvaluationContext) -> Result<Value, ContextError> {
        let mut out = Vec::new();
        write_flat_form(context, &mut out)?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    fn refused(context: &EvaluationContext, reason: Unreadable) {
        let error = written(context).unwrap_err();
        assert_eq!((error.attribute.as_str(), error.reason), ("field", reason));
        let copy = NativeContext::from_view(context);
        assert_eq!(canonical_hash(context).unwrap_err(), error);
        assert_eq!(canonical_hash(&copy).unwrap_err(), error);
    }

    /// The SDK's own values and `serde_json`'s, behind its opaque fields.
    #[test]
    fn deep_values_are_refused() {
        let deep = || (0..10_000).fold(json!(1), |value, _| Value::Array(vec![value]));
        let map = serde_json::Map::from_iter([("a".to_owned(), deep())]);
        let sdk = (0..2_000).fold(SdkValue::Int(1), |value, _| SdkValue::Array(vec![value]));
        for context in [opaque(deep()), opaque(map), opaque(sdk)] {
            refused(&context, Unreadable::TooDeep);
        }
    }

    /// docs/python-parity.md D5: dates are RFC 3339 in UTC, opaque types come from a closed list.
    #[test]
    fn readable_field_has_one_json_form() {
        let structure = StructValue::default()
            .with_field("size", 120)
            .with_field("tags", vec!["a", "b"])
            .with_field("rate", 1.5);
        let structure_json = json!({"size": 120, "tags": ["a", "b"], "rate": 1.5});
        let map = json!({"a": 1});
        let list = vec![1.into(), "x".into()];
        let texts = vec!["a".to_owned(), "b".to_owned()];
        for (context, expected) in [
            (with(true), json!(true)),
            (with(30), json!(30)),
            (with(3.0), json!(3.0)),
            (with("text"), json!("text")),
            (with(date(2026, 0, 2)), json!("2026-02-28T22:02:03Z")),
            (opaque(json!({"a": [1, null]})), json!({"a": [1, null]})),
            (opaque(json!("scalar")), json!("scalar")),
            (opaque(map.as_object().unwrap().clone()), map),
            (opaque(structure.clone()), structure_json.clone()),
            (opaque(SdkValue::Struct(structure)), structure_json),
            (opaque(SdkValue::Array(list)), json!([1, "x"])),
            (opaque(SdkValue::Int(7)), json!(7)),
            (opaque(texts), json!(["a", "b"])),
            (with(Attribute::from_serialize(vec![1, 2])), json!([1, 2])),
            (with(Attribute::from_serialize("text")), json!("text")),
        ] {
            assert_eq!(written(&context).unwrap(), json!({"field": expected}));
            // The copy in a cache equals the context, and so does a native one.
            let copy = NativeContext::from_view(&context);
            let native = NativeContext::builder().attribute("field", expected.clone());
            for equal in [copy, native.build()] {
                assert!(equal.is_same(&context), "{expected}");
                let hashes = (
                    canonical_hash(&equal).unwrap(),
                    canonical_hash(&context).unwrap(),
                );
                assert_eq!(hashes.0, hashes.1, "{expected}");
            }
        }
    }

    #[test]
    fn field_is_found_by_name() {
        for count in [1_i64, 10, 14, 15, 100] {
            let context = (0..count).fold(EvaluationContext::default(), |context, n| {
                context.with_custom_field(format!("field-{n}"), n)
            });
            for n in 0..count {
                let field = context.attribute(&format!("field-{n}")).unwrap();
                assert_eq!(field, Attribute::from(n));
            }
            for name in ["", "field", "field-x", "field-1000"] {
                assert!(context.attribute(name).is_none(), "{name}");
            }
        }
    }

    #[test]
    fn error_names_an_unreadable_field_without_its_value() {
        #[derive(Debug)]
        struct Opaque(#[expect(dead_code, reason = "only its type matters")] &'static str);
        refused(&opaque(Opaque("secret")), Unreadable::UnknownType);
        for context in [
            with(f64::NAN),
            with(f64::INFINITY),
            with(Attribute::from_serialize(f64::NAN)),
            opaque(SdkValue::Array(vec![f64::NAN.into()])),
            opaque(StructValue::default().with_field("a", f64::INFINITY)),
            opaque(SdkValue::Float(f64::NAN)),
        ] {
            refused(&context, Unreadable::NotFinite);
        }
        refused(&with(date(-5, 0, 0)), Unreadable::NotADate);
        let message = written(&opaque(Opaque("secret"))).unwrap_err().to_string();
        assert!(!message.contains("secret"));
        assert!(message.contains("`Attribute::from_serialize`"));
    }

    #[test]
    fn sdk_and_native_contexts_with_the_same_content_are_equal() {
        let sdk = EvaluationContext::default()
            .with_targeting_key("user-1")
            .with_custom_field("age", 30)
            .with_custom_field("rate", 3.25)
            .with_custom_field("pro", true)
            .with_custom_field("name", "john");
        let native = NativeContext::builder()
            .targeting_key("user-1")
            .attribute("name", "john")
            .attribute("pro", true)
            .attribute("age", 30)
            .attribute("rate", 3.25);
        let same = native.clone().build();
        assert!(same.is_same(&sdk));
        assert_eq!(canonical_hash(&same), canonical_hash(&sdk));
        assert!(!native.clone().attribute("age", 30.0).build().is_same(&sdk));
        assert!(!native.attribute("more", 1).build().is_same(&sdk));
        let mut out = Vec::new();
        write_nested_form(&sdk, &mut out).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&out).unwrap(),
            json!({"key": "user-1",
                "custom": {"age": 30, "rate": 3.25, "pro": true, "name": "john"}})
        );
    }
}
