//! The flag configuration and its hashes.

use hyper::header::{HeaderName, LAST_MODIFIED};
use serde_json::{Map, Value, json};

use super::answer::{Answer, hash};
use super::date::last_modified;
use super::flag_set::FlagSet;
use super::request_json::{BodyError, Members};

/// The flags that a request for the configuration names; empty means all.
pub(super) fn requested_flags(body: Result<Members<'_>, BodyError>) -> Result<Vec<String>, Answer> {
    let flags: Result<Option<Vec<Option<String>>>, _> = body.and_then(|body| body.get("flags"));
    let flags = flags.map_err(|error| {
        let details = format!("impossible to read request body: {error}");
        let body = json!({"errorCode": "INVALID_REQUEST", "errorDetails": details});
        Answer::json(400, body)
    })?;
    // Go reads a null name as an empty one.
    let names = flags.unwrap_or_default().into_iter();
    Ok(names.map(Option::unwrap_or_default).collect())
}

/// The flag configuration (docs/relay-protocol.md 12).
pub(super) fn configuration(set: &FlagSet, requested: &[String]) -> Answer {
    let loaded = set.loaded();
    let flags: Map<String, Value> = loaded
        .served
        .iter()
        .filter(|(key, _)| requested.is_empty() || requested.contains(key))
        .map(|(key, flag)| (key.clone(), flag.clone()))
        .collect();
    // Both members are left out when empty.
    let mut body = Map::new();
    if !flags.is_empty() {
        body.insert("flags".to_owned(), flags.into());
    }
    if !set.enrichment.is_empty() {
        let enrichment = set.enrichment.clone();
        body.insert("evaluationContextEnrichment".to_owned(), enrichment.into());
    }
    Answer::json(200, body.into())
        .with(LAST_MODIFIED, last_modified(set.loaded_at()))
        .with_etag()
}

/// The hashes of the flags (docs/relay-protocol.md 13). Their numbers differ from those of a real
/// relay proxy.
pub(super) fn hashes(set: &FlagSet) -> Answer {
    let loaded = set.loaded();
    let mut all = String::new();
    let flags: Map<String, Value> = loaded
        .served
        .iter()
        .map(|(key, flag)| {
            let text = flag.to_string();
            all += key;
            all += &text;
            (key.clone(), hash(&text).into())
        })
        .collect();
    Answer::json(200, json!({"hash": hash(&all), "flags": flags})).with_etag()
}

/// The manifest of the flags that have a default value in their metadata (docs/relay-protocol.md 17).
pub(super) fn manifest(set: &FlagSet) -> Answer {
    let mut flags = Vec::new();
    for (key, flag) in &set.loaded().served {
        let variations = flag.get("variations").and_then(Value::as_object);
        let Some(kind) = variations.and_then(manifest_type) else {
            return Answer::failure(500, "error while generating manifest");
        };
        let metadata = |name: &str| flag.get("metadata").and_then(|metadata| metadata.get(name));
        if let Some(default) = metadata("defaultValue") {
            let description = metadata("description").and_then(Value::as_str);
            flags.push(json!({
                "key": key,
                "type": kind,
                "defaultValue": default,
                "description": description.unwrap_or_default(),
            }));
        }
    }
    Answer::json(200, json!({"flags": flags}))
        .with(HeaderName::from_static("x-manifest-capabilities"), "read")
}

fn manifest_type(variations: &Map<String, Value>) -> Option<&'static str> {
    let all = |is_one: fn(&Value) -> bool| variations.values().all(is_one);
    match variations.values().next()? {
        Value::Bool(_) => Some("boolean"),
        Value::Number(_) if all(Value::is_i64) => Some("integer"),
        Value::Number(_) => Some("float"),
        Value::String(_) => Some("string"),
        Value::Object(_) => Some("object"),
        Value::Array(_) | Value::Null => None,
    }
}
