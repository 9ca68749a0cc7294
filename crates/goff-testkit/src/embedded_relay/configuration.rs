//! The flag configuration and its hashes (sections 12 and 13 of the protocol).

use hyper::header::LAST_MODIFIED;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::date::last_modified;
use super::flag_set::FlagSet;
use super::request_json::{BodyError, Node, Place};

/// The flags that a request for the configuration names; none means all.
pub(super) fn requested_flags(
    body: Result<Option<Node>, BodyError>,
) -> Result<Vec<String>, Answer> {
    let decode = |body: Node| {
        Place::decode(
            &body,
            "controller.FlagConfigurationRequest",
            |members, place| members.texts("flags", place),
        )
    };
    body.and_then(|body| body.map_or(Ok(None), decode))
        .map(Option::unwrap_or_default)
        .map_err(|error| {
            let details = format!("impossible to read request body: {error}");
            let body = json!({"errorCode": "INVALID_REQUEST", "errorDetails": details});
            Answer::json(400, body)
        })
}

/// Section 12.
pub(super) fn configuration(set: &FlagSet, requested: &[String]) -> Answer {
    let loaded = set.loaded();
    let flags: Map<String, Value> = loaded
        .served
        .iter()
        .filter(|(key, _)| requested.is_empty() || requested.contains(key))
        .map(|(key, flag)| (key.clone(), flag.clone()))
        .collect();
    // Both are left out when empty.
    let mut body = Map::new();
    if !flags.is_empty() {
        body.insert("flags".to_owned(), flags.into());
    }
    if !set.enrichment.is_empty() {
        let enrichment = set.enrichment.clone();
        body.insert("evaluationContextEnrichment".to_owned(), enrichment.into());
    }
    Answer::json(200, body)
        .with(LAST_MODIFIED, last_modified(set.loaded_at()))
        .validated()
}

/// Section 13. The hashes are as good as the relay proxy's and not the same: members are in
/// another order here.
pub(super) fn hashes(set: &FlagSet) -> Answer {
    let loaded = set.loaded();
    let mut all = HASH_OF_NOTHING;
    let flags: Map<String, Value> = loaded
        .served
        .iter()
        .map(|(key, flag)| {
            let text = flag.to_string();
            all = hash(hash(all, key), &text);
            (key.clone(), hash(HASH_OF_NOTHING, &text).into())
        })
        .collect();
    Answer::json(200, json!({"hash": all, "flags": flags})).validated()
}

const HASH_OF_NOTHING: u32 = 2_166_136_261;

/// FNV-1a, continued.
fn hash(before: u32, text: &str) -> u32 {
    text.bytes().fold(before, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    })
}
