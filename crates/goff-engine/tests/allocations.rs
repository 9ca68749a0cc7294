//! How many allocations an evaluation makes: none, for most kinds of flags.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::alloc::System;

use goff_engine::{Attribute, Attributes, Flag, FlagContext, FlagSet, Timestamp};
use serde_json::{Map, Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let off = json!({"variation": "off"});
    let split = json!({"percentage": {"on": 30, "off": 70}});
    let rule = |query: &str, serves: &Value| {
        let mut rule = serves.as_object().unwrap().clone();
        rule.insert("query".to_owned(), query.into());
        Value::Object(rule)
    };
    let on = json!({"variation": "on"});
    let ten: Vec<Value> = (0..10)
        .map(|n| {
            rule(
                &format!(
                    "(country in [\"DE\", \"IT\"] and age gt {}) or plan eq \"none\"",
                    50 + n
                ),
                &on,
            )
        })
        .collect();
    let logic = r#"{"and":[{"==":[{"var":"country"},"FR"]},{">":[{"var":"age"},18]},{"in":[{"var":"plan"},["free","pro"]]}]}"#;
    let rollout = json!({"progressiveRollout": {
        "initial": {"variation": "off", "date": "2024-01-01T00:00:00Z"},
        "end": {"variation": "on", "date": "2025-01-01T00:00:00Z"},
    }});
    let steps = json!([{"date": "2024-01-01T00:00:00Z", "defaultRule": {"variation": "on"}}]);
    let flag = |targeting: Value, default_rule: &Value| json!({"variations": {"on": true, "off": "text"}, "targeting": targeting, "defaultRule": default_rule, "metadata": {"owner": "x"}});
    let with = |mut flag: Value, name: &str, value: &Value| {
        flag.as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value.clone());
        flag
    };
    // Flags without a limit are only printed.
    for (name, flag, limit) in [
        ("static", flag(json!([]), &off), Some(0)),
        (
            "one rule",
            flag(json!([rule("country eq \"fr\"", &on)]), &off),
            Some(0),
        ),
        ("split", flag(json!([]), &split), Some(0)),
        (
            "rule + split",
            flag(json!([rule("country eq \"fr\"", &split)]), &off),
            Some(0),
        ),
        ("ten rules", flag(Value::Array(ten), &off), Some(0)),
        (
            "JSONLogic, three conditions",
            flag(json!([rule(logic, &on)]), &off),
            Some(0),
        ),
        (
            "nested attribute",
            flag(json!([rule("company.plan eq \"team\"", &on)]), &off),
            Some(0),
        ),
        ("progressive rollout", flag(json!([]), &rollout), Some(0)),
        (
            "scheduled",
            with(flag(json!([]), &off), "scheduledRollout", &steps),
            Some(0),
        ),
        (
            "disabled",
            with(flag(json!([]), &off), "disable", &json!(true)),
            Some(0),
        ),
        ("missing default rule", json!({"targeting": []}), Some(0)),
        (
            "version",
            flag(json!([rule("version ge 1.2.3", &on)]), &off),
            Some(0),
        ),
        (
            "pre-release version",
            flag(json!([rule("pre ge 1.2.3", &on)]), &off),
            None,
        ),
        (
            "interpreted JSONLogic",
            flag(
                json!([rule(
                    r#"{"some":[{"var":"tags"},{"==":[{"var":""},"b"]}]}"#,
                    &on
                )]),
                &off,
            ),
            None,
        ),
    ] {
        let set: FlagSet = [Flag::from_json(name, flag.to_string().as_bytes())]
            .into_iter()
            .collect();
        for (context, kind) in [
            (&Context::new() as &dyn Attributes, "native"),
            (&Context::new().0, "JSON map"),
        ] {
            let flag_context = FlagContext::default();
            let now = Timestamp::from_unix_seconds(1_720_000_000);
            let region = Region::new(ALLOCATOR);
            for _ in 0..100 {
                let evaluation = set.evaluate(name, context, &flag_context, now);
                std::hint::black_box(&evaluation);
            }
            let made = region.change().allocations;
            println!("{name}, {kind} context: {} allocations", made / 100);
            if let Some(limit) = limit {
                assert!(
                    made <= limit * 100,
                    "{name}: {made} allocations in 100 evaluations"
                );
            }
        }
    }
}

/// A context that lends its values.
struct Context(Map<String, Value>);

impl Context {
    fn new() -> Self {
        let context = json!({
            "targetingKey": "8f14e45f-ceea-467f-a0e6-2f1d3c5b7a90", "age": 42, "beta": true, "company": {"plan": "team"},
            "country": "FR", "email": "ada@example.com", "plan": "pro", "ratio": 0.25, "score": 17, "tags": ["a", "b"],
            "version": "1.4.0", "pre": "1.4.0-alpha.with-a-long-name.1",
        });
        Self(context.as_object().unwrap().clone())
    }
}

impl Attributes for Context {
    fn targeting_key(&self) -> Option<&str> {
        Some("8f14e45f-ceea-467f-a0e6-2f1d3c5b7a90")
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        Some(match self.0.get(name)? {
            Value::String(text) => Attribute::Str(text),
            Value::Bool(value) => Attribute::Bool(*value),
            Value::Object(members) => Attribute::Object(members),
            other => Attribute::Json(other),
        })
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        for (name, value) in &self.0 {
            visit(name, Attribute::Json(value));
        }
    }
}
