//! The flags that evaluation is measured with.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::Budget;

/// Flags in the configuration that contains the measured ones.
pub const FLAGS: usize = 1_000;

/// The measured flags, with the engine's budgets as multiples of its floor. The first six have
/// budgets.
#[must_use]
pub fn measured() -> Vec<(&'static str, Value, Budget)> {
    let variations = json!({"on": true, "off": false});
    let flag = |targeting: Value, default_rule: Value| json!({"variations": variations, "targeting": targeting, "defaultRule": default_rule});
    let off = json!({"variation": "off"});
    let split = json!({"percentage": {"on": 30, "off": 70}});
    let ten: Vec<Value> = (0..10)
        .map(|index| {
            json!({
                "query": format!("(country in [\"DE\", \"IT\", \"ES\"] and age gt {}) or plan eq \"none\"", 50 + index),
                "variation": "on",
            })
        })
        .collect();
    let logic = json!({"and": [
        {"==": [{"var": "country"}, "FR"]},
        {">": [{"var": "age"}, 18]},
        {"in": [{"var": "plan"}, ["free", "pro"]]},
    ]});
    let filter = json!({"some": [{"var": "tags"}, {"==": [{"var": ""}, "beta"]}]});
    let rule = |query: &str, serves: Value| {
        let mut rule = serves;
        if let Value::Object(members) = &mut rule {
            members.insert("query".to_owned(), query.into());
        }
        json!([rule])
    };
    vec![
        ("static", flag(json!([]), off.clone()), Budget::AtMost(1.0)),
        (
            "one rule",
            flag(
                rule("country eq \"fr\"", json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::AtMost(1.6),
        ),
        ("split", flag(json!([]), split.clone()), Budget::AtMost(1.8)),
        (
            "rule + split",
            flag(rule("country eq \"fr\"", split.clone()), off.clone()),
            Budget::AtMost(2.8),
        ),
        (
            "ten rules",
            flag(Value::Array(ten), off.clone()),
            Budget::AtMost(10.0),
        ),
        (
            "JSONLogic, three conditions",
            flag(
                rule(&logic.to_string(), json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::AtMost(4.5),
        ),
        (
            "JSONLogic, interpreted",
            flag(
                rule(&filter.to_string(), json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::Stated,
        ),
        (
            "nested attribute",
            flag(
                rule("company.plan eq \"team\"", json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::Stated,
        ),
        (
            "version",
            flag(
                rule("version ge 1.2.3", json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::Stated,
        ),
        (
            "progressive rollout",
            flag(
                json!([]),
                json!({"progressiveRollout": {
                    "initial": {"variation": "off", "percentage": 0, "date": "2024-01-01T00:00:00Z"},
                    "end": {"variation": "on", "percentage": 100, "date": "2025-01-01T00:00:00Z"},
                }}),
            ),
            Budget::Stated,
        ),
    ]
}

/// A configuration of [`FLAGS`] flags that contains the measured ones under their [`key_of`].
#[must_use]
pub fn document() -> Map<String, Value> {
    let measured = measured();
    let others = measured.iter().cycle().enumerate();
    let mut flags: Map<String, Value> = others
        .take(FLAGS - measured.len())
        .map(|(index, (_, flag, _))| (format!("flag-{index}"), flag.clone()))
        .collect();
    for (name, flag, _) in measured {
        flags.insert(key_of(name), flag);
    }
    flags
}

/// The key of a measured flag.
#[must_use]
pub fn key_of(name: &str) -> String {
    format!("measured {name}")
}

/// A realistic configuration: mostly small flags, some with rules and metadata, no two alike.
#[must_use]
pub fn configuration(flags: usize) -> String {
    let mut text = String::from("{");
    for index in 0..flags {
        if index > 0 {
            text.push(',');
        }
        let _ = write!(text, "\"team-{}-feature-{index}\":", index % 37);
        let body = match index % 5 {
            0 => json!({
                "variations": {"enabled": true, "disabled": false},
                "defaultRule": {"variation": "disabled"},
                "metadata": {"owner": "team-checkout", "description": format!("Shows step {index} of the new checkout to some customers")},
            }),
            1 => json!({
                "variations": {"enabled": true, "disabled": false},
                "targeting": [{"name": "staff", "query": format!("email ew \"@example.com\" and age gt {index}"), "variation": "enabled"}],
                "defaultRule": {"percentage": {"enabled": 10, "disabled": 90}},
                "trackEvents": true, "version": "1.4.2",
            }),
            2 => json!({
                "variations": {"blue": {"color": "#0000ff", "size": 12}, "red": {"color": "#ff0000", "size": 14}},
                "targeting": [
                    {"name": "country", "query": "country in [\"FR\", \"DE\", \"IT\"]", "variation": "blue"},
                    {"name": "beta", "query": format!("beta eq true and version ge 2.1.{index}"), "percentage": {"blue": 50, "red": 50}},
                ],
                "defaultRule": {"variation": "red"},
            }),
            3 => json!({
                "variations": {"A": "variant-a", "B": "variant-b", "C": "variant-c"},
                "targeting": [{"query": json!({"and": [{"==": [{"var": "country"}, "FR"]}, {">": [{"var": "age"}, index]}]}).to_string(), "variation": "B"}],
                "defaultRule": {"percentage": {"A": 34, "B": 33, "C": 33}},
                "experimentation": {"start": "2024-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"},
            }),
            _ => json!({
                "variations": {"low": 10, "high": index},
                "bucketingKey": "company.id",
                "defaultRule": {"progressiveRollout": {
                    "initial": {"variation": "low", "percentage": 0, "date": "2024-01-01T00:00:00Z"},
                    "end": {"variation": "high", "percentage": 100, "date": "2030-01-01T00:00:00Z"},
                }},
            }),
        };
        let _ = write!(text, "{body}");
    }
    text.push('}');
    text
}
