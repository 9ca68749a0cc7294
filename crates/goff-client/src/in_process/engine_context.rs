//! The engine's view of a context.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

use goff_core::__internal::is_too_deep;
use goff_core::{AttributeRef, ContextView};
use goff_engine::{Attribute, Attributes};
use serde_json::Value;

/// Adapts a [`ContextView`] to goff-engine without a copy. The engine expects the targeting key
/// among the attributes.
///
/// *Specification*: GOFF-CTX-001, GOFF-CTX-002.
#[derive(Clone, Copy)]
pub struct EngineContext<'a>(pub &'a dyn ContextView);

impl Attributes for EngineContext<'_> {
    fn targeting_key(&self) -> Option<&str> {
        self.0.targeting_key().or_else(|| {
            // Without a targeting key, an attribute of that name serves as one.
            match self.0.attribute(TARGETING_KEY)? {
                AttributeRef::Text(Cow::Borrowed(key)) => Some(key),
                AttributeRef::Json(Cow::Borrowed(Value::String(key))) => Some(key),
                _ => None,
            }
        })
    }

    #[inline]
    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        // The targeting key wins over an attribute of its name (docs/python-parity.md C43).
        if name == TARGETING_KEY
            && let Some(key) = self.0.targeting_key()
        {
            return Some(Attribute::Str(key));
        }
        self.0.attribute(name).map(engine_attribute)
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        let key = self.0.targeting_key();
        if let Some(key) = key {
            visit(TARGETING_KEY, Attribute::Str(key));
        }
        let _ = self.0.visit(&mut |name, attribute| {
            if key.is_none() || name != TARGETING_KEY {
                visit(name, engine_attribute(attribute));
            }
            ControlFlow::Continue(())
        });
    }
}

impl fmt::Debug for EngineContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineContext").finish_non_exhaustive()
    }
}

#[inline]
fn engine_attribute(attribute: AttributeRef<'_>) -> Attribute<'_> {
    match attribute {
        AttributeRef::Null => Attribute::Null,
        AttributeRef::Bool(value) => Attribute::Bool(value),
        AttributeRef::Int(value) => Attribute::Int(value),
        AttributeRef::Float(value) => Attribute::Float(value),
        AttributeRef::Text(Cow::Borrowed(text)) => Attribute::Str(text),
        AttributeRef::Text(Cow::Owned(text)) => Attribute::Text(text.into()),
        AttributeRef::Json(Cow::Borrowed(value)) if !is_too_deep(value) => Attribute::Json(value),
        other => converted(&other),
    }
}

/// An attribute that cannot be borrowed, or not be read.
#[cold]
fn converted<'a>(attribute: &AttributeRef<'_>) -> Attribute<'a> {
    match attribute.to_json() {
        Ok(value) => Attribute::Owned(Box::new(value)),
        Err(_) => Attribute::Unreadable,
    }
}

const TARGETING_KEY: &str = "targetingKey";

#[cfg(test)]
mod tests {
    use goff_core::EvaluationContext;
    use goff_engine::{Flag, FlagContext, Timestamp};
    use serde_json::json;

    use super::*;

    fn matches(query: &str, context: &dyn ContextView) -> bool {
        let flag = json!({
            "variations": {"yes": true, "no": false},
            "targeting": [{"query": query, "variation": "yes"}],
            "defaultRule": {"variation": "no"},
        });
        let flag = Flag::from_json("flag", flag.to_string().as_bytes());
        let flag_context = FlagContext::default();
        let now = Timestamp::from_unix_seconds(0);
        let context = EngineContext(context);
        *flag.evaluate(&context, &flag_context, now).value == Value::Bool(true)
    }

    /// GOFF-CTX-001, GOFF-CTX-002, GOFF-CTX-004: flat attributes beside the key, whole floats as
    /// integers.
    #[test]
    fn engine_sees_key_and_attributes_flat() {
        let context = EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("targetingKey", "another-user")
            .attribute("plan", "pro")
            .attribute("beta", true)
            .attribute("age", 30.0)
            .attribute("company", json!({"name": "Exämple", "size": 120}))
            .build();
        for query in [
            r#"targetingKey eq "user-1""#,
            r#"key eq "user-1""#,
            r#"plan eq "pro""#,
            "beta eq true",
            "age eq 30",
            r#"company.name eq "Exämple""#,
            r#"{"==": [{"var": "company.size"}, 120]}"#,
            r#"{"==": [{"var": "targetingKey"}, "user-1"]}"#,
        ] {
            assert!(matches(query, &context), "{query}");
        }
        assert!(!matches(r#"plan eq "free""#, &context));
    }

    #[test]
    fn attribute_stands_in_for_a_missing_key() {
        let context = EvaluationContext::builder()
            .attribute("targetingKey", "from-attributes")
            .build();
        assert!(matches(r#"targetingKey eq "from-attributes""#, &context));
    }
}
