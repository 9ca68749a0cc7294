//! Size limits below, at and above their value, and bounds on the cost of hostile inputs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use goff_engine::{ErrorCode, Flag, FlagContext, Timestamp, evaluate_document};
use serde_json::{Value, json};

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_720_000_000)
}

/// The details of the error, or the variation served.
fn document(query: &str, context: &str) -> String {
    let query = Value::from(query);
    let input = format!(
        r#"{{"flagKey":"f","flag":{{"variations":{{"yes":1,"no":0}},"targeting":[{{"query":{query},"variation":"yes"}}],"defaultRule":{{"variation":"no"}}}},"evalContext":{context}}}"#
    );
    let output: Value = serde_json::from_str(&evaluate_document(input.as_bytes(), now())).unwrap();
    let text = |name: &str| {
        output
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if text("errorCode") == "PARSE_ERROR" {
        text("errorDetails")
    } else {
        text("variationType")
    }
}

fn check(name: &str, limit: usize, build: impl Fn(usize) -> String, within: &str, above: &str) {
    for size in [limit - 1, limit] {
        assert_eq!(
            document(&build(size), r#"{"x":1}"#),
            within,
            "{name} of {size}"
        );
    }
    assert_eq!(
        document(&build(limit + 1), r#"{"x":1}"#),
        above,
        "{name} above {limit}"
    );
}

#[test]
fn query_limits() {
    check(
        "parentheses",
        64,
        |depth| format!("{}x eq 1{}", "(".repeat(depth), ")".repeat(depth)),
        "yes",
        "targeting query exceeds the maximum nesting depth (65 > 64)",
    );
    check(
        "JSONLogic nesting",
        256,
        |depth| format!("{}true{}", r#"{"!!":"#.repeat(depth), "}".repeat(depth)),
        "yes",
        "targeting query exceeds the maximum nesting depth (257 > 256)",
    );
    check(
        "JSONLogic list",
        1000,
        |length| format!(r#"{{"in":[1,[{}1]]}}"#, "0,".repeat(length - 1)),
        "yes",
        "targeting query list exceeds the maximum item count (1001 > 1000)",
    );
    check(
        "list",
        1000,
        |length| format!("x in [{}1]", "0,".repeat(length - 1)),
        "yes",
        "targeting query list exceeds the maximum item count (1001 > 1000)",
    );
    check(
        "conditions",
        1000,
        |count| format!("{}x eq 1", "x eq 1 and ".repeat(count - 1)),
        "yes",
        "targeting query exceeds the maximum condition count (1001 > 1000)",
    );
    check(
        "path",
        128,
        |length| format!("x eq 1 or {}x pr", "x.".repeat(length - 1)),
        "yes",
        "targeting query attribute path exceeds the maximum segment count (129 > 128)",
    );
}

#[test]
fn input_nesting() {
    // The context stands one level deep in the document.
    let nested = |depth: usize| {
        format!(
            r#"{{"x":1,"l":{}{}}}"#,
            "[".repeat(depth - 2),
            "]".repeat(depth - 2)
        )
    };
    assert_eq!(document("x eq 1", &nested(127)), "yes");
    assert_eq!(document("x eq 1", &nested(128)), "yes");
    assert_eq!(
        document("x eq 1", &nested(129)),
        "input JSON exceeds the maximum nesting depth (128)"
    );
}

#[test]
fn a_flag_is_measured_as_part_of_its_document() {
    let flag = |depth: usize| {
        let depth = depth - 3;
        let json = format!(
            r#"{{"metadata":{{"m":{}{}}},"defaultRule":{{"variation":"a"}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        Flag::from_json("f", json.as_bytes())
            .error()
            .map(ToString::to_string)
    };
    assert_eq!(flag(127), None);
    assert_eq!(flag(128), None);
    assert_eq!(
        flag(129).as_deref(),
        Some("input JSON exceeds the maximum nesting depth (128)")
    );
}

#[test]
fn limits_apply_to_steps_that_are_not_due() {
    let query = format!("{}x eq 1{}", "(".repeat(65), ")".repeat(65));
    let flag = json!({
        "defaultRule": {"variation": "a"},
        "scheduledRollout": [{"date": "2999-01-01T00:00:00Z", "targeting": [{"query": query, "variation": "a"}]}],
    });
    let flag = Flag::from_json("f", flag.to_string().as_bytes());
    let context = FlagContext::default();
    let empty = serde_json::Map::new();
    let evaluation = flag.evaluate(&empty, &context, now());
    assert_eq!(
        evaluation.error.map(|error| error.code()),
        Some(ErrorCode::ParseError)
    );
}

/// Queries nest without parentheses, too. The parser counts, so that it never overflows the stack.
#[test]
fn nesting_without_brackets_is_counted() {
    on_a_small_stack(|| {
        for (count, expected) in [(500, "yes"), (998, "yes"), (1002, "no"), (15_000, "no")] {
            // An even number of negations.
            assert_eq!(
                document(&format!("{}(x eq 1)", "not ".repeat(count)), r#"{"x":1}"#),
                expected,
                "{count}"
            );
        }
        for query in [
            "x eq 1 and  ".repeat(900),
            "( ".repeat(60) + &"  x".repeat(20_000),
            " and(x eq 1)".repeat(5_000),
        ] {
            let _ = document(&query, r#"{"x":1}"#);
        }
    });
}

/// Runs on the stack of an asynchronous runtime's thread.
fn on_a_small_stack(run: fn()) {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(run).unwrap().join().unwrap();
}

/// Where the dialect evaluates twice, data is evaluated as a rule, at any depth.
#[test]
fn data_nested_deeper_than_any_document_is_counted() {
    on_a_small_stack(|| {
        // The value itself is dropped by recursion, which bounds how deep it can be.
        for depth in [10, 250, 600, 1_000] {
            let mut deep = Value::from(true);
            for _ in 0..depth {
                deep = Value::Object(
                    [("!!".to_owned(), Value::Array(vec![deep]))]
                        .into_iter()
                        .collect(),
                );
            }
            let context = serde_json::Map::from_iter([("deep".to_owned(), deep)]);
            for query in [
                r#"{"if":[true,{"var":"deep"}]}"#,
                r#"{"filter":[[1],{"var":"deep"}]}"#,
                r#"{"cat":[{"merge":[{"var":"deep"}]}]}"#,
            ] {
                let flag = json!({"targeting": [{"query": query, "variation": "yes"}], "defaultRule": {"variation": "no"}});
                let flag = Flag::from_json("f", flag.to_string().as_bytes());
                let flag_context = FlagContext::default();
                let evaluation = flag.evaluate(&context, &flag_context, now());
                if query.starts_with(r#"{"if"#) {
                    assert_eq!(
                        evaluation.variant,
                        if depth <= 250 { "yes" } else { "no" },
                        "{depth}"
                    );
                }
            }
        }
    });
}

/// JSONLogic whose results grow without end stops soon and matches no context.
#[test]
fn json_logic_is_bounded_by_steps() {
    let doubling = r#"{"reduce":[[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],{"cat":[{"var":"accumulator"},{"var":"accumulator"}]},"ab"]}"#;
    let list = format!("[{}1]", "1,".repeat(300));
    let nested =
        format!(r#"{{"map":[{list},{{"map":[{list},{{"map":[{list},{{"+":[1,1]}}]}}]}}]}}"#);
    let contains = format!(r#"{{"map":[{list},{{"contains_none":[{list},[2,3,4,5,6,7,8,9]]}}]}}"#);
    for rule in [doubling, &nested, &contains] {
        let start = Instant::now();
        assert_eq!(document(rule, r#"{"x":1}"#), "no");
        let slack = if cfg!(debug_assertions) { 100 } else { 1 };
        assert!(
            start.elapsed() < Duration::from_millis(50) * slack,
            "{rule}"
        );
    }
    // Rules in practice are far below.
    let list = format!("[{}1]", "1,".repeat(999));
    assert_eq!(
        document(
            &format!(r#"{{"all":[{list},{{"==":[{{"var":""}},1]}}]}}"#),
            r#"{"x":1}"#
        ),
        "yes"
    );
}

#[test]
fn scheduled_rollouts_are_bounded() {
    let rules: Vec<Value> = (0..2_000).map(|_| json!({})).collect();
    let steps: Vec<Value> = (0..200)
        .map(|day| json!({"date": format!("2024-01-{:02}T00:00:{:02}Z", day % 28 + 1, day / 28), "targeting": [{"variation": "a"}]}))
        .collect();
    let flag =
        json!({"targeting": rules, "scheduledRollout": steps, "defaultRule": {"variation": "a"}});
    let flag = Flag::from_json("f", flag.to_string().as_bytes());
    let error = flag.error().unwrap().to_string();
    assert!(
        error.starts_with("scheduled rollout exceeds the maximum"),
        "{error}"
    );
}
