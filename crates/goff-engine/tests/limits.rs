//! Size limits below, at and above their value, and bounds on the cost of hostile inputs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use goff_engine::{ErrorCode, Flag, FlagContext, Timestamp, evaluate_document};
use serde_json::{Map, Value, json};

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_720_000_000)
}

/// A context.
const X: &str = r#"{"x":1}"#;

/// The details of the error, or the variation served.
fn document(query: &str, context: &str) -> String {
    let query = Value::from(query);
    let input = format!(
        r#"{{"flagKey":"f","flag":{{"variations":{{"yes":1,"no":0}},"targeting":[{{"query":{query},"variation":"yes"}}],"defaultRule":{{"variation":"no"}}}},"evalContext":{context}}}"#
    );
    let output: Value = serde_json::from_str(&evaluate_document(input.as_bytes(), now())).unwrap();
    let text = |name: &str| {
        let text = output.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    if text("errorCode") == "PARSE_ERROR" {
        text("errorDetails")
    } else {
        text("variationType")
    }
}

#[test]
fn query_limits() {
    let check = |limit: usize, build: fn(usize) -> String, message: &str| {
        for size in [limit - 1, limit] {
            let query = build(size);
            assert_eq!(document(&query, X), "yes", "{query}");
        }
        let message = format!("targeting {message} ({} > {limit})", limit + 1);
        assert_eq!(document(&build(limit + 1), X), message);
    };
    let parentheses = |depth| format!("{}x eq 1{}", "(".repeat(depth), ")".repeat(depth));
    check(64, parentheses, "query exceeds the maximum nesting depth");
    let logic = |depth| format!("{}true{}", r#"{"!!":"#.repeat(depth), "}".repeat(depth));
    check(256, logic, "query exceeds the maximum nesting depth");
    let logic_list = |length| format!(r#"{{"in":[1,[{}1]]}}"#, "0,".repeat(length - 1));
    let list = |length| format!("x in [{}1]", "0,".repeat(length - 1));
    for list in [logic_list, list] {
        check(1000, list, "query list exceeds the maximum item count");
    }
    let conditions = |count| format!("{}x eq 1", "x eq 1 and ".repeat(count - 1));
    check(
        1000,
        conditions,
        "query exceeds the maximum condition count",
    );
    let path = |length| format!("x eq 1 or {}x pr", "x.".repeat(length - 1));
    let message = "query attribute path exceeds the maximum segment count";
    check(128, path, message);
}

const TOO_DEEP: &str = "input JSON exceeds the maximum nesting depth (128)";

#[test]
fn input_nesting() {
    // The context stands one level deep in the document.
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
        document("x eq 1", &format!(r#"{{"x":1,"l":{open}{close}}}"#))
    };
    assert_eq!(nested(127), "yes");
    assert_eq!(nested(128), "yes");
    assert_eq!(nested(129), TOO_DEEP);
}

#[test]
fn a_flag_is_measured_as_part_of_its_document() {
    let flag = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 3), "]".repeat(depth - 3));
        let json =
            format!(r#"{{"metadata":{{"m":{open}{close}}},"defaultRule":{{"variation":"a"}}}}"#);
        let flag = Flag::from_json("f", json.as_bytes());
        flag.error().map(ToString::to_string)
    };
    assert_eq!(flag(127), None);
    assert_eq!(flag(128), None);
    assert_eq!(flag(129).as_deref(), Some(TOO_DEEP));
}

#[test]
fn limits_apply_to_steps_that_are_not_due() {
    let query = format!("{}x eq 1{}", "(".repeat(65), ")".repeat(65));
    let flag = json!({
        "defaultRule": {"variation": "a"},
        "scheduledRollout": [{"date": "2999-01-01T00:00:00Z", "targeting": [{"query": query, "variation": "a"}]}],
    });
    let flag = Flag::from_json("f", flag.to_string().as_bytes());
    let (empty, flag_context) = (Map::new(), FlagContext::default());
    let error = flag.evaluate(&empty, &flag_context, now()).error;
    assert_eq!(error.unwrap().code(), ErrorCode::ParseError);
}

/// Queries nest without parentheses, too. The parser counts, so that it never overflows the stack.
#[test]
fn nesting_without_brackets_is_counted() {
    on_a_small_stack(|| {
        for (count, expected) in [(500, "yes"), (998, "yes"), (1002, "no"), (15_000, "no")] {
            // An even number of negations.
            let query = format!("{}(x eq 1)", "not ".repeat(count));
            assert_eq!(document(&query, X), expected, "{count}");
        }
        for query in [
            "x eq 1 and  ".repeat(900),
            "( ".repeat(60) + &"  x".repeat(20_000),
            " and(x eq 1)".repeat(5_000),
        ] {
            let _ = document(&query, X);
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
                deep = Value::Object(Map::from_iter([("!!".to_owned(), vec![deep].into())]));
            }
            let context = Map::from_iter([("deep".to_owned(), deep)]);
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
                    let expected = if depth <= 250 { "yes" } else { "no" };
                    assert_eq!(evaluation.variant, expected, "{depth}");
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
        assert_eq!(document(rule, X), "no");
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 5000 } else { 50 });
        assert!(start.elapsed() < limit, "{rule}");
    }
    // Rules in practice are far below.
    let list = format!("[{}1]", "1,".repeat(999));
    let rule = format!(r#"{{"all":[{list},{{"==":[{{"var":""}},1]}}]}}"#);
    assert_eq!(document(&rule, X), "yes");
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
    let message = "scheduled rollout exceeds the maximum";
    assert!(error.starts_with(message), "{error}");
}
