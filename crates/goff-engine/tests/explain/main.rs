//! Explanations: what they say, that they agree with evaluations, and that they stay small.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod conditions;
mod rules;

use std::io::{BufRead, BufReader};

use goff_engine::{Attributes, Explanation, Flag, FlagContext, RuleOutcome, Timestamp};
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
