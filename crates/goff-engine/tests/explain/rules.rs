//! What rules, steps, the bucketing key and unreadable flags say.

use goff_engine::{FlagContext, FlagSet, Timestamp};
use serde_json::{Map, Value, json};

use crate::{explain, explain_enriched, with_query};

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
