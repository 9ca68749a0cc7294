//! Explanations: what they say, that they agree with evaluations, and that they stay small.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader};

use goff_engine::{Attributes, Explanation, Flag, FlagContext, FlagSet, RuleOutcome, Timestamp};
use goff_generators::{contexts, flags, json_logic_rules, rule_language_queries};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Explains a flag, and checks that the explanation has the evaluation's result and is small.
fn checked(
    flag: &Flag,
    context: &(impl Attributes + ?Sized),
    flag_context: &FlagContext,
) -> Explanation {
    let now = Timestamp::parse("2025-06-15T12:00:00Z").unwrap();
    let explanation = flag.explain(context, flag_context, now);
    let evaluation = flag.evaluate(context, flag_context, now);
    let error = evaluation
        .error
        .as_ref()
        .map(|error| (error.code(), error.to_string()));
    let explained = explanation.error.as_ref();
    let explained = explained.map(|error| (error.code, error.message.clone()));
    assert_eq!(explained, error, "{flag:?}");
    assert_eq!(explanation.value, *evaluation.value, "{flag:?}");
    assert_eq!(explanation.variant, evaluation.variant, "{flag:?}");
    assert_eq!(explanation.reason, evaluation.reason, "{flag:?}");
    assert_eq!(explanation.cacheable, evaluation.cacheable, "{flag:?}");
    // At most one rule failed, and nothing after it was evaluated.
    let mut from_failed = explanation
        .rules
        .iter()
        .skip_while(|rule| rule.outcome != RuleOutcome::Failed);
    assert!(
        from_failed.next().is_none() || explanation.error.is_some(),
        "{explanation}"
    );
    assert!(
        from_failed.all(|rule| rule.outcome == RuleOutcome::Skipped),
        "{explanation}"
    );
    let mut decided = explanation
        .rules
        .iter()
        .filter(|rule| rule.outcome == RuleOutcome::Matched);
    let decided = decided.next().filter(|_| decided.next().is_none());
    assert_eq!(
        decided.is_some(),
        evaluation.error.is_none() && evaluation.reason.as_str() != "DISABLED",
        "{explanation}"
    );
    let name = decided.and_then(|rule| rule.name.as_deref().filter(|_| rule.index.is_some()));
    if evaluation.rule_name.is_none_or(|name| name.len() < 100) {
        assert_eq!(name, evaluation.rule_name, "{explanation}");
    }
    let value = serde_json::to_string(&explanation.value).unwrap().len();
    let json = serde_json::to_string(&explanation).unwrap().len();
    let most = (128 << 10) + 16 * flag.raw_json().len();
    for size in [json - value, explanation.to_string().len()] {
        assert!(size <= most, "{size} bytes of {most}");
    }
    explanation
}

fn explain_enriched(flag: &Value, context: &Value, enrichment: &Value) -> Explanation {
    let flag = Flag::from_json("flag", flag.to_string().as_bytes());
    let object = |value: &Value| value.as_object().unwrap().clone();
    let flag_context = FlagContext::new(json!("default")).with_enrichment(object(enrichment));
    checked(&flag, &object(context), &flag_context)
}

fn explain(flag: &Value, context: &Value) -> Explanation {
    explain_enriched(flag, context, &json!({}))
}

/// A flag with one targeting rule with this query.
fn with_query(query: &str) -> Value {
    json!({
        "variations": {"yes": true, "no": false},
        "targeting": [{"query": query, "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    })
}

/// The last condition of a query says this.
fn check(query: &str, context: &Value, holds: Option<bool>, why: &str) {
    let explanation = explain(&with_query(query), context);
    let last = explanation.rules[0].conditions.last();
    let last = last.unwrap_or_else(|| panic!("{query}: {explanation}"));
    assert_eq!(
        (last.holds, last.why.as_str()),
        (holds, why),
        "{query} for {context}"
    );
}

#[test]
fn conditions_of_the_rule_language_say_why() {
    let (yes, no) = (Some(true), Some(false));
    let endless = format!("{}.5", "9".repeat(400));
    let context = json!({
        "age": "42", "score": 1.9, "plan": "Pro", "on": true, "v": "1.10.0", "l": [1], "o": {"x": 1}, "n": 42,
    });
    for (query, holds, why) in [
        (
            "age eq 42",
            no,
            "`age` is the string \"42\", and a string never equals a number",
        ),
        (
            "age ge 42",
            no,
            "`age` is the string \"42\", and a string is never at least a number",
        ),
        (
            "age ne 42",
            no,
            "`age` is the string \"42\", and comparing a string with a number is false, also with `ne`",
        ),
        (
            "age in [42]",
            no,
            "`age` is the string \"42\", and a string is never in a list of integers",
        ),
        ("n eq 42", yes, "`n` is the number 42"),
        (
            "n eq \"42\"",
            no,
            "`n` is the number 42, and a number never equals a string",
        ),
        (
            "n gt 42",
            no,
            "`n` is the number 42, which is not greater than 42",
        ),
        (
            "n co \"4\"",
            no,
            "`n` is the number 42, and a number never contains a string",
        ),
        (
            "l eq 1",
            no,
            "`l` is the list [1], and a list never equals a number",
        ),
        (
            "o eq true",
            no,
            "`o` is the object {\"x\":1}, and an object never equals a boolean",
        ),
        (
            "on eq false",
            no,
            "`on` is the boolean true, which does not equal false",
        ),
        (
            "ghost ne 1",
            no,
            "`ghost` is missing or null, and a comparison with a missing attribute is false, also with `ne`",
        ),
        ("ghost pr", no, "`ghost` is missing or null"),
        ("ghost eq null", yes, "`ghost` is missing or null"),
        (
            "score eq 1",
            yes,
            "`score` is the number 1.9, of which a comparison with an integer takes 1",
        ),
        (
            "score eq 2",
            no,
            "`score` is the number 1.9, of which a comparison with an integer takes 1, which does not equal 2",
        ),
        (
            "score in [1]",
            no,
            "`score` is the number 1.9, and a number with a fraction is never in a list of integers",
        ),
        (
            "o.x in [1]",
            no,
            "`o.x` is the number 1, and a number from the enrichment or from inside an object is never in a list of integers",
        ),
        (
            "plan eq \"PRO\"",
            yes,
            "`plan` is the string \"Pro\", and `eq` ignores the case of letters",
        ),
        (
            "plan in [\"PRO\"]",
            no,
            "`plan` is the string \"Pro\", and `in` does not ignore the case of letters, which is not in [\"PRO\"]",
        ),
        (
            "plan in \"PRO\"",
            no,
            "`plan` is the string \"Pro\", and `in` is always false without a list",
        ),
        (
            "plan eq [\"PRO\"]",
            no,
            "`plan` is the string \"Pro\", and `eq` with a list is always false",
        ),
        ("v gt 1.9.0", yes, "`v` is the string \"1.10.0\""),
        (
            "v gt 2.0.0",
            no,
            "`v` is the string \"1.10.0\", which is not greater than 2.0.0",
        ),
        (
            "plan gt 2.0.0",
            no,
            "`plan` is the string \"Pro\", which is no semantic version (major.minor.patch)",
        ),
        (
            "v ne 1.2.99999999999999999999",
            no,
            "`v` is the string \"1.10.0\", and the version 1.2.99999999999999999999 is no semantic version that the engine can read, so the comparison is false, also with `ne`",
        ),
        (
            &format!("n lt {endless}"),
            no,
            &format!(
                "`n` is the number 42, and the number {}… is no number that the engine can read, so the comparison is false",
                "9".repeat(80)
            ),
        ),
        (
            "n co 4",
            None,
            "`co` is not defined for a number, which makes the whole query false",
        ),
        (
            "on gt true",
            None,
            "`gt` is not defined for a boolean, which makes the whole query false",
        ),
        (
            "n eq 99999999999999999999",
            None,
            "the integer 99999999999999999999 is no number that the engine can read, which makes the whole query false",
        ),
        (
            "n eq",
            None,
            "this part of the query cannot be understood, which makes the whole query false",
        ),
        (
            "n.x eq 1",
            None,
            "`n.x` leads through a value that is no object, which stops the query",
        ),
        (
            "n eq 42 and ghost.z eq 42",
            yes,
            "`ghost.z` is the number 42; the path does not lead to this value, the engine kept it or its parent from a condition before",
        ),
    ] {
        check(query, &context, holds, why);
    }
}

#[test]
fn operators_of_json_logic_say_why() {
    let (yes, no) = (Some(true), Some(false));
    let context = json!({"age": "42", "plan": "Pro", "l": [1]});
    for (query, holds, why) in [
        (
            r#"{"==":[{"var":"age"},42]}"#,
            yes,
            "the left side is the string \"42\", the right side is the number 42; different types compare as numbers, here 42 and 42",
        ),
        (
            r#"{"==":[{"var":"plan"},42]}"#,
            no,
            "the left side is the string \"Pro\", the right side is the number 42; different types compare as numbers, here no number and 42",
        ),
        (
            r#"{"===":[{"var":"age"},42]}"#,
            no,
            "the left side is the string \"42\", the right side is the number 42; values of different types are never identical",
        ),
        (
            r#"{"==":[{"var":"plan"},"pro"]}"#,
            no,
            "the left side is the string \"Pro\", the right side is the string \"pro\"; two texts compare byte by byte",
        ),
        (
            r#"{"==":[{"var":"ghost"},0]}"#,
            no,
            "the left side is missing or null, the right side is the number 0; null equals only null",
        ),
        (
            r#"{"==":[{"var":"l"},[1]]}"#,
            no,
            "the left side is the list [1], the right side is the list [1]; a list or an object equals nothing",
        ),
        (
            r#"{"in":[{"var":"plan"},["pro"]]}"#,
            no,
            "the left side is the string \"Pro\", the right side is the list [\"pro\"]; an entry must be the same text, also in its case",
        ),
        (
            r#"{"in":[{"var":"ghost"},"pro"]}"#,
            None,
            "`in` cannot be applied to missing or null and the string \"pro\"",
        ),
        (
            r#"{"+":[{"var":"ghost"},1]}"#,
            None,
            "`+` cannot be applied to missing or null and the number 1",
        ),
        (
            r#"{"+":[{"var":"age"},1]}"#,
            yes,
            "the result is the number 43",
        ),
        (
            r#"{"equals":[1,1]}"#,
            None,
            "`equals` is no operator of the engine",
        ),
        (
            r#"{"and":[true,{"<":[{"var":"age"},7,100]}]}"#,
            no,
            "the result is the boolean false",
        ),
    ] {
        check(query, &context, holds, why);
    }
}

#[test]
fn parts_that_the_engine_ignores_or_adds_are_named() {
    let explanation = explain(
        &with_query("age eq 1 AND plan eq \"pro\""),
        &json!({"age": 1}),
    );
    assert_eq!(explanation.rules[0].ignored, ["AND plan eq \"pro\""]);
    assert_eq!(explanation.rules[0].outcome, RuleOutcome::Matched);
    let explanation = explain(&with_query("age >=1"), &json!({"age": 1}));
    assert_eq!(explanation.rules[0].supplied, ["`a space` after `age >=`"]);
    let explanation = explain(
        &with_query(r#"{"==": [{"var": "age"}, 1, 2]}"#),
        &json!({"age": 1}),
    );
    assert_eq!(explanation.rules[0].ignored, ["argument 3 of ==, 2"]);
}

#[test]
fn queries_that_cannot_match_say_why() {
    let deep = format!("{}{}", "(".repeat(1_200), "a pr");
    for (query, why) in [
        ("null", "the query is JSON's null, which matches no context"),
        (&deep, "the query is nested too deeply to be evaluated"),
        ("country", "nothing of the query can be understood"),
        ("{\"log\":1}", "the query was given up"),
        ("a eq 1", "the query does not match"),
    ] {
        let explanation = explain(&with_query(query), &json!({}));
        assert_eq!(explanation.rules[0].why, why);
        assert_eq!(explanation.rules[0].outcome, RuleOutcome::NotMatched);
    }
}

#[test]
fn a_disabled_rule_and_what_is_not_reached_are_skipped() {
    let mut flag = with_query("a pr");
    flag["targeting"] = json!([
        {"query": "a pr", "variation": "yes", "disable": true},
        {"query": "a pr", "variation": "yes"},
        {"query": "b pr", "variation": "no"},
    ]);
    let outcomes = |flag: &Value| -> Vec<_> {
        let explanation = explain(flag, &json!({"a": 1}));
        let rules = explanation.rules.into_iter();
        rules
            .map(|rule| (rule.outcome.as_str(), rule.why))
            .collect()
    };
    let skipped = ("skipped", "a rule before it decided".to_owned());
    assert_eq!(
        outcomes(&flag),
        [
            ("skipped", "the rule is disabled".to_owned()),
            ("matched", "the query matches".to_owned()),
            skipped.clone(),
            skipped,
        ]
    );
    flag["bucketingKey"] = json!("");
    flag["targeting"][1] = json!({"percentage": {"yes": 100}});
    assert_eq!(
        outcomes(&flag)[..3],
        [
            ("skipped", "the rule is disabled".to_owned()),
            (
                "failed",
                "evaluate Rule: no key for bucketing-required rule".to_owned()
            ),
            (
                "skipped",
                "the evaluation ended in an error before".to_owned()
            ),
        ]
    );
    let explanation = serde_json::to_value(explain(&flag, &json!({}))).unwrap();
    assert_eq!(
        explanation["rules"][1]["serves"]["bucket"],
        Value::Null,
        "a key that is missing is in no bucket"
    );
    flag["disable"] = json!(true);
    let skipped = (
        "skipped",
        "the flag is disabled, or its experimentation does not run".to_owned(),
    );
    assert_eq!(outcomes(&flag), vec![skipped; 4]);
}

#[test]
fn the_bucketing_key_and_its_source_are_named() {
    let mut flag = json!({"variations": {"a": 1}, "defaultRule": {"percentage": {"a": 100}}});
    let context = json!({"targetingKey": "user", "team": {"id": "blue"}});
    let key = |flag: &Value, enrichment: Value| {
        let explanation = explain_enriched(flag, &context, &enrichment);
        explanation
            .bucketing_key
            .map(|key| (key.key, key.source, key.enriched))
    };
    let expected =
        |key: &str, source: &str, enriched| Some((key.to_owned(), source.to_owned(), enriched));
    assert_eq!(
        key(&flag, json!({})),
        expected("user", "targetingKey", false)
    );
    flag["bucketingKey"] = json!("team.id");
    assert_eq!(key(&flag, json!({})), expected("blue", "team.id", false));
    let enrichment = json!({"team": {"id": "red"}});
    assert_eq!(key(&flag, enrichment), expected("red", "team.id", true));
    flag["bucketingKey"] = json!("company");
    assert_eq!(key(&flag, json!({})), None);
    // The targeting key is none of the enrichment's.
    flag["bucketingKey"] = json!("");
    let enrichment = json!({"targetingKey": "another"});
    assert_eq!(
        key(&flag, enrichment),
        expected("user", "targetingKey", false)
    );
}

#[test]
fn a_step_lists_only_what_it_changes() {
    let step = json!({
        "date": "2025-01-01T00:00:00Z",
        "variations": {"b": 2},
        "targeting": [],
        "defaultRule": {},
        "disable": false,
    });
    for (flag, expected) in [
        (json!({}), &["disable"][..]),
        (json!({"variations": {"a": 1}}), &["variations", "disable"]),
    ] {
        let mut flag = flag;
        flag["defaultRule"] = json!({"variation": "a"});
        flag["scheduledRollout"] = json!([step]);
        let explanation = explain(&flag, &json!({}));
        assert_eq!(explanation.steps[0].changes, expected, "{flag}");
    }
}

#[test]
fn a_range_of_many_is_listed_if_it_was_hit() {
    let variations: Map<String, Value> = (0..100_000)
        .map(|at| (format!("v{at}"), json!(1)))
        .collect();
    let flag = json!({"variations": {}, "defaultRule": {"percentage": variations}});
    let explanation = explain(&flag, &json!({"targetingKey": "user-1"}));
    let text = serde_json::to_value(&explanation).unwrap();
    let serves = &text["rules"][0]["serves"];
    let ranges = serves["ranges"].as_array().unwrap();
    assert_eq!(ranges.len(), 21);
    assert_eq!(serves["rangesOmitted"], 100_000 - 21);
    let hit = &ranges[20];
    assert_eq!(
        (&hit["hit"], &hit["variant"]),
        (&json!(true), &json!(explanation.variant))
    );
    let (bucket, start) = (serves["bucket"].as_u64(), hit["start"].as_u64());
    assert!(bucket >= start && bucket < hit["end"].as_u64());
}

/// Everything that an explanation can say, as text and as JSON.
#[test]
fn an_explanation_has_a_stable_form() {
    let flag = json!({
        "variations": {"on": true, "off": false},
        "bucketingKey": "team.id",
        "targeting": [
            {"name": "adults", "query": "country in [\"FR\",\"DE\"] and age ge 18 AND plan eq \"pro\"", "variation": "on"},
            {"name": "logic", "query": "{\"and\":[{\"!=\":[{\"var\":\"country\"},\"DE\"]},{\">\":[{\"var\":\"age\"},50]}]}", "percentage": {"on": 50, "off": 50}},
            {"query": "staff eq true", "variation": "off", "disable": true},
        ],
        "defaultRule": {"progressiveRollout": {
            "initial": {"variation": "off", "percentage": 0, "date": "2025-06-01T00:00:00Z"},
            "end": {"variation": "on", "percentage": 100, "date": "2025-07-01T00:00:00Z"},
        }},
        "experimentation": {"start": "2025-01-01T00:00:00Z"},
        "scheduledRollout": [
            {"date": "2026-01-01T00:00:00Z", "disable": true},
            {"date": "2025-02-01T00:00:00.5Z", "targeting": [{"name": "logic", "percentage": {"on": 30, "off": 70}}]},
            {"variations": {"on": 1}},
        ],
    });
    let context =
        json!({"targetingKey": "user-1", "team": {"id": "blue"}, "country": "FR", "age": "42"});
    let explanation = explain(&flag, &context);
    for (name, text) in [
        ("explanation.txt", format!("{explanation}\n")),
        (
            "explanation.json",
            format!("{}\n", serde_json::to_string_pretty(&explanation).unwrap()),
        ),
    ] {
        let path = format!("{}/tests/snapshots/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(path).unwrap(), "{name}");
    }
    let docs = format!("{}/../../docs/tools.md", env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_to_string(docs).unwrap();
    assert!(
        docs.contains(&format!("{explanation}\n")),
        "docs/tools.md shows another text"
    );
}

#[test]
fn debug_shows_nothing_of_the_context() {
    let context = json!({
        "targetingKey": "ada@example.com", "plan": "secret-plan", "all": ["secret-plan"],
    });
    for query in [
        "plan eq \"x\"",
        r#"{"==":[{"var":"plan"},"x"]}"#,
        r#"{"some":[[1],{"==":[{"var":"plan"},"x"]}]}"#,
        r#"{"some":[{"var":"all"},{"==":[{"var":""},"x"]}]}"#,
        r#"{"in":["x",{"map":[{"var":"all"},{"cat":[{"var":""},"!"]}]}]}"#,
        r#"{"==":[{"cat":[{"var":"plan"},{"var":"targetingKey"}]},{"reduce":[{"var":"all"},{"cat":[{"var":"current"},{"var":"accumulator"}]},""]}]}"#,
    ] {
        let explanation = explain(&with_query(query), &context);
        let debug = format!("{explanation:?}");
        assert!(debug.contains("Condition"), "{debug}");
        assert!(
            !debug.contains("secret") && !debug.contains("ada@"),
            "{debug}"
        );
        assert!(explanation.to_string().contains("secret-plan"), "{query}");
    }
}

#[test]
fn an_unknown_and_an_unreadable_flag_are_explained() {
    let flags = FlagSet::from_json(br#"{"bad":{"disable":"yes"}}"#).unwrap();
    let (context, now) = (Map::new(), Timestamp::from_unix_seconds(0));
    for (key, text) in [
        (
            "ghost",
            "flag `ghost` at 1970-01-01T00:00:00Z\n└─ value 7, variant `SdkDefault`, reason ERROR\n   └─ error FLAG_NOT_FOUND: flag `ghost` was not found",
        ),
        (
            "bad",
            "flag `bad` at 1970-01-01T00:00:00Z\n└─ value null, variant `SdkDefault`, reason ERROR\n   └─ error PARSE_ERROR: member `disable` is not a boolean",
        ),
    ] {
        let explanation = flags.explain(key, &context, &FlagContext::new(json!(7)), now);
        assert_eq!(explanation.to_string(), text);
    }
}

/// The bounds that `checked` asserts, for flags and contexts that try to exceed them.
#[test]
fn an_explanation_of_a_hostile_flag_stays_small() {
    let list = |count: usize| {
        (0..count)
            .map(|at| at.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let rules = |count: usize, rule: Value| json!({"variations": {"a": 1}, "targeting": vec![rule; count], "defaultRule": {"variation": "a"}});
    let long = "x".repeat(1_000_000);
    let flags = [
        with_query(&format!("age in [{}]", list(100_000))),
        with_query(&format!(
            r#"{{"in":[{{"var":"age"}},[{}]]}}"#,
            list(100_000)
        )),
        with_query(&format!(
            r#"{{"some":[[{}],{{">":[{{"var":""}},{{"cat":[1,2]}}]}}]}}"#,
            list(20_000)
        )),
        with_query(&vec!["age pr"; 50_000].join(" and ")),
        with_query(&vec!["text ne \"y\""; 20_000].join(" and ")),
        with_query(&vec!["text co \"y\""; 2_000].join(" or ")),
        with_query(&format!("{long} eq \"{long}\"")),
        with_query(&format!("age eq 1 {long}")),
        with_query(&format!("(age eq 1 {}", ")'".repeat(100_000))),
        with_query(&format!("{} eq 1", vec!["a"; 100_000].join("."))),
        with_query(&format!("{}age pr", "not ".repeat(900))),
        rules(
            1_000,
            json!({"query": "age eq 1 or text eq \"y\" or age eq 2", "variation": "a"}),
        ),
        rules(
            1_000,
            json!({"percentage": {"a": 1, "b": 2, "c": 3}, "query": "age co 1"}),
        ),
        rules(20_000, json!({"disable": true})),
        json!({"variations": {"a": &long}, "defaultRule": {"variation": "a"}, "version": &long, "bucketingKey": "text"}),
        json!({"scheduledRollout": vec![json!({"date": "2020-01-01T00:00:00Z"}); 1_000]}),
        rules(1, json!({"name": &long, "variation": &long})),
    ];
    let context =
        json!({"targetingKey": &long, "age": "7", "text": &long, "list": vec![1; 100_000]});
    for flag in flags {
        explain(&flag, &context);
    }
    let explanation = explain(
        &with_query(&vec!["text ne \"y\""; 2_000].join(" and ")),
        &context,
    );
    let rule = &explanation.rules[0];
    assert_eq!(
        (rule.conditions.len(), rule.conditions_omitted),
        (20, 1_980)
    );
    assert!(
        explanation
            .to_string()
            .contains("… 1980 conditions are left out")
    );
    let explanation = explain(
        &rules(1_000, json!({"query": "age eq 1", "variation": "a"})),
        &context,
    );
    assert_eq!(
        (explanation.rules.len(), explanation.rules_omitted),
        (100, 901)
    );
    assert!(explanation.to_string().contains("… 901 rules are left out"));
}

/// As recorded for `tests/vectors.rs`, which checks the evaluations.
#[test]
fn explanations_of_the_recorded_documents_have_their_results() {
    for (file, count) in [
        ("engine-public.jsonl.gz", 5_000),
        ("engine-extra-public.jsonl.gz", 700),
    ] {
        let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
        let packed = std::fs::File::open(path).unwrap();
        let mut explained = 0;
        for line in BufReader::new(flate2::read::GzDecoder::new(packed)).lines() {
            let vector: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let Some(input) = vector["input"].as_object() else {
                continue;
            };
            let part =
                |part: Option<&Value>| part.and_then(Value::as_object).cloned().unwrap_or_default();
            let key = input
                .get("flagKey")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let flag = input.get("flag").unwrap_or(&Value::Null);
            let flag_context = part(input.get("flagContext"));
            let default = flag_context
                .get("defaultSdkValue")
                .cloned()
                .unwrap_or_default();
            let enrichment = part(flag_context.get("evaluationContextEnrichment"));
            checked(
                &Flag::from_json(key, flag.to_string().as_bytes()),
                &part(input.get("evalContext")),
                &FlagContext::new(default).with_enrichment(enrichment),
            );
            explained += 1;
        }
        assert!(explained > count, "{explained} in {file}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn explanations_of_random_flags_have_their_results(
        flag in flags(),
        context in contexts(),
        enrichment in contexts(),
        default in 0..3,
    ) {
        let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
        let flag_context = FlagContext::new(json!(default)).with_enrichment(object(&enrichment));
        checked(&Flag::from_json("flag", flag.as_bytes()), &object(&context), &flag_context);
    }

    #[test]
    fn explanations_of_random_queries_have_their_results(
        query in prop_oneof![rule_language_queries(), json_logic_rules(), ".{0,40}"],
        context in contexts(),
    ) {
        let context: Map<String, Value> = serde_json::from_str(&context).unwrap_or_default();
        explain(&with_query(&query), &Value::Object(context));
    }
}
