//! Usage data in the form of the relay proxy's data collector (upstream
//! `exporter/feature_event.go`, `exporter/tracking_event.go`).

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::context::ExporterMetadata;
use crate::evaluation::{Resolution, SDK_DEFAULT_VARIANT};

/// One event of a batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Event {
    /// A flag was evaluated.
    Feature(FeatureEvent),
    /// Something else happened, which an experiment counts.
    Tracking(Box<TrackingEvent>),
}

impl From<FeatureEvent> for Event {
    fn from(event: FeatureEvent) -> Self {
        Self::Feature(event)
    }
}

impl From<TrackingEvent> for Event {
    fn from(event: TrackingEvent) -> Self {
        Self::Tracking(Box::new(event))
    }
}

/// One evaluation. It shares the flag's key and the resolution, so recording one copies only the
/// user's key; `variation`, `value` and `version` are derived from the resolution when the event is
/// written.
///
/// The collector does not coerce and silently drops an event with a member of the wrong type, so
/// the types here are those of the wire.
///
/// `Debug` hides the user's key.
///
/// *Specification*: GOFF-COLL-003 to -010.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct FeatureEvent {
    /// Whether the user is known or anonymous.
    pub context_kind: ContextKind,
    /// The targeting key, or [`UNDEFINED_TARGETING_KEY`].
    pub user_key: String,
    /// Unix time in seconds.
    pub creation_date_seconds: i64,
    /// The flag's key.
    pub flag_key: Arc<str>,
    /// The resolution, if there is one.
    pub resolution: Option<Arc<Resolution>>,
    /// The value that was served instead of the flag's own, such as the caller's default; `None` if
    /// the flag's value was served.
    pub default_value: Option<Box<Value>>,
    /// Whether the evaluation failed (`default` on the wire).
    pub is_default: bool,
    /// Where the flag was evaluated.
    pub source: EventSource,
}

impl FeatureEvent {
    /// Creates the event of a successful evaluation without a resolution.
    pub fn new(
        flag_key: impl Into<Arc<str>>,
        context_kind: ContextKind,
        user_key: impl Into<String>,
        creation_date_seconds: i64,
        source: EventSource,
    ) -> Self {
        Self {
            context_kind,
            user_key: user_key.into(),
            creation_date_seconds,
            flag_key: flag_key.into(),
            resolution: None,
            default_value: None,
            is_default: false,
            source,
        }
    }

    /// Sets the user's key.
    #[must_use]
    pub fn with_user_key(mut self, user_key: impl Into<String>) -> Self {
        self.user_key = user_key.into();
        self
    }

    /// Sets the resolution.
    #[must_use]
    pub fn with_resolution(mut self, resolution: impl Into<Option<Arc<Resolution>>>) -> Self {
        self.resolution = resolution.into();
        self
    }

    /// Sets the value that was served instead of the flag's own.
    #[must_use]
    pub fn with_default_value(mut self, value: impl Into<Option<Box<Value>>>) -> Self {
        self.default_value = value.into();
        self
    }

    /// Sets whether the evaluation failed.
    #[must_use]
    pub fn with_is_default(mut self, is_default: bool) -> Self {
        self.is_default = is_default;
        self
    }

    /// The variant that was served; `SdkDefault` for disabled flags and failures.
    ///
    /// *Specification*: GOFF-COLL-008.
    #[must_use]
    pub fn variant(&self) -> &str {
        match &self.resolution {
            Some(resolution) if !self.is_default && !resolution.is_disabled() => {
                resolution.variant.as_deref().unwrap_or(SDK_DEFAULT_VARIANT)
            }
            _ => SDK_DEFAULT_VARIANT,
        }
    }

    /// The value that was served.
    #[must_use]
    pub fn value(&self) -> &Value {
        match (&self.default_value, &self.resolution) {
            (Some(value), _) => value,
            (None, Some(resolution)) => &resolution.value,
            (None, None) => &Value::Null,
        }
    }

    /// The flag's version, if the answer contained one.
    ///
    /// *Specification*: GOFF-COLL-009.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.resolution.as_ref()?.version.as_deref()
    }
}

impl Serialize for FeatureEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FeatureEventWire {
            kind: "feature",
            context_kind: self.context_kind,
            user_key: &self.user_key,
            creation_date: self.creation_date_seconds,
            key: &self.flag_key,
            variation: self.variant(),
            value: self.value(),
            default: self.is_default,
            version: self.version(),
            source: self.source,
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeatureEventWire<'a> {
    kind: &'static str,
    context_kind: ContextKind,
    user_key: &'a str,
    creation_date: i64,
    key: &'a str,
    variation: &'a str,
    value: &'a Value,
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    source: EventSource,
}

/// An action of a user, for experiments.
///
/// `Debug` hides the user's key, the context, and the values of the details.
///
/// *Specification*: GOFF-TRACK-004, GOFF-TRACK-005.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "tracking", rename_all = "camelCase")]
#[non_exhaustive]
pub struct TrackingEvent {
    /// Whether the user is known or anonymous.
    pub context_kind: ContextKind,
    /// The targeting key, or [`UNDEFINED_TARGETING_KEY`].
    pub user_key: String,
    /// Unix time in seconds.
    #[serde(rename = "creationDate")]
    pub creation_date_seconds: i64,
    /// The event's name.
    #[serde(rename = "key")]
    pub name: String,
    /// The flat context with exporter metadata: the collector does not attach `meta` to these events.
    pub evaluation_context: Map<String, Value>,
    /// Details from the application.
    #[serde(rename = "trackingEventDetails")]
    pub details: Map<String, Value>,
}

impl TrackingEvent {
    /// Creates an event without evaluation context and details.
    pub fn new(
        name: impl Into<String>,
        context_kind: ContextKind,
        user_key: impl Into<String>,
        creation_date_seconds: i64,
    ) -> Self {
        Self {
            context_kind,
            user_key: user_key.into(),
            creation_date_seconds,
            name: name.into(),
            evaluation_context: Map::new(),
            details: Map::new(),
        }
    }

    /// Sets the flat evaluation context.
    #[must_use]
    pub fn with_evaluation_context(mut self, context: Map<String, Value>) -> Self {
        self.evaluation_context = context;
        self
    }

    /// Sets the details.
    #[must_use]
    pub fn with_details(mut self, details: Map<String, Value>) -> Self {
        self.details = details;
        self
    }
}

impl fmt::Debug for FeatureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeatureEvent")
            .field("context_kind", &self.context_kind)
            .field("creation_date_seconds", &self.creation_date_seconds)
            .field("flag_key", &self.flag_key)
            .field("resolution", &self.resolution)
            .field("default_value", &self.default_value)
            .field("is_default", &self.is_default)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TrackingEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details: Vec<_> = self.details.keys().collect();
        f.debug_struct("TrackingEvent")
            .field("context_kind", &self.context_kind)
            .field("creation_date_seconds", &self.creation_date_seconds)
            .field("name", &self.name)
            .field("details", &details)
            .finish_non_exhaustive()
    }
}

/// The kind of user that an event is about.
///
/// *Specification*: GOFF-COLL-005.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ContextKind {
    /// A known user.
    User,
    /// The attribute `anonymous` is the boolean true.
    AnonymousUser,
}

/// Where a flag was evaluated.
///
/// *Specification*: GOFF-COLL-010.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum EventSource {
    /// On the relay proxy before, and served from a provider's cache now.
    #[serde(rename = "PROVIDER_CACHE")]
    ProviderCache,
    /// In the application's process.
    #[serde(rename = "INPROCESS")]
    InProcess,
}

/// The content of one request to the data collector.
///
/// *Specification*: GOFF-COLL-002, GOFF-COLL-011.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventBatch {
    /// Exporter metadata, which the relay proxy attaches to every feature event.
    pub meta: ExporterMetadata,
    /// The events, in the order in which each thread recorded them.
    pub events: Vec<Event>,
}

impl EventBatch {
    /// Creates a batch.
    pub fn new(meta: ExporterMetadata, events: Vec<Event>) -> Self {
        Self { meta, events }
    }
}

/// Receives usage data.
///
/// A sink of goff-hooks is called during evaluations, from any thread: its methods never wait, fail
/// or panic. It drops and counts the events that do not fit, and drops those recorded after its
/// shutdown.
///
/// A client of goff-client calls the sink of its option `event_sink` on a separate thread, one
/// call at a time, in the order of recording, and calls only [`record`](Self::record) and
/// [`flush`](Self::flush). Such a sink may wait: the client's buffer is bounded, and evaluations go
/// on. It must not panic; an event at which it does is counted as rejected.
pub trait EventSink: fmt::Debug + Send + Sync {
    /// Records one event.
    fn record(&self, event: Event);

    /// Counts an evaluation that is not recorded here because the relay proxy may have recorded it.
    /// Nothing is sent.
    fn note_unknown(&self) {}

    /// Counts an event that sampling or the deduplication window left out. It is not recorded.
    fn note_left_out(&self) {}

    /// Writes out what the sink itself buffers. A client calls it whenever the events queued for the
    /// sink have been recorded, before its own `flush` and `shutdown` return.
    fn flush(&self) {}
}

/// The user key of a context without targeting key.
///
/// *Specification*: GOFF-COLL-006.
pub const UNDEFINED_TARGETING_KEY: &str = "undefined-targetingKey";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(resolution: Option<Resolution>) -> FeatureEvent {
        let (kind, source) = (ContextKind::AnonymousUser, EventSource::ProviderCache);
        FeatureEvent::new("flag", kind, "user-1", 1_795_333_949, source)
            .with_resolution(resolution.map(Arc::new))
    }

    fn resolution(reason: &str) -> Resolution {
        Resolution::new(true, reason.into())
            .with_variant("True")
            .with_version("1.2.3")
    }

    fn wire(event: FeatureEvent) -> Value {
        serde_json::to_value(Event::Feature(event)).unwrap()
    }

    /// GOFF-COLL-003 to GOFF-COLL-010.
    #[test]
    fn feature_event_has_the_form_of_the_collector() {
        let mut expected = json!({
            "kind": "feature", "contextKind": "anonymousUser", "userKey": "user-1",
            "creationDate": 1_795_333_949, "key": "flag", "variation": "True", "value": true,
            "default": false, "version": "1.2.3", "source": "PROVIDER_CACHE",
        });
        assert_eq!(wire(event(Some(resolution("CACHED")))), expected);
        expected["source"] = json!("INPROCESS");
        expected["contextKind"] = json!("user");
        expected.as_object_mut().unwrap().remove("version");
        let mut resolution = resolution("STATIC");
        resolution.version = None;
        let mut event = event(Some(resolution));
        (event.source, event.context_kind) = (EventSource::InProcess, ContextKind::User);
        assert_eq!(wire(event), expected);
    }

    /// GOFF-COLL-008: a variant only if the flag chose one.
    #[test]
    fn disabled_flags_and_failures_have_the_default_variant_and_null_has_its_own() {
        let served = |resolution, failed| {
            let event = event(resolution).with_is_default(failed);
            let wire = wire(event.with_default_value(Box::new(json!("default"))));
            json!([wire["variation"], wire["value"]])
        };
        for (resolution, failed, variant) in [
            (Some(resolution("DISABLED")), false, "SdkDefault"),
            (Some(resolution("ERROR")), true, "SdkDefault"),
            (None, true, "SdkDefault"),
            (Some(resolution("STATIC")), false, "True"),
        ] {
            assert_eq!(served(resolution, failed), json!([variant, "default"]));
        }
        assert_eq!(wire(event(None))["value"], Value::Null);
    }

    /// GOFF-COLL-002: the envelope.
    #[test]
    fn batch_has_meta_and_events() {
        let batch = EventBatch::new(ExporterMetadata::default(), Vec::new());
        assert_eq!(
            serde_json::to_value(batch).unwrap(),
            json!({"meta": {"provider": "rust", "openfeature": true}, "events": []})
        );
    }

    /// GOFF-TRACK-004, GOFF-TRACK-005.
    #[test]
    fn tracking_event_has_the_form_of_the_collector() {
        let details = json!({"amount": 12.5}).as_object().unwrap().clone();
        let event = TrackingEvent::new("checkout", ContextKind::User, UNDEFINED_TARGETING_KEY, 1);
        assert_eq!(
            serde_json::to_value(Event::from(event.with_details(details))).unwrap(),
            json!({
                "kind": "tracking", "contextKind": "user", "userKey": "undefined-targetingKey",
                "creationDate": 1, "key": "checkout", "evaluationContext": {},
                "trackingEventDetails": {"amount": 12.5},
            })
        );
    }
}
