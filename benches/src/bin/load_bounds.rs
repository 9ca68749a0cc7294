//! What the worst known inputs of a size cost to load, beside the bound that holds for all inputs:
//! 1 MB + 50 bytes of memory and 20 ms + 1 µs of time for each byte of input.

use std::hint::black_box;
use std::process::ExitCode;

use goff_benches::{Budget, Row, Suite, thread_cpu_time};
use goff_engine::{FlagFile, FlagFileFormat, FlagSet};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut suite = Suite::from_arguments()?;
    for (name, format, text) in inputs() {
        let row = |what: &str| format!("load bounds, {what}: {name}");
        if !suite.wants(&row("time")) && !suite.wants(&row("memory")) {
            continue;
        }
        ALLOCATOR.reset_peak_usage();
        let (before, start) = (ALLOCATOR.current_usage(), thread_cpu_time());
        // A refused input has its cost too.
        match format {
            Some(format) => drop(black_box(FlagFile::parse(&text, format))),
            None => drop(black_box(FlagSet::from_json(text.as_bytes()))),
        }
        let time = (thread_cpu_time() - start).as_secs_f64() * 1e3;
        let memory = ALLOCATOR.peak_usage().saturating_sub(before) as f64;
        let size = text.len() as f64;
        suite.add(bound(row("time"), "ms", time, 20.0 + size * 1e-3));
        suite.add(bound(row("memory"), "B", memory, 1e6 + 50.0 * size));
    }
    suite.finish().map_err(Into::into)
}

fn bound(name: String, unit: &'static str, value: f64, bound: f64) -> Row {
    Row::stated(name, value, unit).beside(bound, "the bound of this size", Budget::AtMost(1.0))
}

/// Inputs of 20 to 120 kB, small enough that even those far beyond the bound end in seconds.
fn inputs() -> Vec<(&'static str, Option<FlagFileFormat>, String)> {
    let flag = |members: Value| {
        let mut flag = json!({
            "variations": {"on": true, "off": false},
            "defaultRule": {"variation": "off"},
        });
        if let (Value::Object(flag), Value::Object(members)) = (&mut flag, members) {
            flag.extend(members);
        }
        json!({"flag": flag}).to_string()
    };
    let rules = |count: usize, query: &str| -> Vec<Value> {
        let rule = |index| json!({"name": format!("r{index}"), "query": query, "variation": "on"});
        (0..count).map(rule).collect()
    };
    let steps = |count: usize, member: &str, value: Value| -> Vec<Value> {
        let step = |_| json!({"date": "2030-01-01T00:00:00Z", member: value});
        (0..count).map(step).collect()
    };
    let list = |items: usize| {
        let items: Vec<_> = (0..items).map(|item| format!("\"{item:04}\"")).collect();
        format!("country in [{}]", items.join(","))
    };
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let steps_over_a_list = flag(json!({
        "targeting": rules(1, &list(1_000)),
        "scheduledRollout": steps(800, "disable", json!(true)),
    }));
    let steps_over_a_value = flag(json!({
        "variations": {"on": "x".repeat(20_000), "off": ""},
        "scheduledRollout": steps(800, "variations", json!({"off": "y"})),
    }));
    let conditions = vec!["age gt 1"; 900].join(" or ");
    let aliases = {
        let mut text = "base: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..6 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text += &format!("level{level}: &a{level} [{before}]\n");
        }
        text
    };
    vec![
        (
            "one long list",
            None,
            flag(json!({"targeting": rules(1, &list(1_000))})),
        ),
        ("steps over a list", None, steps_over_a_list),
        ("steps over a long value", None, steps_over_a_value),
        (
            "many rules",
            None,
            flag(json!({"targeting": rules(1_500, "age gt 1")})),
        ),
        (
            "many conditions",
            None,
            flag(json!({"targeting": rules(8, &conditions)})),
        ),
        ("repeated members", None, repeated_members(3_000)),
        (
            "deep value",
            None,
            format!("{{\"flag\":{{\"metadata\":{{\"m\":{}}}}}}}", nested(20_000)),
        ),
        ("many small flags", None, many_flags(3_000)),
        ("aliases in YAML", Some(FlagFileFormat::Yaml), aliases),
        (
            "deep value in YAML",
            Some(FlagFileFormat::Yaml),
            nested(5_000),
        ),
        (
            "many tables in TOML",
            Some(FlagFileFormat::Toml),
            many_tables(2_000),
        ),
    ]
}

fn repeated_members(count: usize) -> String {
    let metadata: Vec<_> = (0..count)
        .map(|index| format!("\"metadata\":{{\"m{index}\":1}}"))
        .collect();
    format!("{{\"flag\":{{{}}}}}", metadata.join(","))
}

fn many_flags(count: usize) -> String {
    let flag = |index| format!("\"{index}\":{{\"variations\":{{\"a\":1}}}}");
    format!("{{{}}}", (0..count).map(flag).collect::<Vec<_>>().join(","))
}

fn many_tables(count: usize) -> String {
    (0..count)
        .map(|index| {
            format!("[f{index}.variations]\na = 1\n[f{index}.defaultRule]\nvariation = \"a\"\n")
        })
        .collect()
}
