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
    let with = |mut object: Value, name: &str, value: Value| {
        object
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value);
        object
    };
    let rule = |query: &str, serves: &Value| with(serves.clone(), "query", query.into());
    let on = json!({"variation": "on"});
    let ten: Vec<Value> = (50..60)
        .map(|age| format!(r#"(country in ["DE", "IT"] and age gt {age}) or plan eq "none""#))
        .map(|query| rule(&query, &on))
        .collect();
    let logic = r#"{"and":[{"==":[{"var":"country"},"FR"]},{">":[{"var":"age"},18]},{"in":[{"var":"plan"},["free","pro"]]}]}"#;
    let rollout = json!({"progressiveRollout": {
        "initial": {"variation": "off", "date": "2024-01-01T00:00:00Z"},
        "end": {"variation": "on", "date": "2025-01-01T00:00:00Z"},
    }});
    let steps = json!([{"date": "2024-01-01T00:00:00Z", "defaultRule": {"variation": "on"}}]);
    let flag = |targeting: Value, default_rule: &Value| json!({"variations": {"on": true, "off": "text"}, "targeting": targeting, "defaultRule": default_rule, "metadata": {"owner": "x"}});
    let targeting = |query: &str, serves: &Value| flag(json!([rule(query, serves)]), &off);
    let fixed = flag(json!([]), &off);
    let scheduled = with(fixed.clone(), "scheduledRollout", steps);
    let some = r#"{"some":[{"var":"tags"},{"==":[{"var":""},"b"]}]}"#;
    // Flags without a limit are only printed.
    for (name, flag, limit) in [
        ("static", fixed.clone(), Some(0)),
        ("one rule", targeting("country eq \"fr\"", &on), Some(0)),
        ("split", flag(json!([]), &split), Some(0)),
        (
            "rule + split",
            targeting("country eq \"fr\"", &split),
            Some(0),
        ),
        ("ten rules", flag(Value::Array(ten), &off), Some(0)),
        (
            "JSONLogic, three conditions",
            targeting(logic, &on),
            Some(0),
        ),
        (
            "nested attribute",
            targeting("company.plan eq \"team\"", &on),
            Some(0),
        ),
        ("progressive rollout", flag(json!([]), &rollout), Some(0)),
        ("scheduled", scheduled, Some(0)),
        ("disabled", with(fixed, "disable", json!(true)), Some(0)),
        ("missing default rule", json!({"targeting": []}), Some(0)),
        ("version", targeting("version ge 1.2.3", &on), Some(0)),
        ("pre-release version", targeting("pre ge 1.2.3", &on), None),
        ("interpreted JSONLogic", targeting(some, &on), None),
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
            let few = limit.is_none_or(|limit| made <= limit * 100);
            assert!(few, "{name}: {made} allocations in 100 evaluations");
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
