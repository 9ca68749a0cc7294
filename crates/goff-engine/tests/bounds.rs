//! What loading costs in memory and time, as a function of the size of the text: for any input of
//! n bytes at most 1 MB and 50 bytes for each byte, and 20 ms and 1 µs for each byte (ten times as
//! much without optimization).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use goff_engine::FlagSet;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    let mut failures = Vec::new();
    for (name, input) in inputs() {
        for size in [3_000, 50_000, 400_000] {
            let text = input(size);
            let (memory, time) = cost(&text);
            let (most, longest) = bounds(text.len());
            let line = format!(
                "{name}: {} bytes took {memory} of {most} bytes, {time:?} of {longest:?}",
                text.len()
            );
            println!("{line}");
            // Another process may have interfered, so the second try decides.
            if memory > most || (time > longest && cost(&text).1 > longest) {
                failures.push(line);
            }
        }
    }
    assert!(
        failures.is_empty(),
        "beyond the bound:\n{}",
        failures.join("\n")
    );
}

fn bounds(length: usize) -> (usize, Duration) {
    let slower = if cfg!(debug_assertions) { 10 } else { 1 };
    let time = Duration::from_millis(20) + Duration::from_micros(length as u64);
    (1_000_000 + 50 * length, time * slower)
}

/// The largest amount of memory in use at a time, and the time that it took.
fn cost(text: &[u8]) -> (usize, Duration) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let start = Instant::now();
    let flags = FlagSet::from_json(text).unwrap();
    let time = start.elapsed();
    let memory = ALLOCATOR.peak_usage().saturating_sub(before);
    drop(flags);
    (memory, time)
}

type Input = Box<dyn Fn(usize) -> Vec<u8>>;

/// Texts of about a given size, each the worst of its kind.
fn inputs() -> Vec<(&'static str, Input)> {
    let mut inputs: Vec<(&'static str, Input)> = Vec::new();
    // A part repeated within something, as often as it fits.
    let mut repeated = |name, before: &'static str, part: &'static str, after: &'static str| {
        let input = move |size: usize| filled(size, before, |_| part.to_owned(), after);
        inputs.push((name, Box::new(input)));
    };
    let (value, end) = (r#"{"f":{"variations":{"v":["#, "0]}}}");
    repeated("digits in a list", value, "0,", end);
    repeated("empty lists", value, "[],", end);
    repeated("lists of a digit", value, "[0],", end);
    repeated("empty objects", value, "{},", end);
    repeated("objects with a member", value, r#"{"":0},"#, end);
    repeated("empty texts", value, "\"\",", end);
    repeated("texts with an escape", value, r#""\n","#, end);
    repeated(
        "members of an object",
        r#"{"f":{"variations":{"v":{"#,
        r#""a":0,"#,
        r#""a":0}}}}"#,
    );
    repeated(
        "variations",
        r#"{"f":{"variations":{"#,
        r#""a":0,"#,
        r#""a":0}}}"#,
    );
    repeated(
        "metadata objects",
        r#"{"f":{"metadata":{"m":["#,
        r#"{"":0},"#,
        "0]}}}",
    );
    repeated("lists within lists", value, "[[[[0]]]],", end);
    repeated(
        "bytes that are not UTF-8",
        r#"{"f":{"variations":{"v":""#,
        "?",
        r#""}}}"#,
    );
    repeated(
        "rules without members",
        r#"{"f":{"targeting":["#,
        "{},",
        "{}]}}",
    );
    repeated(
        "rules with a name",
        r#"{"f":{"targeting":["#,
        r#"{"name":"a"},"#,
        "{}]}}",
    );
    repeated(
        "rules with a variation",
        r#"{"f":{"targeting":["#,
        r#"{"variation":"a"},"#,
        "{}]}}",
    );
    repeated(
        "rules with a rollout",
        r#"{"f":{"targeting":["#,
        r#"{"progressiveRollout":{}},"#,
        "{}]}}",
    );
    repeated(
        "rules with a query",
        r#"{"f":{"targeting":["#,
        r#"{"query":"a pr","variation":"v"},"#,
        "{}]}}",
    );
    repeated(
        "steps without members",
        r#"{"f":{"scheduledRollout":["#,
        "{},",
        "{}]}}",
    );
    repeated(
        "steps of null",
        r#"{"f":{"scheduledRollout":["#,
        "null,",
        "{}]}}",
    );
    repeated(
        "steps in a step",
        r#"{"f":{"scheduledRollout":[{"scheduledRollout":["#,
        "{},",
        "{}]}]}}",
    );
    repeated(
        "repeated metadata",
        r#"{"f":{"#,
        r#""metadata":{"a":1},"#,
        r#""version":""}}"#,
    );
    repeated(
        "repeated variations",
        r#"{"f":{"#,
        r#""variations":{"a":1},"#,
        r#""version":""}}"#,
    );
    repeated(
        "repeated targeting",
        r#"{"f":{"#,
        r#""targeting":[{}],"#,
        r#""version":""}}"#,
    );
    repeated(
        "repeated steps",
        r#"{"f":{"#,
        r#""scheduledRollout":[{}],"#,
        r#""version":""}}"#,
    );
    repeated(
        "repeated default rules",
        r#"{"f":{"#,
        r#""defaultRule":{"percentage":{"a":1}},"#,
        r#""version":""}}"#,
    );
    repeated(
        "repeated percentages",
        r#"{"f":{"defaultRule":{"#,
        r#""percentage":{"a":1},"#,
        r#""name":""}}}"#,
    );
    repeated(
        "repeated flags",
        "{",
        r#""f":{"version":"1"},"#,
        r#""f":{}}"#,
    );
    let (query, end) = (
        r#"{"f":{"targeting":[{"query":""#,
        r#"","variation":"v"}]}}"#,
    );
    repeated("parentheses", query, "(", end);
    repeated("spaces", query, "a ", end);
    repeated("negations", query, "not ", end);
    repeated("conditions", query, "a pr or ", end);
    repeated("comparisons", query, "a eq 1 or ", end);
    repeated("operators without spaces", query, "and and(a", end);
    repeated("a path", query, "a.", end);
    repeated("paths", query, "a.b pr or ", end);
    repeated("brackets", query, "a in [1][][][][][][]", end);
    repeated(
        "a list of integers",
        r#"{"f":{"targeting":[{"query":"x in [1"#,
        ",1",
        r#"]","variation":"v"}]}}"#,
    );
    repeated(
        "a list of texts",
        r#"{"f":{"targeting":[{"query":"x in [\"\""#,
        r#",\"\""#,
        r#"]","variation":"v"}]}}"#,
    );
    repeated(
        "a list of doubles",
        r#"{"f":{"targeting":[{"query":"x in [1.0"#,
        ",1.0",
        r#"]","variation":"v"}]}}"#,
    );
    repeated(
        "a list that is broken",
        r#"{"f":{"targeting":[{"query":"x in [1"#,
        "[1",
        r#"]","variation":"v"}]}}"#,
    );
    repeated(
        "a long integer",
        r#"{"f":{"targeting":[{"query":"x eq 1"#,
        "[1",
        r#"]","variation":"v"}]}}"#,
    );
    repeated(
        "a text to search for",
        r#"{"f":{"targeting":[{"query":"x co \""#,
        "a",
        r#"\"","variation":"v"}]}}"#,
    );
    repeated(
        "queries with lists",
        r#"{"f":{"targeting":["#,
        r#"{"query":"x in [1,2,3,4,5,6,7,8,9]","variation":"v"},"#,
        "{}]}}",
    );
    repeated("lines", query, r"\n", end);
    repeated(
        "JSONLogic with a list",
        r#"{"f":{"targeting":[{"query":"{\"in\":[{\"var\":\"x\"},[0"#,
        ",0",
        r#"]]}","variation":"v"}]}}"#,
    );
    repeated(
        "JSONLogic with conditions",
        r#"{"f":{"targeting":[{"query":"{\"and\":["#,
        r#"{\"==\":[0,0]},"#,
        r#"{\"==\":[0,0]}]}","variation":"v"}]}}"#,
    );
    repeated(
        "JSONLogic that is interpreted",
        r#"{"f":{"targeting":[{"query":"{\"cat\":["#,
        "[],",
        r#"[]]}","variation":"v"}]}}"#,
    );
    repeated(
        "JSONLogic that does not end",
        r#"{"f":{"targeting":[{"query":"{\"cat\":["#,
        "[],",
        r#"","variation":"v"}]}}"#,
    );

    // The same, where each part differs.
    let mut numbered =
        |name, before: &'static str, part: fn(usize) -> String, after: &'static str| {
            let input = move |size: usize| filled(size, before, part, after);
            inputs.push((name, Box::new(input)));
        };
    numbered(
        "flags without members",
        "{",
        |index| format!("\"{index:x}\":{index},"),
        r#""":0}"#,
    );
    numbered(
        "flags with a member",
        "{",
        |index| format!(r#""{index:x}":{{"a":{index}}},"#),
        r#""":0}"#,
    );
    numbered(
        "flags with a variation",
        "{",
        |index| format!(r#""{index:x}":{{"variations":{{"a":{index}}}}},"#),
        r#""":0}"#,
    );
    numbered(
        "flags with a default rule",
        "{",
        |index| format!(r#""{index:x}":{{"defaultRule":{{"variation":"{index}"}}}},"#),
        r#""":0}"#,
    );
    numbered(
        "flags of one name",
        "{",
        |index| format!("\"\":{index},"),
        r#""":0}"#,
    );
    numbered(
        "named variations",
        r#"{"f":{"variations":{"#,
        |index| format!("\"{index:x}\":0,"),
        r#""":0}}}"#,
    );
    numbered(
        "named metadata",
        r#"{"f":{"metadata":{"#,
        |index| format!("\"{index:x}\":0,"),
        r#""":0}}}"#,
    );
    numbered(
        "percentages",
        r#"{"f":{"defaultRule":{"percentage":{"#,
        |index| format!("\"{index:x}\":1,"),
        r#""":0}}}}"#,
    );
    numbered(
        "repeated metadata with names",
        r#"{"f":{"#,
        |index| format!(r#""metadata":{{"{index}":1}},"#),
        r#""version":""}}"#,
    );
    numbered(
        "repeated percentages with names",
        r#"{"f":{"defaultRule":{"#,
        |index| format!(r#""percentage":{{"{index}":1}},"#),
        r#""name":""}}}"#,
    );
    numbered(
        "repeated variations with names",
        r#"{"f":{"#,
        |index| format!(r#""variations":{{"{index}":1}},"#),
        r#""version":""}}"#,
    );
    numbered(
        "attributes",
        query,
        |index| format!("a{index:x} pr or "),
        end,
    );
    numbered(
        "attributes in JSONLogic",
        r#"{"f":{"targeting":[{"query":"{\"and\":["#,
        |index| format!(r#"{{\"==\":[{{\"var\":\"{index:x}\"}},0]}},"#),
        r#"{\"==\":[0,0]}]}","variation":"v"}]}}"#,
    );
    numbered(
        "flags with a schedule",
        "{",
        |index| {
            let rules = "{},".repeat(40);
            let step = format!(r#"{{"date":"{}","targeting":[{{}}]}},"#, date(index)).repeat(20);
            format!(r#""{index}":{{"targeting":[{rules}{{}}],"scheduledRollout":[{step}{{}}]}},"#)
        },
        r#""":0}"#,
    );

    // Half of the text is a part of the flag, the other half steps that change it.
    let mut scheduled = |name, part: fn(usize) -> String, step: fn(usize) -> String| {
        let input = move |size: usize| {
            let flag = part(size / 2);
            let before = format!(r#"{{"f":{{{flag},"scheduledRollout":["#);
            let step = move |index| format!(r#"{{"date":"{}",{}}},"#, date(index), step(index));
            filled(size, &before, step, "{}]}}")
        };
        inputs.push((name, Box::new(input)));
    };
    let list = |size: usize| {
        format!(
            r#""targeting":[{{"query":"x in [1{}]","variation":"v"}}]"#,
            ",1".repeat(size / 2)
        )
    };
    let lists = |size: usize| {
        format!(
            r#""targeting":[{}{{}}]"#,
            format!(
                r#"{{"query":"x in [1{}]","variation":"v"}},"#,
                ",1".repeat(100)
            )
            .repeat(size / 240)
        )
    };
    let long_value = |size: usize| format!(r#""variations":{{"a":"{}","b":1}}"#, "x".repeat(size));
    let list_value =
        |size: usize| format!(r#""variations":{{"a":[0{}],"b":1}}"#, ",0".repeat(size / 2));
    let variations = |size: usize| {
        format!(
            r#""variations":{{{}"":0}}"#,
            (0..size / 9)
                .map(|index| format!(r#""{index:05}":0,"#))
                .collect::<String>()
        )
    };
    let empty_rules = |size: usize| format!(r#""targeting":[{}{{}}]"#, "{},".repeat(size / 3));
    let named_rules = |size: usize| {
        format!(
            r#""targeting":[{}{{}}]"#,
            (0..size / 16)
                .map(|index| format!(r#"{{"name":"{index:05}"}},"#))
                .collect::<String>()
        )
    };
    let percentages = |size: usize| {
        format!(
            r#""targeting":[{{"name":"r","percentage":{{{}"":1}}}}]"#,
            (0..size / 9)
                .map(|index| format!(r#""{index:05}":1,"#))
                .collect::<String>()
        )
    };
    let shares = |size: usize| {
        format!(
            r#""defaultRule":{{"percentage":{{{}"":1}}}}"#,
            (0..size / 9)
                .map(|index| format!(r#""{index:05}":1,"#))
                .collect::<String>()
        )
    };
    let metadata = |size: usize| format!(r#""metadata":{{"m":[0{}]}}"#, ",0".repeat(size / 2));
    let disable: fn(usize) -> String = |_| r#""disable":true"#.into();
    let vary: fn(usize) -> String = |index| format!(r#""variations":{{"b":{index}}}"#);
    let name: fn(usize) -> String = |index| format!(r#""variations":{{"n{index}":1}}"#);
    let add: fn(usize) -> String = |_| r#""targeting":[{}]"#.into();
    let rename: fn(usize) -> String = |_| r#""targeting":[{"name":"","query":"y pr"}]"#.into();
    let share: fn(usize) -> String =
        |index| format!(r#""targeting":[{{"name":"r","percentage":{{"n{index}":1}}}}]"#);
    let remove: fn(usize) -> String =
        |_| r#""targeting":[{"name":"r","percentage":{"00001":-1}}]"#.into();
    let one: fn(usize) -> String =
        |index| format!(r#""targeting":[{{"name":"{index:05}","disable":true}}]"#);
    let mention: fn(usize) -> String =
        |index| format!(r#""defaultRule":{{"variation":"m{index}"}}"#);
    let divide: fn(usize) -> String =
        |index| format!(r#""defaultRule":{{"percentage":{{"n{index}":1}}}}"#);
    for (label, part, step) in [
        ("steps over a list", list as fn(usize) -> String, disable),
        ("steps over many lists", lists, disable),
        ("steps that change a rule beside lists", lists, rename),
        ("steps over a long value", long_value, vary),
        ("steps over a list value", list_value, vary),
        ("steps that name variations", variations, name),
        ("steps that change one of many variations", variations, vary),
        ("steps that add rules", empty_rules, add),
        ("steps that change all rules", empty_rules, rename),
        ("steps that change one of many rules", named_rules, one),
        ("steps that add a percentage", percentages, share),
        ("steps that remove a percentage", percentages, remove),
        ("steps that mention variations", variations, mention),
        ("steps over shares of the default rule", shares, disable),
        ("steps that add a share to the default rule", shares, divide),
        ("steps over metadata", metadata, disable),
    ] {
        scheduled(label, part, step);
    }
    // One step that changes everything; steps due at one time; an update that many rules share.
    inputs.push(("a step with percentages", Box::new(|size| {
        let many = |from: usize| (0..size / 24).map(|index| format!(r#""{}":1,"#, from + index * 2)).collect::<String>();
        format!(r#"{{"f":{{"defaultRule":{{"percentage":{{{}"":0}}}},"scheduledRollout":[{{"date":"{}","defaultRule":{{"percentage":{{{}"":0}}}}}}]}}}}"#, many(100_000), date(1), many(100_001)).into_bytes()
    })));
    inputs.push((
        "steps due at once",
        Box::new(|size| {
            let rules = "{},".repeat(size / 6);
            let step = |_| format!(r#"{{"date":"{}","targeting":[{{}}]}},"#, date(1));
            filled(
                size,
                &format!(r#"{{"f":{{"targeting":[{rules}{{}}],"scheduledRollout":["#),
                step,
                "{}]}}",
            )
        }),
    ));
    inputs.push(("an update of many rules", Box::new(|size| {
        let rules = "{},".repeat(size / 6);
        let query = r#"x in [\"a\""#.to_owned() + &r#",\"a\""#.repeat(size / 12) + "]";
        format!(r#"{{"f":{{"targeting":[{rules}{{}}],"scheduledRollout":[{{"date":"{}","targeting":[{{"name":"","query":"{query}","variation":"{}"}}]}}]}}}}"#, date(1), "v".repeat(size / 4)).into_bytes()
    })));
    inputs
}

fn date(index: usize) -> String {
    format!(
        "{:04}-01-01T00:{:02}:{:02}Z",
        2000 + index / 3600 % 8000,
        index / 60 % 60,
        index % 60
    )
}

fn filled(size: usize, before: &str, part: impl Fn(usize) -> String, after: &str) -> Vec<u8> {
    let mut text = before.to_owned();
    for index in 0.. {
        let part = part(index);
        if text.len() + part.len() + after.len() > size.max(before.len() + 200) {
            break;
        }
        text.push_str(&part);
    }
    text.push_str(after);
    text.into_bytes()
        .into_iter()
        .map(|byte| if byte == b'?' { 0xff } else { byte })
        .collect()
}
