//! The flags and the context that evaluation is measured with.

use std::fmt::Write as _;

use goff_core::EvaluationContext;
use goff_engine::{Attribute, Attributes};
use open_feature::EvaluationContextFieldValue;
use serde_json::{Map, Value, json};

use crate::Budget;

/// The targeting key of every context.
pub const USER: &str = "8f14e45f-ceea-467f-a0e6-2f1d3c5b7a90";
/// How many flags a configuration has in which few are measured.
pub const FLAGS: usize = 1_000;

/// The flags that are measured, with the engine's budgets in multiples of its floor. The first six
/// are those of the project's budgets.
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
        ("static", flag(json!([]), off.clone()), Budget::AtMost(0.7)),
        (
            "one rule",
            flag(
                rule("country eq \"fr\"", json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::AtMost(1.4),
        ),
        ("split", flag(json!([]), split.clone()), Budget::AtMost(1.5)),
        (
            "rule + split",
            flag(rule("country eq \"fr\"", split.clone()), off.clone()),
            Budget::AtMost(2.6),
        ),
        (
            "ten rules",
            flag(Value::Array(ten), off.clone()),
            Budget::AtMost(9.5),
        ),
        (
            "JSONLogic, three conditions",
            flag(
                rule(&logic.to_string(), json!({"variation": "on"})),
                off.clone(),
            ),
            Budget::AtMost(4.0),
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

/// The measured flags, called as [`key_of`] says, among [`FLAGS`].
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

/// Ten attributes beside the targeting key, looked up by scanning.
#[derive(Debug)]
pub struct NativeContext {
    attributes: Vec<(&'static str, Value)>,
}

impl NativeContext {
    /// The context of every measurement.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attributes: vec![
                ("age", json!(42)),
                ("beta", json!(true)),
                ("company", json!({"id": 7, "plan": "team"})),
                ("country", json!("FR")),
                ("email", json!("ada@example.com")),
                ("plan", json!("pro")),
                ("ratio", json!(0.25)),
                ("score", json!(17)),
                ("tags", json!(["alpha", "beta"])),
                ("version", json!("1.4.0")),
            ],
        }
    }

    /// As a JSON object.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        let mut map: Map<String, Value> = self
            .attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        map.insert("targetingKey".to_owned(), USER.into());
        map
    }

    /// As this project's own context.
    #[must_use]
    pub fn to_context(&self) -> EvaluationContext {
        let builder = EvaluationContext::builder().targeting_key(USER);
        let attributes = self.attributes.iter();
        attributes
            .fold(builder, |builder, (name, value)| {
                builder.attribute(*name, value.clone())
            })
            .build()
    }

    /// As the SDK's context.
    #[must_use]
    pub fn to_sdk_context(&self) -> open_feature::EvaluationContext {
        let context = open_feature::EvaluationContext::default().with_targeting_key(USER);
        let attributes = self.attributes.iter();
        attributes.fold(context, |context, (name, value)| {
            context.with_custom_field(*name, sdk_field(value))
        })
    }
}

fn sdk_field(value: &Value) -> EvaluationContextFieldValue {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        other => EvaluationContextFieldValue::new_struct(other.clone()),
    }
}

impl Default for NativeContext {
    fn default() -> Self {
        Self::new()
    }
}

impl Attributes for NativeContext {
    fn targeting_key(&self) -> Option<&str> {
        Some(USER)
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        if name == "targetingKey" {
            return Some(Attribute::Str(USER));
        }
        self.attributes
            .iter()
            .find(|(attribute, _)| *attribute == name)
            .map(|(_, value)| Attribute::Json(value))
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        visit("targetingKey", Attribute::Str(USER));
        for (name, value) in &self.attributes {
            visit(name, Attribute::Json(value));
        }
    }
}

/// A configuration of the kind that teams have: mostly small flags, some with rules and metadata.
/// No two flags are the same.
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
