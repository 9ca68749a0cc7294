//! Events as the exporters of a relay proxy write them.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::context::Context;
use super::date::unix_seconds;

/// Completes an event of an evaluation by the relay proxy (docs/relay-protocol.md 19).
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

/// A feature event as an exporter writes it; `None` if a member has a wrong type: the relay proxy
/// drops such events silently.
pub(super) fn feature_event(
    event: &Map<String, Value>,
    meta: Option<&Map<String, Value>>,
) -> Option<Value> {
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

/// A tracking event as an exporter writes it; `None` if a member has a wrong type.
pub(super) fn tracking_event(event: &Map<String, Value>) -> Option<Value> {
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

/// A time in seconds. Of a larger number, such as milliseconds, the first ten digits count.
fn seconds(created: f64) -> i64 {
    let mut created = created as i64;
    while created > 9_999_999_999 {
        created /= 10;
    }
    created
}

/// Members by name in any letter case. An absent or null member has the zero value of its type;
/// a member of another type is `None`.
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
