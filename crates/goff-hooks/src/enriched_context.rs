//! Enrichment without a hook: a view over a context.

use std::fmt;
use std::ops::ControlFlow;

use goff_core::__internal::GoFeatureFlagRef;
use goff_core::{
    AttributeRef, ContextError, ContextView, EvaluationContext, ExporterMetadata, GOFEATUREFLAG,
};

/// A context with this client's exporter metadata in its `gofeatureflag` attribute. Everything is
/// read from the context beneath; siblings such as `flagList` and `currentDateTime` stay, a
/// `gofeatureflag` that is no map is replaced (GOFF-CTX-006 to -009).
#[derive(Clone, Copy)]
pub struct Enriched<'a> {
    context: &'a dyn ContextView,
    exporter_metadata: &'a ExporterMetadata,
}

impl<'a> Enriched<'a> {
    /// Looks at `context` with `exporter_metadata` added.
    #[must_use]
    pub fn new(context: &'a dyn ContextView, exporter_metadata: &'a ExporterMetadata) -> Self {
        Self {
            context,
            exporter_metadata,
        }
    }

    fn goff(&self, existing: Option<AttributeRef<'a>>) -> AttributeRef<'a> {
        AttributeRef::GoFeatureFlag(GoFeatureFlagRef {
            siblings: existing.and_then(AttributeRef::into_map),
            exporter_metadata: self.exporter_metadata,
        })
    }
}

impl ContextView for Enriched<'_> {
    fn targeting_key(&self) -> Option<&str> {
        self.context.targeting_key()
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        let existing = self.context.attribute(name);
        if name == GOFEATUREFLAG {
            Some(self.goff(existing))
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
        visitor(
            GOFEATUREFLAG,
            self.goff(self.context.attribute(GOFEATUREFLAG)),
        )
    }

    /// Exporter metadata is no part of the hash, so it is that of the context beneath.
    fn canonical_hash(&self) -> Result<u64, ContextError> {
        self.context.canonical_hash()
    }

    /// Exporter metadata aside, it shows what the context beneath shows.
    fn built(&self) -> Option<&EvaluationContext> {
        self.context.built()
    }

    fn without_exporter_metadata(&self) -> Option<&dyn ContextView> {
        Some(self.context)
    }
}

impl fmt::Debug for Enriched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enriched")
            .field("exporter_metadata", &self.exporter_metadata)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use goff_core::__internal::{CacheKeyRef, write_flat_form};
    use serde_json::{Value, json};

    use super::*;

    fn written(view: &dyn ContextView) -> Value {
        let mut out = Vec::new();
        write_flat_form(view, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn reserved() -> Value {
        json!({"provider": "rust", "openfeature": true})
    }

    /// GOFF-CTX-006 to GOFF-CTX-009.
    #[test]
    fn adds_exporter_metadata_and_keeps_everything_else() {
        let metadata = ExporterMetadata::default();
        let date = "2026-01-01T00:00:00Z";
        for (existing, expected) in [
            (None, json!({"exporterMetadata": reserved()})),
            (
                Some(json!("no map")),
                json!({"exporterMetadata": reserved()}),
            ),
            (
                Some(json!({"flagList": ["a"], "currentDateTime": date, "exporterMetadata": 1})),
                json!({"flagList": ["a"], "currentDateTime": date, "exporterMetadata": reserved()}),
            ),
        ] {
            let mut builder = EvaluationContext::builder()
                .targeting_key("user-1")
                .attribute("age", 30);
            if let Some(existing) = existing {
                builder = builder.attribute(GOFEATUREFLAG, existing);
            }
            let context = builder.build();
            let enriched = Enriched::new(&context, &metadata);
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

    /// GOFF-CACHE-004: enriching does not change what makes evaluations the same.
    #[test]
    fn key_of_the_enriched_context_is_that_of_the_context() {
        let metadata = ExporterMetadata::default();
        let context = EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("age", 30)
            .build();
        let plain = CacheKeyRef::new("flag", &context).unwrap().to_owned_key();
        let enriched = Enriched::new(&context, &metadata);
        let key = CacheKeyRef::new("flag", &enriched).unwrap();
        assert!(key.matches(&plain));
        assert!(
            CacheKeyRef::new("flag", &context)
                .unwrap()
                .matches(&key.to_owned_key())
        );
    }
    /// What the caller's own `gofeatureflag` holds counts through the enrichment too.
    #[test]
    fn own_members_decide_through_the_enrichment() {
        let metadata = ExporterMetadata::default();
        let contexts: Vec<_> = [
            json!(null),
            json!({"currentDateTime": "2026-01-01T00:00:00Z"}),
            json!({"currentDateTime": "2026-01-02T00:00:00Z", "exporterMetadata": {"a": 1}}),
        ]
        .into_iter()
        .map(|goff| {
            EvaluationContext::builder()
                .targeting_key("user-1")
                .attribute("age", 30)
                .attribute(GOFEATUREFLAG, goff)
                .build()
        })
        .collect();
        for (i, left) in contexts.iter().enumerate() {
            for (j, right) in contexts.iter().enumerate() {
                let right = Unbuilt(Enriched::new(right, &metadata));
                assert_eq!(left.is_same(&right), i == j, "{left:?} and {right:?}");
            }
        }
    }

    /// A view that has to be read, as one of the SDK's contexts has.
    #[derive(Debug)]
    struct Unbuilt<'a>(Enriched<'a>);

    impl ContextView for Unbuilt<'_> {
        fn targeting_key(&self) -> Option<&str> {
            self.0.targeting_key()
        }

        fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
            self.0.attribute(name)
        }

        fn visit<'s>(
            &'s self,
            visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
        ) -> ControlFlow<()> {
            self.0.visit(visitor)
        }

        fn without_exporter_metadata(&self) -> Option<&dyn ContextView> {
            self.0.without_exporter_metadata()
        }
    }
}
