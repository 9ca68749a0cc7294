//! What has no limit as in the relay proxy, what is counted, and bounds on the cost of evaluations.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use goff_engine::{ErrorCode, Flag, FlagContext, FlagSet, Timestamp};
use serde_json::{Map, Value, json};

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_720_000_000)
}

/// A context.
const X: &str = r#"{"x":1}"#;

fn flag(query: &str) -> Value {
    json!({
        "variations": {"yes": 1, "no": 0},
        "targeting": [{"query": query, "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    })
}

/// The beginning of a query.
fn shown(query: &str) -> String {
    query.chars().take(40).collect()
}

/// The variation served.
fn served(query: &str, context: &str) -> String {
    let flag = Flag::from_json("f", flag(query).to_string().as_bytes());
    let context: Map<String, Value> = serde_json::from_str(context).unwrap();
    let flag_context = FlagContext::default();
    let evaluation = flag.evaluate(&context, &flag_context, now());
    assert_eq!(evaluation.error, None);
    evaluation.variant.to_owned()
}

fn assert_loaded_from_a_file(text: &str) {
    #[cfg(feature = "file")]
    {
        let file = goff_engine::FlagFile::parse(text, goff_engine::FlagFileFormat::Json).unwrap();
        assert!(file.problems.is_empty(), "{:?}", file.problems);
    }
    let _ = text;
}

/// The relay proxy has no limit for any of these; the compiled module refuses all of them.
#[test]
fn long_and_deep_flags_are_served_as_by_the_relay_proxy() {
    on_a_small_stack(|| {
        let parentheses = |depth| format!("{}x eq 1{}", "(".repeat(depth), ")".repeat(depth));
        let logic = |depth| format!("{}true{}", r#"{"!!":"#.repeat(depth), "}".repeat(depth));
        let list = |length: usize| format!("x in [{}1]", "0,".repeat(length - 1));
        let logic_list = |length: usize| format!(r#"{{"in":[1,[{}1]]}}"#, "0,".repeat(length - 1));
        let texts = |length: usize| {
            let texts: String = (1..length).map(|index| format!("\"{index}\",")).collect();
            format!("targetingKey in [{texts}\"u\"]")
        };
        let conditions = |count: usize| format!("{}x eq 1", "x eq 0 or ".repeat(count - 1));
        let path = |length: usize| format!("x eq 1 or {}x pr", "x.".repeat(length - 1));
        for query in [
            parentheses(65),
            parentheses(900),
            logic(257),
            logic(500),
            list(1_001),
            list(100_000),
            logic_list(1_001),
            logic_list(100_000),
            texts(1_001),
            texts(100_000),
            conditions(1_001),
            conditions(20_000),
            path(129),
            path(10_000),
        ] {
            let answer = served(&query, r#"{"x":1,"targetingKey":"u"}"#);
            assert_eq!(answer, "yes", "{}", shown(&query));
            assert_loaded_from_a_file(&json!({"f": flag(&query)}).to_string());
        }
        for depth in [130, 250, 900] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let text = format!(
                r#"{{"f":{{"variations":{{"a":{deep}}},"metadata":{{"m":{deep}}},"defaultRule":{{"variation":"a"}}}}}}"#
            );
            let flags = FlagSet::from_json(text.as_bytes()).unwrap();
            let (context, flag_context) = (Map::new(), FlagContext::default());
            let evaluation = flags.evaluate("f", &context, &flag_context, now());
            assert_eq!(evaluation.error, None, "{depth}");
            assert_eq!(evaluation.value.to_string(), deep);
            if depth < 250 {
                assert_loaded_from_a_file(&text);
            }
        }
    });
}

#[test]
fn nesting_beyond_the_count_affects_one_flag_only() {
    on_a_small_stack(|| {
        for depth in [1_001, 20_000, 1_000_000] {
            let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let text = format!(
                r#"{{"good":{{"defaultRule":{{"variation":"a"}}}},"deep":{{"variations":{{"a":{deep}}}}}}}"#
            );
            let flags = FlagSet::from_json(text.as_bytes()).unwrap();
            assert_eq!(flags.get("good").unwrap().error(), None);
            let error = flags.get("deep").unwrap().error().unwrap().to_string();
            assert!(error.starts_with("nested too deeply"), "{error}");
        }
        for depth in [520, 5_000, 200_000] {
            let logic = format!("{}true{}", r#"{"!!":"#.repeat(depth), "}".repeat(depth));
            assert_eq!(served(&logic, X), "no");
            let parentheses = format!("{}x eq 1{}", "(".repeat(depth * 2), ")".repeat(depth * 2));
            assert_eq!(served(&parentheses, X), "no");
        }
    });
}

#[cfg(feature = "document")]
mod documents {
    use goff_engine::evaluate_document;

    use super::*;

    /// The details of the error, or the variation served.
    fn document(query: &str, context: &str) -> String {
        let flag = flag(query);
        let input = format!(r#"{{"flagKey":"f","flag":{flag},"evalContext":{context}}}"#);
        let output = evaluate_document(input.as_bytes(), now());
        let output: Value = serde_json::from_str(&output).unwrap();
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

    #[test]
    fn input_nesting() {
        // The context stands one level deep in the document.
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 2), "]".repeat(depth - 2));
            document("x eq 1", &format!(r#"{{"x":1,"l":{open}{close}}}"#))
        };
        assert_eq!(nested(127), "yes");
        assert_eq!(nested(128), "yes");
        let too_deep = "input JSON exceeds the maximum nesting depth (128)";
        assert_eq!(nested(129), too_deep);
    }

    #[test]
    fn limits_apply_to_steps_that_are_not_due() {
        let query = format!("{}x eq 1{}", "(".repeat(65), ")".repeat(65));
        let step = json!({"date": "2999-01-01T00:00:00Z", "targeting": [{"query": query, "variation": "a"}]});
        let flag = json!({"defaultRule": {"variation": "a"}, "scheduledRollout": [step]});
        let input = json!({"flagKey": "f", "flag": flag}).to_string();
        let output = evaluate_document(input.as_bytes(), now());
        assert!(output.contains("PARSE_ERROR"), "{output}");
        // Which is the document's error: the flag itself is served.
        let flag = Flag::from_json("f", flag.to_string().as_bytes());
        assert_eq!(flag.error(), None);
    }
}

/// Queries nest without parentheses, too. The parser counts, so that it never overflows the stack.
#[test]
fn nesting_without_brackets_is_counted() {
    on_a_small_stack(|| {
        for (count, expected) in [(500, "yes"), (998, "yes"), (1002, "no"), (15_000, "no")] {
            // An even number of negations.
            let query = format!("{}(x eq 1)", "not ".repeat(count));
            assert_eq!(served(&query, X), expected, "{count}");
        }
        for query in [
            "x eq 1 and  ".repeat(900),
            "( ".repeat(60) + &"  x".repeat(20_000),
            " and(x eq 1)".repeat(5_000),
        ] {
            let _ = served(&query, X);
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
        assert_eq!(served(rule, X), "no");
        let limit = Duration::from_millis(if cfg!(debug_assertions) { 5000 } else { 50 });
        assert!(start.elapsed() < limit, "{rule}");
    }
    // Rules in practice are far below.
    let list = format!("[{}1]", "1,".repeat(999));
    let rule = format!(r#"{{"all":[{list},{{"==":[{{"var":""}},1]}}]}}"#);
    assert_eq!(served(&rule, X), "yes");
}

/// What a value takes once it is served is bounded: an object of one byte takes 640.
#[test]
fn parts_of_a_value_are_counted() {
    let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
    for (value, is_served) in [
        (list("0", 100_000), true),
        (list("0", 131_071), true),
        (list("0", 131_072), false),
        (list(r#"{"":0}"#, 14_563), true),
        (list(r#"{"":0}"#, 14_564), false),
        (list("[]", 140_000), false),
        (list(r#"{"a":{"b":{}}}"#, 6_000), false),
        (format!(r#"{{"a":{}}}"#, list("\"\"", 140_000)), false),
    ] {
        let rule = r#""defaultRule":{"variation":"a"}"#;
        let text = format!(
            r#"{{"value":{{"variations":{{"a":{value}}},{rule}}},
                "metadata":{{"variations":{{"a":1}},"metadata":{{"m":{value}}},{rule}}},
                "good":{{"variations":{{"a":1}},{rule}}}}}"#
        );
        let flags = FlagSet::from_json(text.as_bytes()).unwrap();
        for flag in ["value", "metadata"] {
            let error = flags.get(flag).unwrap().error().map(ToString::to_string);
            let message = error.as_deref().unwrap_or_default();
            let is_told = message.contains("at most 131,072 parts");
            assert_eq!(is_told, !is_served, "{flag} {}: {message}", shown(&value));
        }
        assert_eq!(flags.get("good").unwrap().error(), None);
    }
}

/// The cost of loading a scheduled rollout grows with steps times rules.
#[test]
fn a_flag_that_is_too_expensive_is_its_own_error() {
    let steps = |count: usize, step: Value| -> Vec<Value> {
        let dated = |index: usize| {
            let date = format!(
                "2024-01-{:02}T00:00:{:02}Z",
                index % 28 + 1,
                index / 28 % 60
            );
            let mut step = step.clone();
            step["date"] = date.into();
            step
        };
        (0..count).map(dated).collect()
    };
    let rule = json!({"query": "x eq 1", "variation": "a"});
    let rules = vec![rule; 2_000];
    let percentages: Map<String, Value> = (0..3_000)
        .map(|index| (index.to_string(), json!(1)))
        .collect();
    let good = json!({"variations": {"a": 1}, "defaultRule": {"variation": "a"}});
    for (flag, expensive) in [
        (
            json!({"targeting": rules, "scheduledRollout": steps(200, json!({"targeting": [{"variation": "a"}]}))}),
            true,
        ),
        (
            json!({"targeting": rules, "scheduledRollout": steps(200, json!({"targeting": [{"name": "", "disable": true}]}))}),
            true,
        ),
        (
            json!({"defaultRule": {"percentage": percentages}, "scheduledRollout": steps(200, json!({"defaultRule": {"percentage": {"x": 1}}}))}),
            true,
        ),
        // What a step does not change costs nothing more.
        (
            json!({"targeting": rules, "scheduledRollout": steps(200, json!({"disable": true}))}),
            false,
        ),
        (
            json!({"variations": {"a": "x".repeat(100_000), "b": 1}, "scheduledRollout": steps(1_000, json!({"variations": {"b": 2}}))}),
            false,
        ),
        (
            json!({"targeting": rules[..100], "scheduledRollout": steps(20, json!({"targeting": [{"variation": "a"}]}))}),
            false,
        ),
    ] {
        let flags = json!({"flag": flag, "good": good}).to_string();
        let flags = FlagSet::from_json(flags.as_bytes()).unwrap();
        let error = flags.get("flag").unwrap().error();
        let message = error.map(ToString::to_string).unwrap_or_default();
        assert_eq!(message.contains("too expensive"), expensive, "{message}");
        assert_eq!(flags.get("good").unwrap().error(), None);
        if expensive {
            let (context, flag_context) = (Map::new(), FlagContext::default());
            let evaluation = flags.evaluate("flag", &context, &flag_context, now());
            assert_eq!(evaluation.error.unwrap().code(), ErrorCode::ParseError);
        }
    }
}

/// Attributes of any length cost an evaluation some milliseconds at most.
#[test]
fn long_attributes_are_bounded() {
    let context = |length: usize| {
        let text = format!("{}é{}", "Ab".repeat(length / 2), "c".repeat(10));
        json!({"targetingKey": "u", "x": text, "v": format!("1.0.0-{}", "a".repeat(length))})
    };
    let many = |condition: &str| vec![condition; 1_000].join(" or ");
    let logic = |condition: &str| format!(r#"{{"or":[{}]}}"#, vec![condition; 1_000].join(","));
    let repeated = format!("x co \"{}c\"", "ab".repeat(5_000));
    for query in [
        many("x co \"nothing\""),
        many("x eq \"nothing\""),
        many("x ne \"nothing\" and x lt \"a\""),
        many("x sw \"abé\" or x ew \"nothing\""),
        many("v gt 2.0.0"),
        repeated,
        logic(r#"{"in":["nothing",{"var":"x"}]}"#),
        logic(r#"{"==":[1,{"var":"x"}]}"#),
        logic(r#"{"!=":[{"var":"x"},{"var":"x"}]}"#),
        logic(r#"{"==":[{"cat":[{"var":"x"},"a"]},{"var":"x"}]}"#),
    ] {
        let flag = Flag::from_json("f", flag(&query).to_string().as_bytes());
        for length in [10_000, 2_000_000] {
            let context = context(length);
            let context = context.as_object().unwrap();
            let flag_context = FlagContext::default();
            let start = Instant::now();
            let evaluation = flag.evaluate(context, &flag_context, now());
            let time = start.elapsed();
            assert_eq!(evaluation.variant, "no", "{}", shown(&query));
            let limit = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 50 });
            assert!(time < limit, "{} of {length} took {time:?}", shown(&query));
        }
    }
}

/// The right answer for texts as they occur, and one answer beyond the limit: no rule matches.
#[test]
fn long_attributes_are_searched_to_their_end() {
    for length in [100, 60_000, 300_000, 3_000_000] {
        let text = format!("{}É needle", "x".repeat(length));
        let context = json!({"x": text}).to_string();
        assert_eq!(served("x co \"é NEEDLE\"", &context), "yes", "{length}");
        assert_eq!(
            served("not (x co \"needles\")", &context),
            "yes",
            "{length}"
        );
        assert_eq!(
            served(r#"{"in":["needle",{"var":"x"}]}"#, &context),
            // A step of JSONLogic reads 32 bytes, and a rule has 60,000 steps.
            if length < 1_900_000 { "yes" } else { "no" },
            "{length}"
        );
    }
    let beyond = json!({"x": "x".repeat(5_000_000)}).to_string();
    assert_eq!(served("x co \"x\"", &beyond), "no");
    assert_eq!(served("not (x co \"y\")", &beyond), "no");
    assert_eq!(served("not (x co \"y\") or targetingKey pr", &beyond), "no");
    assert_eq!(served(r#"{"!":[{"in":["y",{"var":"x"}]}]}"#, &beyond), "no");
}

/// The limit is that of an evaluation, however many rules share it.
#[test]
fn interpreted_rules_share_the_limit() {
    let list = format!("[{}1]", "1,".repeat(900));
    let rule = format!(r#"{{"some":[{list},{{"some":[{list},{{"==":[{{"var":""}},2]}}]}}]}}"#);
    let rules: Vec<Value> = (0..400)
        .map(|_| json!({"query": rule, "variation": "yes"}))
        .collect();
    let flag = json!({"targeting": rules, "defaultRule": {"variation": "no"}}).to_string();
    let flag = Flag::from_json("f", flag.as_bytes());
    let (context, flag_context) = (Map::new(), FlagContext::default());
    let start = Instant::now();
    assert_eq!(flag.evaluate(&context, &flag_context, now()).variant, "no");
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 2_000 } else { 100 });
    assert!(start.elapsed() < limit);
}
