//! Contexts that are not JSON maps, and attributes that cannot be read.

use std::collections::BTreeSet;

use goff_engine::{
    __internal, Attribute, Attributes, ErrorCode, Evaluation, Flag, FlagContext, Timestamp,
};
use serde_json::{Value, json};

/// One attribute of every kind.
struct Everything;

impl Attributes for Everything {
    fn targeting_key(&self) -> Option<&str> {
        Some("user-1")
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        Some(match name {
            "targetingKey" => Attribute::Str("user-1"),
            "nothing" => Attribute::Null,
            "bool" => Attribute::Bool(true),
            "int" => Attribute::Int(7),
            "huge" => Attribute::Int(9_007_199_254_740_993),
            "whole" => Attribute::Float(2.0),
            "float" => Attribute::Float(1.5),
            "nan" => Attribute::Float(f64::NAN),
            "date" => Attribute::Text("2024-01-15T00:00:00Z".into()),
            "object" => Attribute::Owned(Box::new(json!({"plan": "pro", "list": [1, 2]}))),
            "owned" => Attribute::Owned(Box::new(json!(3.0))),
            "opaque" => Attribute::Unreadable,
            _ => return None,
        })
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        for name in ["targetingKey", "int", "opaque"] {
            if let Some(attribute) = self.attribute(name) {
                visit(name, attribute);
            }
        }
    }
}

fn evaluate(flag: &Value, check: impl FnOnce(&Evaluation<'_>)) {
    let flag = Flag::from_json("flag", flag.to_string().as_bytes());
    let flag_context = FlagContext::new(json!("default"));
    check(&flag.evaluate(&Everything, &flag_context, Timestamp::from_unix_seconds(0)));
}

fn targeting(query: &str) -> Value {
    json!({
        "variations": {"yes": true, "no": false},
        "targeting": [{"query": query, "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    })
}

fn assert_matches(query: &str) {
    evaluate(&targeting(query), |answer| {
        assert_eq!(answer.value, true, "{query}");
    });
}

#[test]
fn every_kind_of_attribute_is_read() {
    for query in [
        "nothing eq null and ghost eq null",
        "bool eq true",
        "int in [7]",
        "huge eq 9007199254740992",
        "whole in [2]",
        "float gt 1.4",
        "date sw \"2024-01\"",
        "object.plan eq \"PRO\"",
        "owned in [3]",
        "owned eq 3 and object.plan pr and int eq 7",
        r#"{"==":[{"var":"date"},"2024-01-15T00:00:00Z"]}"#,
        r#"{"==":[{"var":"object.list.1"},2]}"#,
        r#"{"some":[{"var":"object.list"},{"==":[{"var":""},2]}]}"#,
        r#"{"==":[{"cat":[{"var":"date"}]},"2024-01-15T00:00:00Z"]}"#,
    ] {
        assert_matches(query);
    }
}

#[test]
fn reading_an_unreadable_attribute_ends_the_evaluation() {
    let cat = r#"{"!!":[{"cat":[{"var":"opaque.x"}]}]}"#;
    let bucketed = json!({"bucketingKey": "opaque.id", "defaultRule": {"variation": "a"}});
    for (flag, name) in [
        (targeting("opaque eq 1 or int eq 7"), "opaque"),
        (targeting("not (opaque pr)"), "opaque"),
        (targeting("opaque.member eq 1"), "opaque"),
        (targeting("nan gt 1"), "nan"),
        (targeting(r#"{"==":[{"var":"opaque"},1]}"#), "opaque"),
        (targeting(cat), "opaque"),
        (targeting(r#"{"!!":{"var":""}}"#), "opaque"),
        (bucketed, "opaque"),
    ] {
        evaluate(&flag, |answer| {
            let error = answer.error.as_ref().unwrap();
            assert_eq!(error.code(), ErrorCode::InvalidContext, "{flag}");
            let message = format!("attribute `{name}` of the evaluation context cannot be read");
            assert_eq!(error.to_string(), message);
            assert_eq!(answer.value, "default");
        });
    }
}

#[test]
fn an_unreadable_attribute_that_is_not_read_does_not_matter() {
    for query in [
        "int eq 7 or opaque eq 1",
        r#"{"or":[{"==":[{"var":"int"},7]},{"var":"opaque"}]}"#,
    ] {
        assert_matches(query);
    }
}

#[test]
fn evaluations_with_the_same_answer_serve_the_same() {
    let flag = json!({
        "variations": {"a": 1, "b": 2},
        "targeting": [{"name": "r", "query": "int eq 7", "percentage": {"a": 50, "b": 50}}],
        "defaultRule": {"variation": "a"},
        "scheduledRollout": [{"date": "1980-01-01T00:00:00Z", "variations": {"a": 10}}],
    });
    let flag = Flag::from_json("flag", flag.to_string().as_bytes());
    let flag_context = FlagContext::default();
    let answer = |seconds| {
        let now = Timestamp::from_unix_seconds(seconds);
        let evaluation = flag.evaluate(&Everything, &flag_context, now);
        assert_eq!(evaluation.rule_name, Some("r"));
        (__internal::answer(&evaluation), evaluation.value.clone())
    };
    let (before, later) = (answer(0), answer(1_700_000_000));
    assert_ne!(before, later);
    assert_eq!((&answer(1), &answer(1_700_000_001)), (&before, &later));
    assert_eq!(__internal::answer_count(&flag), 6);
    for (answer, _) in [before, later] {
        assert!(answer.is_some_and(|answer| answer < 6));
    }
    assert!(flag.depends_on_time());
}

#[test]
fn the_flag_key_is_part_of_the_hash() {
    let flag =
        json!({"variations": {"a": 1, "b": 2}, "defaultRule": {"percentage": {"a": 50, "b": 50}}});
    let json = flag.to_string();
    let context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(0);
    let variants: BTreeSet<String> = ["one", "two", "three", "four"]
        .into_iter()
        .map(|key| {
            let flag = Flag::from_json(key, json.as_bytes());
            flag.evaluate(&Everything, &context, now).variant.to_owned()
        })
        .collect();
    assert_eq!(variants.len(), 2);
}
