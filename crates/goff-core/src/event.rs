//! Usage data as the relay proxy's data collector reads them (upstream
//! `exporter/feature_event.go`, `exporter/tracking_event.go`).

use serde::Serialize;
use serde_json::{Map, Value};

/// One event of a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Event {
    /// A flag was evaluated.
    Feature(FeatureEvent),
    /// Something else happened that an experiment counts.
    Tracking(TrackingEvent),
}

/// One evaluation. The collector coerces nothing: a member of the wrong type drops the event
/// without a word, so the types here are the wire's (GOFF-COLL-003 to -010).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "feature", rename_all = "camelCase")]
pub struct FeatureEvent {
    /// Known user or anonymous one.
    pub context_kind: ContextKind,
    /// The targeting key, or [`UNDEFINED_TARGETING_KEY`].
    pub user_key: String,
    /// Unix time in seconds.
    #[serde(rename = "creationDate")]
    pub creation_date_seconds: i64,
    /// The flag's key.
    #[serde(rename = "key")]
    pub flag_key: String,
    /// The variant, or [`SDK_DEFAULT_VARIANT`](crate::SDK_DEFAULT_VARIANT).
    #[serde(rename = "variation")]
    pub variant: String,
    /// The value that was served.
    pub value: Value,
    /// Whether the evaluation failed.
    #[serde(rename = "default")]
    pub failed: bool,
    /// The flag's version, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who evaluated.
    pub source: EventSource,
}

/// Something that happened to a user (GOFF-TRACK-004, GOFF-TRACK-005).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "tracking", rename_all = "camelCase")]
pub struct TrackingEvent {
    /// Known user or anonymous one.
    pub context_kind: ContextKind,
    /// The targeting key, or [`UNDEFINED_TARGETING_KEY`].
    pub user_key: String,
    /// Unix time in seconds.
    #[serde(rename = "creationDate")]
    pub creation_date_seconds: i64,
    /// The event's name.
    #[serde(rename = "key")]
    pub name: String,
    /// The flat context, exporter metadata included: the collector attaches no `meta` here.
    pub evaluation_context: Map<String, Value>,
    /// What the application says about the event.
    #[serde(rename = "trackingEventDetails")]
    pub details: Map<String, Value>,
}

/// Whose evaluation it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ContextKind {
    /// A known user.
    User,
    /// The attribute `anonymous` is the boolean true (GOFF-COLL-005).
    AnonymousUser,
}

/// Who evaluated (GOFF-COLL-010).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum EventSource {
    /// The relay proxy earlier, and a provider's cache now.
    #[serde(rename = "PROVIDER_CACHE")]
    ProviderCache,
    /// The application's own process.
    #[serde(rename = "INPROCESS")]
    InProcess,
}

/// Takes usage data. Called inside evaluations, from any thread: it never waits, never fails and
/// never panics; what does not fit is dropped and counted by the sink. Events recorded after the
/// sink was shut down are dropped.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn record(&self, event: Event);
}

/// The user key of a context without targeting key (GOFF-COLL-006).
pub const UNDEFINED_TARGETING_KEY: &str = "undefined-targetingKey";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// GOFF-COLL-003 to GOFF-COLL-010.
    #[test]
    fn feature_event_is_spelled_as_the_collector_reads_it() {
        let mut event = FeatureEvent {
            context_kind: ContextKind::AnonymousUser,
            user_key: "user-1".to_owned(),
            creation_date_seconds: 1_795_333_949,
            flag_key: "flag".to_owned(),
            variant: "True".to_owned(),
            value: json!(true),
            failed: false,
            version: Some("1.2.3".to_owned()),
            source: EventSource::ProviderCache,
        };
        let mut expected = json!({
            "kind": "feature", "contextKind": "anonymousUser", "userKey": "user-1",
            "creationDate": 1_795_333_949, "key": "flag", "variation": "True", "value": true,
            "default": false, "version": "1.2.3", "source": "PROVIDER_CACHE",
        });
        assert_eq!(
            serde_json::to_value(Event::Feature(event.clone())).unwrap(),
            expected
        );
        event.version = None;
        event.source = EventSource::InProcess;
        event.context_kind = ContextKind::User;
        expected["source"] = json!("INPROCESS");
        expected["contextKind"] = json!("user");
        expected.as_object_mut().unwrap().remove("version");
        assert_eq!(
            serde_json::to_value(Event::Feature(event)).unwrap(),
            expected
        );
    }

    /// GOFF-TRACK-004, GOFF-TRACK-005.
    #[test]
    fn tracking_event_is_spelled_as_the_collector_reads_it() {
        let event = Event::Tracking(TrackingEvent {
            context_kind: ContextKind::User,
            user_key: UNDEFINED_TARGETING_KEY.to_owned(),
            creation_date_seconds: 1,
            name: "checkout".to_owned(),
            evaluation_context: Map::new(),
            details: json!({"amount": 12.5}).as_object().unwrap().clone(),
        });
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({
                "kind": "tracking", "contextKind": "user", "userKey": "undefined-targetingKey",
                "creationDate": 1, "key": "checkout", "evaluationContext": {},
                "trackingEventDetails": {"amount": 12.5},
            })
        );
    }
}
