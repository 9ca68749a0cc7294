//! What the conditions of a query say.

use goff_engine::RuleOutcome;
use serde_json::{Value, json};

use crate::{explain, with_query};

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
