//! Tracking events, which experiments count.

use std::ops::ControlFlow;

use goff_core::__internal::is_too_deep;
use goff_core::{ContextError, ContextView, TrackingEvent, Unreadable};
use serde_json::{Map, Value};

use super::fields::{context_kind, user_key};

/// Creates a tracking event.
///
/// Pass an [`EnrichedContext`](crate::EnrichedContext): the collector attaches no exporter metadata
/// to tracking events, so they carry it in their context. `now_seconds` is Unix time.
///
/// *Specification*: GOFF-TRACK-004, GOFF-TRACK-005.
///
/// # Errors
/// [`ContextError`] if an attribute of the context cannot be read, or a member of `details` is nested
/// deeper than 512 levels.
pub fn tracking_event(
    name: &str,
    context: &dyn ContextView,
    details: Map<String, Value>,
    now_seconds: i64,
) -> Result<TrackingEvent, ContextError> {
    if let Some((name, _)) = details.iter().find(|(_, value)| is_too_deep(value)) {
        return Err(ContextError::new(name, Unreadable::TooDeep));
    }
    Ok(
        TrackingEvent::new(name, context_kind(context), user_key(context), now_seconds)
            .with_evaluation_context(flat(context)?)
            .with_details(details),
    )
}

/// The context as one object. The targeting key replaces an attribute of that name.
fn flat(context: &dyn ContextView) -> Result<Map<String, Value>, ContextError> {
    let mut map = Map::new();
    let mut unreadable = None;
    let _ = context.visit(&mut |name, attribute| match attribute.to_json() {
        Ok(value) => {
            map.insert(name.to_owned(), value);
            ControlFlow::Continue(())
        }
        Err(reason) => {
            unreadable = Some(ContextError::new(name, reason));
            ControlFlow::Break(())
        }
    });
    if let Some(error) = unreadable {
        return Err(error);
    }
    if let Some(key) = context.targeting_key() {
        map.insert("targetingKey".to_owned(), key.into());
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use goff_core::{EvaluationContext, Event, ExporterMetadata};
    use serde_json::json;

    use super::*;
    use crate::enriched_context::EnrichedContext;

    fn wire(context: &EvaluationContext) -> Value {
        let metadata = ExporterMetadata::new([("service".to_owned(), json!("checkout"))]).unwrap();
        let details = json!({"amount": 12.5}).as_object().unwrap().clone();
        let enriched = EnrichedContext::new(context, &metadata);
        let event = tracking_event("paid", &enriched, details, 1_795_333_949).unwrap();
        serde_json::to_value(Event::from(event)).unwrap()
    }

    /// GOFF-TRACK-004, GOFF-TRACK-005.
    #[test]
    fn event_carries_the_flat_enriched_context_and_the_details() {
        let context = EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("anonymous", true)
            .attribute("company", json!({"size": 120}))
            .attribute("targetingKey", "not the real one")
            .attribute("gofeatureflag", json!({"flagList": ["a"]}))
            .build();
        assert_eq!(
            wire(&context),
            json!({
                "kind": "tracking", "contextKind": "anonymousUser", "userKey": "user-1",
                "creationDate": 1_795_333_949, "key": "paid",
                "evaluationContext": {
                    "targetingKey": "user-1", "anonymous": true, "company": {"size": 120},
                    "gofeatureflag": {
                        "flagList": ["a"],
                        "exporterMetadata":
                            {"service": "checkout", "provider": "rust", "openfeature": true},
                    },
                },
                "trackingEventDetails": {"amount": 12.5},
            })
        );
    }

    /// GOFF-COLL-006.
    #[test]
    fn missing_targeting_key_is_undefined() {
        let event = wire(&EvaluationContext::default());
        assert_eq!(event["userKey"], "undefined-targetingKey");
        assert!(event["evaluationContext"].get("targetingKey").is_none());
    }

    #[test]
    fn unreadable_attribute_is_named() {
        let context = EvaluationContext::builder()
            .attribute("rate", f64::NAN)
            .build();
        let error = tracking_event("paid", &context, Map::new(), 0).unwrap_err();
        assert_eq!(
            (error.attribute.as_str(), error.reason),
            ("rate", Unreadable::NotFinite)
        );
    }

    #[test]
    fn deeply_nested_attribute_is_kept() {
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        let context = EvaluationContext::builder()
            .attribute("deep", deep.clone())
            .build();
        let event = tracking_event("paid", &context, Map::new(), 0).unwrap();
        assert_eq!(event.evaluation_context["deep"], deep);
    }

    #[test]
    fn deep_details_are_refused() {
        let deep = (0..10_000).fold(json!(1), |value, _| Value::Array(vec![value]));
        let details = Map::from_iter([("items".to_owned(), deep)]);
        let error = tracking_event("name", &EvaluationContext::default(), details, 0).unwrap_err();
        assert_eq!(error, ContextError::new("items", Unreadable::TooDeep));
    }
}
