//! Events as the exporters of a relay proxy write them.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::answer::{add, object, text};
use super::context::Context;
use super::date::unix_seconds;

/// Completes an event of an evaluation by the relay proxy (docs/relay-protocol.md 19).
pub(super) fn server_event(event: &mut Value, context: &Context) {
    let context_kind = match context.is_anonymous() {
        true => "anonymousUser",
        false => "user",
    };
    event["kind"] = "feature".into();
    event["contextKind"] = context_kind.into();
    event["userKey"] = context.key().into();
    event["creationDate"] = unix_seconds(SystemTime::now()).into();
    event["source"] = "SERVER".into();
    let metadata = context.exporter_metadata().cloned();
    add(event, "metadata", object(metadata.unwrap_or_default()));
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
    add(
        &mut exported,
        "contextKind",
        text(fields.text("contextKind")?),
    );
    add(&mut exported, "metadata", object(metadata));
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
    add(
        &mut exported,
        "contextKind",
        text(fields.text("contextKind")?),
    );
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
        let in_any_case = || {
            let mut members = self.0.iter();
            members.find(|(member, _)| member.eq_ignore_ascii_case(name))
        };
        let (_, value) = self.0.get_key_value(name).or_else(in_any_case)?;
        (!value.is_null()).then_some(value)
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
