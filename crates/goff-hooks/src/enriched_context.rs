//! Enrichment without a hook.

use std::fmt;
use std::ops::ControlFlow;

use goff_core::__internal::GoFeatureFlagRef;
use goff_core::{AttributeRef, ContextView, ExporterMetadata, GOFEATUREFLAG};

/// A view over a context that adds exporter metadata to the `gofeatureflag` attribute. Other
/// members of the attribute, such as `flagList` and `currentDateTime`, stay; an attribute that is
/// not a map is replaced.
///
/// *Specification*: GOFF-CTX-006 to -009.
#[derive(Clone, Copy)]
pub struct EnrichedContext<'a> {
    context: &'a dyn ContextView,
    exporter_metadata: &'a ExporterMetadata,
}

impl<'a> EnrichedContext<'a> {
    /// Creates a view over `context` with `exporter_metadata` added.
    #[must_use]
    pub fn new(context: &'a dyn ContextView, exporter_metadata: &'a ExporterMetadata) -> Self {
        Self {
            context,
            exporter_metadata,
        }
    }

    fn enriched(&self, existing: Option<AttributeRef<'a>>) -> AttributeRef<'a> {
        AttributeRef::GoFeatureFlag(GoFeatureFlagRef {
            siblings: existing.and_then(AttributeRef::into_map),
            exporter_metadata: self.exporter_metadata,
        })
    }
}

impl ContextView for EnrichedContext<'_> {
    fn targeting_key(&self) -> Option<&str> {
        self.context.targeting_key()
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        let existing = self.context.attribute(name);
        if name == GOFEATUREFLAG {
            Some(self.enriched(existing))
        } else {
            existing
        }
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.context.visit(&mut |name, attribute| {
            if name == GOFEATUREFLAG {
                ControlFlow::Continue(())
            } else {
                visitor(name, attribute)
            }
        })?;
        let enriched = self.enriched(self.context.attribute(GOFEATUREFLAG));
        visitor(GOFEATUREFLAG, enriched)
    }
}

impl fmt::Debug for EnrichedContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrichedContext")
            .field("exporter_metadata", &self.exporter_metadata)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use goff_core::__internal::{CacheKeyRef, write_flat_form};
    use goff_core::{EvaluationContext, EvaluationContextBuilder};
    use serde_json::{Value, json};

    use super::*;

    fn written(view: &dyn ContextView) -> Value {
        let mut out = Vec::new();
        write_flat_form(view, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn user() -> EvaluationContextBuilder {
        EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("age", 30)
    }

    fn reserved() -> Value {
        json!({"provider": "rust", "openfeature": true})
    }

    /// GOFF-CTX-006 to GOFF-CTX-009.
    #[test]
    fn adds_exporter_metadata_and_keeps_everything_else() {
        let metadata = ExporterMetadata::default();
        let date = "2026-01-01T00:00:00Z";
        let only = json!({"exporterMetadata": reserved()});
        for (existing, expected) in [
            (None, only.clone()),
            (Some(json!("no map")), only),
            (
                Some(json!({"flagList": ["a"], "currentDateTime": date, "exporterMetadata": 1})),
                json!({"flagList": ["a"], "currentDateTime": date, "exporterMetadata": reserved()}),
            ),
        ] {
            let mut builder = user();
            if let Some(existing) = existing {
                builder = builder.attribute(GOFEATUREFLAG, existing);
            }
            let context = builder.build();
            let enriched = EnrichedContext::new(&context, &metadata);
            assert_eq!(
                written(&enriched),
                json!({"targetingKey": "user-1", "age": 30, "gofeatureflag": expected})
            );
            let read = enriched.attribute(GOFEATUREFLAG).unwrap();
            assert_eq!(read, goff_core::Attribute::from(expected));
            assert!(enriched.attribute("age").is_some());
            assert!(enriched.attribute("other").is_none());
        }
    }

    /// GOFF-CACHE-004.
    #[test]
    fn enrichment_does_not_change_the_cache_key() {
        let metadata = ExporterMetadata::default();
        let context = user().build();
        let plain = CacheKeyRef::new("flag", &context)
            .unwrap()
            .to_owned_key(&context);
        let enriched = EnrichedContext::new(&context, &metadata);
        let key = CacheKeyRef::new("flag", &enriched).unwrap();
        assert!(key.matches(&plain));
        let key = key.to_owned_key(&enriched);
        assert!(CacheKeyRef::new("flag", &context).unwrap().matches(&key));
    }

    /// The members of the caller's `gofeatureflag` attribute are part of the comparison.
    #[test]
    fn members_of_the_callers_attribute_are_compared() {
        let metadata = ExporterMetadata::default();
        let contexts: Vec<_> = [
            json!(null),
            json!({"currentDateTime": "2026-01-01T00:00:00Z"}),
            json!({"currentDateTime": "2026-01-02T00:00:00Z", "exporterMetadata": {"a": 1}}),
        ]
        .into_iter()
        .map(|goff| user().attribute(GOFEATUREFLAG, goff).build())
        .collect();
        for (i, left) in contexts.iter().enumerate() {
            for (j, right) in contexts.iter().enumerate() {
                let right = EnrichedContext::new(right, &metadata);
                assert_eq!(left.is_same(&right), i == j, "{left:?} and {right:?}");
            }
        }
    }
}
