//! The `gofeatureflag` attribute in the SDK's context after enrichment.

use std::borrow::Cow;
use std::fmt;

use open_feature::{EvaluationContext, EvaluationContextFieldValue};
use serde_json::{Map, Value};

use crate::context::{ExporterMetadata, GOFEATUREFLAG, GoFeatureFlagRef};
use crate::evaluation::OutcomeSlot;
use crate::sdk::opaque::opaque_ref;

/// The `gofeatureflag` attribute of one evaluation: the caller's own members, this client's exporter
/// metadata, and a slot through which the resolver hands the outcome to the data collector hook.
///
/// The SDK gives a hook neither the trackability nor the version nor the origin of a result, hence
/// the slot. JSON and cache keys leave it out.
pub struct GoFeatureFlagAttribute {
    siblings: Option<Map<String, Value>>,
    exporter_metadata: ExporterMetadata,
    slot: OutcomeSlot,
}

impl GoFeatureFlagAttribute {
    /// Enriches the `gofeatureflag` field of a context. A value that is not a map is replaced.
    ///
    /// *Specification*: GOFF-CTX-008.
    #[must_use]
    pub fn new(
        existing: Option<&EvaluationContextFieldValue>,
        exporter_metadata: ExporterMetadata,
    ) -> Self {
        let siblings = match existing {
            Some(EvaluationContextFieldValue::Struct(opaque)) => {
                match opaque.downcast_ref::<Self>() {
                    // Enriched before: only the caller's own members are taken over.
                    Some(attribute) => attribute.siblings.clone(),
                    None => opaque_ref(&**opaque).into_map().map(Cow::into_owned),
                }
            }
            _ => None,
        };
        Self {
            siblings,
            exporter_metadata,
            slot: OutcomeSlot::default(),
        }
    }

    /// The attribute in an enriched context.
    #[must_use]
    pub fn find(context: &EvaluationContext) -> Option<&Self> {
        match context.custom_fields.get(GOFEATUREFLAG)? {
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
            siblings: self.siblings.as_ref().map(Cow::Borrowed),
            exporter_metadata: &self.exporter_metadata,
        }
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
    use std::any::Any;
    use std::sync::Arc;

    use open_feature::StructValue;
    use serde_json::json;

    use super::*;
    use crate::EvaluationContext as NativeContext;
    use crate::context::{canonical_hash, write_flat_form};
    use crate::evaluation::{Origin, Outcome};

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
    fn siblings_stay_and_a_value_that_is_not_a_map_is_replaced() {
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
    fn slot_and_exporter_metadata_are_not_part_of_the_key() {
        let plain = EvaluationContext::default();
        let context = enriched(None);
        GoFeatureFlagAttribute::find(&context)
            .unwrap()
            .slot()
            .fill(Outcome::new("flag", Ok(Arc::default()), Origin::Relay));
        assert_eq!(canonical_hash(&context), canonical_hash(&plain));
        assert!(NativeContext::from_view(&plain).is_same(&context));
        assert!(NativeContext::from_view(&context).is_same(&plain));
        let dated = enriched(opaque(json!({"currentDateTime": "2026-01-01T00:00:00Z"})));
        assert_ne!(canonical_hash(&dated), canonical_hash(&plain));
        assert!(!NativeContext::from_view(&dated).is_same(&plain));
        assert!(NativeContext::from_view(&dated).is_same(&dated));
    }
}
