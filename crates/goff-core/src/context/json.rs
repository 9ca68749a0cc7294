//! The JSON forms of an evaluation context, written from a view.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::context::{AttributeRef, ContextError, ContextView, EXPORTER_METADATA, Unreadable};

/// Appends the form of the `/v1` endpoints to `out`: `{"key":"…","custom":{…}}`
/// (upstream `cmd/relayproxy/model/user_request.go`). Without a targeting key, `key` is empty.
///
/// # Errors
/// An attribute that cannot be read; `out` then contains an incomplete document.
pub fn write_nested_form(context: &dyn ContextView, out: &mut Vec<u8>) -> Result<(), ContextError> {
    out.extend_from_slice(br#"{"key":"#);
    write_json(context.targeting_key().unwrap_or_default(), out);
    out.extend_from_slice(br#","custom":{"#);
    write_attributes(context, Separator::None, out)?;
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Appends the form of OFREP and of tracking events to `out`: `{"targetingKey":"…",…}`, flat.
/// Without a targeting key the member is absent.
///
/// *Specification*: GOFF-CTX-001, GOFF-CTX-002.
///
/// # Errors
/// An attribute that cannot be read; `out` then contains an incomplete document.
pub fn write_flat_form(context: &dyn ContextView, out: &mut Vec<u8>) -> Result<(), ContextError> {
    out.push(b'{');
    let mut separator = Separator::None;
    if let Some(key) = context.targeting_key() {
        write_name(TARGETING_KEY, out);
        write_json(key, out);
        separator = Separator::Comma;
    }
    write_attributes(context, separator, out)?;
    out.push(b'}');
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Separator {
    None,
    Comma,
}

impl Separator {
    /// Writes the separator before the next member.
    fn next(&mut self, out: &mut Vec<u8>) {
        if *self == Self::Comma {
            out.push(b',');
        }
        *self = Self::Comma;
    }
}

fn write_attributes(
    context: &dyn ContextView,
    mut separator: Separator,
    out: &mut Vec<u8>,
) -> Result<(), ContextError> {
    let has_key = context.targeting_key().is_some();
    let mut failed = None;
    let _ = context.visit(&mut |name, attribute| {
        // The targeting key wins over an attribute of its name (docs/python-parity.md C43).
        if has_key && name == TARGETING_KEY {
            return ControlFlow::Continue(());
        }
        separator.next(out);
        write_name(name, out);
        match write_attribute(&attribute, out) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => {
                failed = Some(ContextError::new(name, reason));
                ControlFlow::Break(())
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

fn write_attribute(attribute: &AttributeRef<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    attribute.check()?;
    match attribute {
        AttributeRef::Null => out.extend_from_slice(b"null"),
        AttributeRef::Bool(value) => write_json(value, out),
        AttributeRef::Int(value) => write_json(value, out),
        AttributeRef::Uint(value) => write_json(value, out),
        AttributeRef::Float(value) => write_json(value, out),
        AttributeRef::Text(text) => write_json(text.as_ref(), out),
        AttributeRef::Json(value) => write_json(value.as_ref(), out),
        AttributeRef::GoFeatureFlag(goff) => {
            out.push(b'{');
            let mut separator = Separator::None;
            let siblings = goff.siblings.as_deref().into_iter().flat_map(Map::iter);
            for (name, value) in siblings.filter(|(name, _)| *name != EXPORTER_METADATA) {
                separator.next(out);
                write_name(name, out);
                write_json::<Value>(value, out);
            }
            separator.next(out);
            write_name(EXPORTER_METADATA, out);
            write_json(goff.exporter_metadata, out);
            out.push(b'}');
        }
        AttributeRef::Unreadable(why) => return Err(*why),
    }
    Ok(())
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    write_json(name, out);
    out.push(b':');
}

fn write_json<T: ?Sized + Serialize>(value: &T, out: &mut Vec<u8>) {
    // Writing to a `Vec` cannot fail, and the values here are scalars, strings and JSON.
    let _ = serde_json::to_writer(out, value);
}

const TARGETING_KEY: &str = "targetingKey";

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::context::{Attribute, EvaluationContext, ExporterMetadata, GoFeatureFlagRef};

    fn nested(context: &EvaluationContext) -> Value {
        let mut out = Vec::new();
        write_nested_form(context, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn flat(context: &EvaluationContext) -> Value {
        let mut out = Vec::new();
        write_flat_form(context, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    /// docs/python-parity.md C1: attributes, `anonymous` among them, are sent in `custom`.
    #[test]
    fn nested_form_contains_key_and_custom() {
        let context = EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("anonymous", true)
            .attribute("age", 30)
            .attribute("rate", 3.0)
            .attribute("nothing", None::<bool>)
            .attribute("labels", vec!["pro"])
            .attribute("company", json!({"size": 120}))
            .attribute("big", u64::MAX)
            .build();
        let custom = json!({
            "anonymous": true, "age": 30, "rate": 3.0, "nothing": null,
            "labels": ["pro"], "company": {"size": 120}, "big": u64::MAX,
        });
        assert_eq!(nested(&context), json!({"key": "user-1", "custom": custom}));
    }

    /// GOFF-CTX-001, GOFF-CTX-002, GOFF-CTX-003.
    #[test]
    fn flat_form_puts_attributes_beside_the_targeting_key() {
        let context = EvaluationContext::builder().targeting_key("user-1");
        let with_age = context.clone().attribute("age", 30).build();
        let empty = EvaluationContext::default();
        assert_eq!(flat(&context.build()), json!({"targetingKey": "user-1"}));
        assert_eq!(
            flat(&with_age),
            json!({"targetingKey": "user-1", "age": 30})
        );
        assert_eq!(flat(&empty), json!({}));
        assert_eq!(nested(&empty), json!({"key": "", "custom": {}}));
    }

    /// docs/python-parity.md C43.
    #[test]
    fn targeting_key_wins_over_an_attribute_of_that_name() {
        let context = EvaluationContext::builder().attribute("targetingKey", "attribute");
        let with_key = context.clone().targeting_key("real").build();
        assert_eq!(flat(&context.build()), json!({"targetingKey": "attribute"}));
        assert_eq!(flat(&with_key), json!({"targetingKey": "real"}));
    }

    #[test]
    fn unreadable_attribute_ends_the_writing() {
        let context = EvaluationContext::builder()
            .attribute("rate", f64::NAN)
            .build();
        let error = ContextError::new("rate", Unreadable::NotFinite);
        assert_eq!(
            write_nested_form(&context, &mut Vec::new()).unwrap_err(),
            error
        );
        assert_eq!(
            write_flat_form(&context, &mut Vec::new()).unwrap_err(),
            error
        );
    }

    /// GOFF-CTX-006, GOFF-CTX-007, GOFF-CTX-009.
    #[test]
    fn enriched_attribute_keeps_siblings_and_sets_exporter_metadata() {
        let metadata = ExporterMetadata::default();
        let siblings = json!({"flagList": ["a"], "exporterMetadata": {"old": 1}});
        let mut out = Vec::new();
        let goff = AttributeRef::GoFeatureFlag(GoFeatureFlagRef {
            siblings: siblings.as_object().map(Cow::Borrowed),
            exporter_metadata: &metadata,
        });
        write_attribute(&goff, &mut out).unwrap();
        let expected = json!({
            "flagList": ["a"],
            "exporterMetadata": {"provider": "rust", "openfeature": true},
        });
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        assert_eq!(goff.to_attribute(), Attribute::from(expected));
    }

    proptest! {
        #[test]
        fn forms_are_json_with_every_attribute(
            key in prop::option::of(".{0,8}"),
            attributes in prop::collection::btree_map(".{0,8}", any_scalar(), 0..6),
        ) {
            let mut builder = EvaluationContext::builder();
            for (name, value) in &attributes {
                builder = builder.attribute(name, value.clone());
            }
            if let Some(key) = &key {
                builder = builder.targeting_key(key);
            }
            let context = builder.build();
            let in_nested = key.clone().unwrap_or_default();
            prop_assert_eq!(nested(&context), json!({"key": in_nested, "custom": attributes}));
            let mut in_flat = attributes;
            in_flat.extend(key.map(|key| ("targetingKey".to_owned(), key.into())));
            prop_assert_eq!(flat(&context), json!(in_flat));
        }
    }

    fn any_scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ]
    }
}
