//! The evaluation engine beside its floor: hash the flag key, find it among 1,000, and hash flag
//! key and user key for bucketing. No evaluation of a split can do with less.

use std::{
    alloc::System,
    collections::HashMap,
    fmt::Write as _,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use goff_benches::{Budget, Comparison, Measure, Row, Suite, WINDOWS, median, thread_cpu_time};
use goff_engine::{Attribute, Attributes, FlagContext, FlagSet, Timestamp};
use serde_json::{Map, Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut suite = Suite::from_arguments()?;
    evaluations(&mut suite)?;
    loading(&mut suite)?;
    scaling(&mut suite)?;
    Ok(suite.finish()?)
}

const USER: &str = "8f14e45f-ceea-467f-a0e6-2f1d3c5b7a90";
const FLAGS: usize = 1_000;

/// The flags that are measured, with their budgets in multiples of the floor.
fn measured() -> Vec<(&'static str, Value, Budget)> {
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

fn evaluations(suite: &mut Suite) -> Result<(), Box<dyn std::error::Error>> {
    let measured = measured();
    let mut flags = Map::new();
    for index in 0..FLAGS - measured.len() {
        let (_, flag, _) = measured.get(index % measured.len()).ok_or("no flags")?;
        flags.insert(format!("flag-{index}"), flag.clone());
    }
    for (name, flag, _) in &measured {
        flags.insert(format!("measured {name}"), flag.clone());
    }
    let keys: HashMap<String, u32, foldhash::fast::RandomState> =
        flags.keys().cloned().zip(0..).collect();
    let flags = FlagSet::from_json(&serde_json::to_vec(&flags)?)?;
    let native = NativeContext::new();
    let map = native.to_map();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for (name, _, budget) in measured {
        let key = format!("measured {name}");
        let mut evaluate = |operations: u64| {
            for _ in 0..operations {
                black_box(flags.evaluate(black_box(&key), black_box(&native), &flag_context, now));
            }
        };
        let mut floor = |operations: u64| {
            for _ in 0..operations {
                let key = black_box(key.as_str());
                black_box(keys.get(key));
                black_box(fnv(key, black_box(USER)));
            }
        };
        suite.compare(Comparison {
            name: &format!("engine: {name}"),
            measure: Measure::NanosecondsPerOperation,
            operations: window(&mut evaluate),
            subject: &mut evaluate,
            baseline_name: "F",
            baseline: &mut floor,
            budget,
        });
        let mut evaluate = |operations: u64| {
            for _ in 0..operations {
                black_box(flags.evaluate(black_box(&key), black_box(&map), &flag_context, now));
            }
        };
        suite.compare(Comparison {
            name: &format!("engine, JSON map context: {name}"),
            measure: Measure::NanosecondsPerOperation,
            operations: window(&mut evaluate),
            subject: &mut evaluate,
            baseline_name: "F",
            baseline: &mut floor,
            budget: Budget::Stated,
        });
        let region = Region::new(ALLOCATOR);
        black_box(flags.evaluate(&key, &native, &flag_context, now));
        let allocations = region.change().allocations;
        if suite.wants(&format!("engine, allocations: {name}")) {
            suite.add(Row {
                name: format!("engine, allocations: {name}"),
                value: allocations as f64,
                unit: "",
                baseline: None,
                ratio: None,
                budget: if name.starts_with("JSONLogic, i") || name == "version" {
                    String::new()
                } else {
                    "0".to_owned()
                },
                holds: allocations == 0 || name.starts_with("JSONLogic, i") || name == "version",
                cpu: None,
            });
        }
    }
    Ok(())
}

/// How many operations make a window of a third of a millisecond: few of such windows are
/// interrupted by another process.
fn window(run: &mut dyn FnMut(u64)) -> u64 {
    let best = (0..10)
        .map(|_| timed(|| run(500)))
        .min()
        .unwrap_or_default();
    let per_operation = (best.as_secs_f64() / 500.0).max(1e-9);
    ((333e-6 / per_operation) as u64).max(100)
}

fn fnv(flag_key: &str, user: &str) -> u32 {
    let mut hash = 2_166_136_261_u32;
    for byte in flag_key.bytes().chain(user.bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    }
    hash
}

/// Ten attributes beside the targeting key, looked up by scanning.
struct NativeContext {
    attributes: Vec<(&'static str, Value)>,
}

impl NativeContext {
    fn new() -> Self {
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

    fn to_map(&self) -> Map<String, Value> {
        let mut map: Map<String, Value> = self
            .attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        map.insert("targetingKey".to_owned(), USER.into());
        map
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
fn configuration(flags: usize) -> String {
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

fn loading(suite: &mut Suite) -> Result<(), Box<dyn std::error::Error>> {
    const LOADED: usize = 10_000;
    let text = configuration(LOADED);
    if suite.wants("load: 10,000 flags") {
        let (mut times, mut cpu_times) = (Vec::new(), Vec::new());
        for _ in 0..WINDOWS {
            let (start, cpu_start) = (Instant::now(), thread_cpu_time());
            let flags = FlagSet::from_json(black_box(text.as_bytes()))?;
            cpu_times.push((thread_cpu_time() - cpu_start).as_secs_f64() * 1e3);
            times.push(start.elapsed().as_secs_f64() * 1e3);
            black_box(flags);
        }
        let (time, cpu) = (median(&mut times), median(&mut cpu_times));
        suite.add(Row {
            name: "load: 10,000 flags".to_owned(),
            value: time,
            unit: "ms",
            baseline: None,
            ratio: None,
            budget: format!("<= 100 ms of CPU time: {cpu:.1}"),
            holds: cpu <= 100.0,
            cpu: Some(cpu),
        });
    }
    if suite.wants("memory: 10,000 flags, of the JSON's size") {
        let region = Region::new(ALLOCATOR);
        let flags = FlagSet::from_json(text.as_bytes())?;
        let change = region.change();
        black_box(&flags);
        let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        let ratio = bytes / text.len() as f64;
        suite.add(Row {
            name: "memory: 10,000 flags, of the JSON's size".to_owned(),
            value: bytes,
            unit: "B",
            baseline: Some(text.len() as f64),
            ratio: Some(ratio),
            budget: "<= 3 x JSON".to_owned(),
            holds: ratio <= 3.0 && flags.iter().all(|flag| flag.error().is_none()),
            cpu: None,
        });
    }
    Ok(())
}

/// Two threads on one snapshot, beside two threads of plain arithmetic.
fn scaling(suite: &mut Suite) -> Result<(), Box<dyn std::error::Error>> {
    const NAME: &str = "scaling: 2 threads on one snapshot";
    if !suite.wants(NAME) {
        return Ok(());
    }
    let flags = FlagSet::from_json(configuration(100).as_bytes())?;
    let keys: Vec<&str> = flags.iter().map(goff_engine::Flag::key).collect();
    let native = NativeContext::new();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    let evaluate = || {
        for _ in 0..2_000 {
            for key in &keys {
                black_box(flags.evaluate(black_box(key), &native, &flag_context, now));
            }
        }
    };
    let arithmetic = || {
        let mut value = 1_u64;
        for step in 0..10_000_000_u64 {
            value = black_box(
                value
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(step),
            );
        }
        black_box(value);
    };
    let (mut engine, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        engine.push(speedup(&evaluate));
        plain.push(speedup(&arithmetic));
    }
    let (engine, plain) = (median(&mut engine), median(&mut plain));
    suite.add(Row {
        name: NAME.to_owned(),
        value: engine,
        unit: "x",
        baseline: Some(plain),
        ratio: Some(engine / plain),
        budget: ">= 0.95 x arithmetic".to_owned(),
        holds: engine / plain >= 0.95,
        cpu: None,
    });
    Ok(())
}

/// How much faster two threads do twice the work than one thread does.
fn speedup(work: &(impl Fn() + Sync)) -> f64 {
    let one = timed(|| {
        work();
        work();
    });
    let two = timed(|| {
        std::thread::scope(|scope| {
            scope.spawn(work);
            scope.spawn(work);
        });
    });
    one.as_secs_f64() / two.as_secs_f64()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
