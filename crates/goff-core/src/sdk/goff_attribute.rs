//! The `gofeatureflag` attribute that this provider's hooks put into the SDK's context.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use open_feature::{EvaluationContext, EvaluationContextFieldValue};
use serde_json::{Map, Value};

use crate::context::{ExporterMetadata, GOFEATUREFLAG, GoFeatureFlagRef};
use crate::evaluation::OutcomeSlot;
use crate::sdk::field::{field, opaque_ref};

/// What the enrichment hook makes of the `gofeatureflag` attribute of one evaluation: the
/// caller's own members, this client's exporter metadata, and a slot through which the resolver
/// tells the data-collector hook how the evaluation ended.
///
/// Nothing is copied: the caller's members stay in the attribute that they came in. The slot is
/// left out of JSON and cache keys.
pub struct GoFeatureFlagAttribute {
    inherited: Option<Arc<dyn Any + Send + Sync>>,
    exporter_metadata: ExporterMetadata,
    slot: OutcomeSlot,
}

impl GoFeatureFlagAttribute {
    /// Enriches what the context holds under `gofeatureflag`, if anything. A value that is no map
    /// is replaced (GOFF-CTX-008).
    #[must_use]
    pub fn new(
        existing: Option<&EvaluationContextFieldValue>,
        exporter_metadata: ExporterMetadata,
    ) -> Self {
        let inherited = match existing {
            Some(EvaluationContextFieldValue::Struct(opaque)) => {
                match opaque.downcast_ref::<Self>() {
                    // Unwrapped, so that a context that goes round never grows.
                    Some(goff) => goff.inherited.clone(),
                    None => opaque_ref(&**opaque)
                        .into_map()
                        .is_some()
                        .then(|| Arc::clone(opaque)),
                }
            }
            _ => None,
        };
        Self {
            inherited,
            exporter_metadata,
            slot: OutcomeSlot::default(),
        }
    }

    /// The attribute in a context that an enrichment hook went over.
    #[must_use]
    pub fn find(context: &EvaluationContext) -> Option<&Self> {
        Self::of_field(field(context, GOFEATUREFLAG)?)
    }

    #[inline]
    fn of_field(field: &EvaluationContextFieldValue) -> Option<&Self> {
        match field {
            EvaluationContextFieldValue::Struct(opaque) => opaque.downcast_ref(),
            _ => None,
        }
    }

    /// The slot of this evaluation.
    #[must_use]
    pub fn slot(&self) -> &OutcomeSlot {
        &self.slot
    }

    /// The attribute as plain JSON, for a provider that does not know this type.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.to_ref().to_map())
    }

    pub(crate) fn to_ref(&self) -> GoFeatureFlagRef<'_> {
        GoFeatureFlagRef {
            siblings: self.siblings(),
            exporter_metadata: &self.exporter_metadata,
        }
    }

    fn siblings(&self) -> Option<Cow<'_, Map<String, Value>>> {
        opaque_ref(&**self.inherited.as_ref()?).into_map()
    }
}

impl fmt::Debug for GoFeatureFlagAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoFeatureFlagAttribute")
            .field("exporter_metadata", &self.exporter_metadata)
            .finish_non_exhaustive()
    }
}

impl From<GoFeatureFlagAttribute> for EvaluationContextFieldValue {
    fn from(attribute: GoFeatureFlagAttribute) -> Self {
        Self::new_struct(attribute)
    }
}

#[cfg(test)]
mod tests {
    use open_feature::StructValue;
    use serde_json::json;

    use super::*;
    use crate::context::write_flat_form;
    use crate::evaluation::{Origin, Outcome};
    use crate::{ContextView, EvaluationContext as OwnContext};

    fn enriched(existing: Option<EvaluationContextFieldValue>) -> EvaluationContext {
        EvaluationContext::default().with_custom_field(
            GOFEATUREFLAG,
            GoFeatureFlagAttribute::new(existing.as_ref(), ExporterMetadata::default()),
        )
    }

    fn written(context: &EvaluationContext) -> Value {
        let mut out = Vec::new();
        write_flat_form(context, &mut out).unwrap();
        let mut value: Value = serde_json::from_slice(&out).unwrap();
        value["gofeatureflag"].take()
    }

    fn opaque<T: Any + Send + Sync>(value: T) -> Option<EvaluationContextFieldValue> {
        Some(EvaluationContextFieldValue::new_struct(value))
    }

    /// GOFF-CTX-006, GOFF-CTX-008, GOFF-CTX-009.
    #[test]
    fn siblings_are_kept_from_every_kind_of_map_and_anything_else_is_replaced() {
        let reserved = json!({"provider": "rust", "openfeature": true});
        let bare = json!({"exporterMetadata": reserved});
        let with_list = json!({"flagList": ["a"], "exporterMetadata": reserved});
        let map = json!({"flagList": ["a"], "exporterMetadata": {"theirs": 1}});
        for (existing, expected) in [
            (None, &bare),
            (opaque(map.clone()), &with_list),
            (opaque(map.as_object().unwrap().clone()), &with_list),
            (
                opaque(StructValue::default().with_field("flagList", vec!["a"])),
                &with_list,
            ),
            (
                opaque(crate::Attribute::from_serialize(json!({"flagList": ["a"]}))),
                &with_list,
            ),
            (Some("text".into()), &bare),
            (Some(1.into()), &bare),
            (opaque(json!(["list"])), &bare),
            (opaque(std::time::Duration::ZERO), &bare),
        ] {
            let context = enriched(existing);
            assert_eq!(written(&context), *expected);
            assert_eq!(
                GoFeatureFlagAttribute::find(&context).unwrap().to_json(),
                *expected
            );
        }
    }

    #[test]
    fn enriching_twice_is_enriching_once() {
        let once = enriched(opaque(json!({"flagList": ["a"]})));
        let twice = enriched(once.custom_fields.get(GOFEATUREFLAG).cloned());
        assert_eq!(written(&once), written(&twice));
    }

    #[test]
    fn slot_and_exporter_metadata_are_no_part_of_the_key() {
        let plain = EvaluationContext::default();
        let context = enriched(None);
        GoFeatureFlagAttribute::find(&context)
            .unwrap()
            .slot()
            .fill(Outcome {
                flag_key: "flag".into(),
                result: Ok(Arc::default()),
                origin: Origin::Relay,
            });
        assert_eq!(context.canonical_hash(), plain.canonical_hash());
        assert!(OwnContext::from_view(&plain).is_same(&context));
        assert!(OwnContext::from_view(&context).is_same(&plain));
        let dated = enriched(opaque(json!({"currentDateTime": "2026-01-01T00:00:00Z"})));
        assert_ne!(dated.canonical_hash(), plain.canonical_hash());
        assert!(!OwnContext::from_view(&dated).is_same(&plain));
        assert!(OwnContext::from_view(&dated).is_same(&dated));
    }
}
