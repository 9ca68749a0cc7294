// The fuzz targets. The ordinary tests run them over the corpus too.

use std::time::Duration;

use goff_engine::{__internal, Flag, FlagContext, FlagSet, Timestamp, evaluate_document};
use serde_json::{Map, Value, json};

type Target = fn(&[u8]);

/// The targets by name. Each takes bytes, and must not panic or take long.
pub(crate) const TARGETS: [(&str, Target); 5] = [
    ("document", document),
    ("flag", flag),
    ("query", query),
    ("json_logic", json_logic),
    ("date", date),
];

/// Inputs are under 64 KB, and each takes at most this long in an optimized build.
pub(crate) const MAX_TIME: Duration = Duration::from_millis(10);

pub(crate) const MAX_LENGTH: usize = 65_535;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_720_000_000)
}

fn context() -> Map<String, Value> {
    let context = json!({
        "targetingKey": "user-1", "x": 1, "y": 2.5, "s": "Straße", "b": true, "v": "1.2.3-a.1", "n": null,
        "l": [1, "a", [0, 5], {"x": 2}, null], "o": {"x": 1, "l": ["a"], "o": {"x": "y"}}, "": {"": 0},
    });
    match context {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

pub(crate) fn document(input: &[u8]) {
    let output = evaluate_document(input, now());
    assert!(serde_json::from_str::<Value>(&output).is_ok(), "{output}");
}

/// One flag alone, and several in a set.
pub(crate) fn flag(input: &[u8]) {
    let attributes = context();
    let flag_context = FlagContext::default();
    let flag = Flag::from_json("flag", input);
    let alone = flag.evaluate(&attributes, &flag_context, now());
    if let Some(answer) = __internal::answer(&alone) {
        assert!(answer < __internal::answer_count(&flag));
    }
    if let Ok(flags) = FlagSet::from_json(input) {
        for flag in flags.iter() {
            let _ = flags.evaluate(flag.key(), &attributes, &flag_context, now());
        }
    }
}

fn evaluate_query(query: &str) {
    let attributes = context();
    let flag = json!({"targeting": [{"query": query, "variation": "yes"}], "defaultRule": {"variation": "no"}});
    let flag = Flag::from_json("flag", flag.to_string().as_bytes());
    let flag_context = FlagContext::default();
    let _ = flag.evaluate(&attributes, &flag_context, now());
}

pub(crate) fn query(input: &[u8]) {
    evaluate_query(&String::from_utf8_lossy(input));
}

/// The same as `query` with other seeds. A rule that is not an object is put into one.
pub(crate) fn json_logic(input: &[u8]) {
    let rule = String::from_utf8_lossy(input);
    evaluate_query(&rule);
    if !rule.starts_with('{') {
        evaluate_query(&format!("{{\"if\":[{rule}]}}"));
    }
}

pub(crate) fn date(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(date) = Timestamp::parse(&text) {
        // A year of four digits at most, give or take a day of zone offset.
        assert!(
            (-62_168_000_000..253_403_000_000).contains(&date.unix_seconds()),
            "{text}"
        );
    }
}
