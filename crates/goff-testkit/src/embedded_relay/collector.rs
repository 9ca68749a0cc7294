//! The data collector (section 14 of the protocol), and the events that the relay proxy records
//! by itself (section 19), as its exporters write them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::answer::Answer;
use super::date::unix_seconds;
use super::evaluation::Context;
use super::request_json::{BodyError, Node, Place};

/// The two kinds of event that a relay proxy exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectedKind {
    /// Evaluations.
    Feature,
    /// Tracking.
    Tracking,
}

/// An event as an exporter of the relay proxy would write it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CollectedEvent {
    /// Which exporters it would go to.
    pub kind: CollectedKind,
    /// The flag set whose key it came with; none without flag sets.
    pub flag_set: Option<String>,
    /// The event: `source` is `SERVER` for an evaluation of the relay proxy's own.
    pub json: Value,
}

/// What was collected, in order of arrival; of more than it keeps, the oldest go.
#[derive(Debug)]
pub(super) struct Collected {
    kept: Mutex<VecDeque<Kept>>,
    capacity: usize,
    /// How many were collected, those that have gone included.
    count: watch::Sender<usize>,
}

/// An event in little memory: a soak test collects many.
#[derive(Debug)]
struct Kept {
    kind: CollectedKind,
    flag_set: Option<Box<str>>,
    json: Box<str>,
}

impl Collected {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            kept: Mutex::default(),
            capacity,
            count: watch::Sender::new(0),
        }
    }

    pub(super) fn add(&self, events: impl IntoIterator<Item = CollectedEvent>) {
        let mut kept = self.lock();
        let mut added = 0;
        for event in events {
            added += 1;
            kept.push_back(Kept {
                kind: event.kind,
                flag_set: event.flag_set.map(Into::into),
                json: event.json.to_string().into(),
            });
            if kept.len() > self.capacity {
                kept.pop_front();
            }
        }
        self.count.send_modify(|count| *count += added);
    }

    pub(super) fn all(&self) -> Vec<CollectedEvent> {
        let kept = self.lock();
        let events = kept.iter().map(|event| CollectedEvent {
            kind: event.kind,
            flag_set: event.flag_set.as_deref().map(ToOwned::to_owned),
            // It was written from a value, so it can be read, unless that is nested 128 deep.
            json: serde_json::from_str(&event.json).unwrap_or_default(),
        });
        events.collect()
    }

    pub(super) fn clear(&self) {
        let mut kept = self.lock();
        kept.clear();
        self.count.send_replace(0);
    }

    /// Sees every change in the number of events.
    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch as it was sent.
#[derive(Debug, Default)]
pub(super) struct Batch {
    meta: Option<Map<String, Value>>,
    events: Vec<Map<String, Value>>,
}

impl Batch {
    pub(super) fn read(body: Result<Option<Node>, BodyError>) -> Result<Self, Answer> {
        const INVALID: &str = "collectEvalData: invalid input data";
        let decode = |body: Node| {
            Place::decode(&body, "model.CollectEvalDataRequest", |members, place| {
                let meta = members.object("meta", place);
                (meta, members.objects("events", place))
            })
        };
        let decoded = body.and_then(|body| body.map_or(Ok(Default::default()), decode));
        match decoded {
            Err(error) => Err(Answer::failure(400, format!("{INVALID} {error}"))),
            Ok((_, None)) => Err(Answer::failure(400, INVALID)),
            Ok((meta, Some(events))) => Ok(Self { meta, events }),
        }
    }

    /// The answer, which counts what is dropped too, and what is kept.
    pub(super) fn collect(self, flag_set: Option<&str>) -> (Answer, Vec<CollectedEvent>) {
        let answer = json!({"ingestedContentCount": self.events.len()});
        let meta = self.meta.as_ref();
        let events = self.events.into_iter().filter_map(|event| {
            let (kind, json) = if event.get("kind").is_some_and(|kind| kind == "tracking") {
                (CollectedKind::Tracking, tracking_event(&event)?)
            } else {
                (CollectedKind::Feature, feature_event(&event, meta)?)
            };
            Some(CollectedEvent {
                kind,
                flag_set: flag_set.map(ToOwned::to_owned),
                json,
            })
        });
        let events = events.collect();
        (Answer::json(200, answer), events)
    }
}

/// What the relay proxy adds to an event of its own.
pub(super) fn server_event(event: &mut Value, context: &Context) {
    let Some(event) = event.as_object_mut() else {
        return;
    };
    let kind = if context.is_anonymous() {
        "anonymousUser"
    } else {
        "user"
    };
    event.insert("kind".to_owned(), "feature".into());
    event.insert("contextKind".to_owned(), kind.into());
    event.insert("userKey".to_owned(), context.key().into());
    let now = unix_seconds(SystemTime::now());
    event.insert("creationDate".to_owned(), now.into());
    event.insert("source".to_owned(), "SERVER".into());
    if let Some(metadata) = context.exporter_metadata().filter(|map| !map.is_empty()) {
        event.insert("metadata".to_owned(), metadata.clone().into());
    }
}

/// A feature event as it is exported; none if a member has a wrong type, which nobody is told.
fn feature_event(event: &Map<String, Value>, meta: Option<&Map<String, Value>>) -> Option<Value> {
    let fields = Fields(event);
    let own_metadata = fields.object("metadata")?;
    let metadata = meta.cloned().or(own_metadata).unwrap_or_default();
    let source = fields.text("source")?;
    let mut exported = json!({
        "kind": fields.text("kind")?,
        "userKey": fields.text("userKey")?,
        "creationDate": seconds(fields.number("creationDate")?.trunc()),
        "key": fields.text("key")?,
        "variation": fields.text("variation")?,
        "value": fields.get("value").cloned().unwrap_or_default(),
        "default": fields.boolean("default")?,
        "version": fields.text("version")?,
        "source": if source.is_empty() { "PROVIDER_CACHE" } else { source },
    });
    let members = exported.as_object_mut()?;
    let context_kind = fields.text("contextKind")?;
    if !context_kind.is_empty() {
        members.insert("contextKind".to_owned(), context_kind.into());
    }
    if !metadata.is_empty() {
        members.insert("metadata".to_owned(), metadata.into());
    }
    Some(exported)
}

/// A tracking event as it is exported; none if a member has a wrong type.
fn tracking_event(event: &Map<String, Value>) -> Option<Value> {
    let fields = Fields(event);
    let created = fields.number("creationDate")?;
    if created.fract() != 0.0 {
        return None;
    }
    let mut exported = json!({
        "kind": fields.text("kind")?,
        "userKey": fields.text("userKey")?,
        "creationDate": seconds(created),
        "key": fields.text("key")?,
        "evaluationContext": fields.object("evaluationContext")?,
        "trackingEventDetails": fields.object("trackingEventDetails")?,
    });
    let context_kind = fields.text("contextKind")?;
    if !context_kind.is_empty() {
        let members = exported.as_object_mut()?;
        members.insert("contextKind".to_owned(), context_kind.into());
    }
    Some(exported)
}

/// Of what can only be milliseconds, the first ten digits.
fn seconds(created: f64) -> i64 {
    let mut created = created as i64;
    if created > 9_999_999_999 {
        while created > 9_999_999_999 {
            created /= 10;
        }
    }
    created
}

/// Members by name in any letter case. Absent and null are the type's zero; another type is none.
struct Fields<'e>(&'e Map<String, Value>);

impl<'e> Fields<'e> {
    fn get(&self, name: &str) -> Option<&'e Value> {
        let exact = self.0.get(name);
        exact
            .or_else(|| {
                let mut members = self.0.iter();
                let found = members.find(|(member, _)| member.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value)
            })
            .filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&'e str> {
        self.get(name).map_or(Some(""), Value::as_str)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.get(name).map_or(Some(0.0), Value::as_f64)
    }

    fn boolean(&self, name: &str) -> Option<bool> {
        self.get(name).map_or(Some(false), Value::as_bool)
    }

    fn object(&self, name: &str) -> Option<Option<Map<String, Value>>> {
        match self.get(name) {
            None => Some(None),
            Some(Value::Object(map)) => Some(Some(map.clone())),
            Some(_) => None,
        }
    }
}
