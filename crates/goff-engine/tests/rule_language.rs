//! The rule language: examples observed on the official engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use goff_engine::{Flag, FlagContext, Timestamp};
use serde_json::{Value, json};

fn matches(query: &str, context: &Value) -> bool {
    let flag = json!({
        "variations": {"yes": true, "no": false},
        "targeting": [{"query": query, "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    });
    let flag = Flag::from_json("flag", flag.to_string().as_bytes());
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(0);
    let evaluation = flag.evaluate(context.as_object().unwrap(), &flag_context, now);
    assert_eq!(evaluation.error, None, "{query}");
    evaluation.value == &json!(true)
}

struct Context(Value);

impl Context {
    fn check(&self, cases: &[(&str, bool)]) {
        for (query, expected) in cases {
            assert_eq!(
                matches(query, &self.0),
                *expected,
                "`{query}` for {}",
                self.0
            );
        }
    }
}

#[test]
fn and_and_or_have_one_precedence() {
    Context(json!({"x": 1, "y": 2})).check(&[
        ("x eq 1 or y eq 9 and y eq 9", false),
        ("x eq 1 or (y eq 9 and y eq 9)", true),
        ("x eq 1 AND y eq 3", true),
        ("not x eq 2 and y eq 3", true),
        ("not x eq 2 and y eq 2", true),
    ]);
}

#[test]
fn another_type_or_no_attribute_makes_every_comparison_false() {
    Context(json!({"x": 1})).check(&[
        ("x ne \"a\"", false),
        ("ghost ne 1", false),
        ("ghost ne \"a\"", false),
        ("ghost eq null", true),
        ("not (ghost eq 1)", true),
        ("x eq [1,2]", false),
        ("x in 1", false),
    ]);
}

#[test]
fn an_undefined_operator_invalidates_the_query() {
    Context(json!({"x": 1})).check(&[
        ("x co 1 or x eq 1", false),
        ("x eq 1 or x co 1", true),
        ("not (x co 1)", false),
        ("x gt null", false),
        ("x eq 9223372036854775808 or x eq 1", false),
    ]);
}

#[test]
fn numbers_keep_their_kind_at_the_top_level_only() {
    Context(json!({"x": 1.9, "n": -1.5, "i": 2.0, "o": {"x": 1}})).check(&[
        ("x eq 1", true),
        ("x gt 1", false),
        ("x ge 1", true),
        ("x in [1]", false),
        ("x eq 1.9", true),
        ("n eq -1", true),
        ("i in [1,2]", true),
        ("o.x in [1,2]", false),
        ("o.x eq 1", true),
        ("o.x in [1.0]", true),
    ]);
}

#[test]
fn a_missing_parent_leaks_the_attribute_read_before() {
    Context(json!({"x": 1})).check(&[
        ("ghost.z eq 1", false),
        ("x eq 1 and ghost.z eq 1", true),
        ("x eq 1 and ghost.z pr", true),
        ("ghost.z eq 1 or x eq 1", true),
        ("ghost.y.z eq 1 or x eq 1", false),
    ]);
    Context(json!({"x": 1, "a": {"x": 7}})).check(&[
        ("a.ghost.z eq 1 or x eq 7", true),
        ("a.ghost.z eq 1 or x eq 1", false),
        ("a.ghost eq 1 or x eq 1", true),
    ]);
}

#[test]
fn reading_a_member_of_anything_but_an_object_is_final() {
    Context(json!({"x": 5})).check(&[
        ("x.q eq 1", false),
        ("not (x.q eq 1)", false),
        ("x.q eq 1 or x eq 5", false),
        ("x eq 5 or x.q eq 1", true),
    ]);
}

#[test]
fn malformed_queries_decide_as_observed() {
    Context(json!({"x": 1, "y": 2})).check(&[
        ("x eq  1", true),
        ("x  eq 1", false),
        ("x eq 1  and y eq 3", true),
        ("x eq 1 and  y eq 3", false),
        ("x >=1", true),
        ("x ==1", true),
        ("x eq\"1\" 1", true),
        ("x eq 1 and  not(y eq 1)", true),
        ("x ==1 and y eq 2", false),
        ("x==1", false),
        ("x>0", false),
        ("(x eq 1", true),
        ("((x eq 1)", true),
        ("(x eq 1 and y eq 2", true),
        ("(x eq 1 junk)", true),
        ("(x eq 1 a b", true),
        ("(x eq 2 not)", true),
        ("(x eq 2 a not b", true),
        ("x eq 1 and not (y eq 1)", true),
        ("not x eq 1", false),
        ("not not (x eq 1)", true),
        ("x eq 1 or", true),
        ("x eq 1 and", false),
        ("x eq 1 and and y eq 2", true),
        ("x eq 1 and(y eq 3)", false),
        ("x in [1", true),
        ("x in [1 ,2]", true),
        ("x in [1 2]", true),
        ("x in [1, 2", true),
        ("x in []", false),
        ("x in [ 1]", false),
        ("x eq", false),
        ("x", false),
        ("x eq1", false),
        ("x eq - 1", false),
        ("x eq 1;", true),
        ("_x eq 1", true),
        ("x eq 1 && y eq 3", true),
        ("x = 1", false),
        ("x eq 007", false),
        ("x eq 1e5", true),
        ("x eq 1.", true),
    ]);
}

#[test]
fn texts_ignore_case_except_in_lists() {
    Context(json!({"s": "ΑΣ", "c": "FR", "e": "Ada@Example.com", "q": "a\\\"b"})).check(&[
        ("s eq \"ασ\"", true),
        ("s eq \"ας\"", false),
        ("c eq \"fr\"", true),
        ("c in [\"fr\"]", false),
        ("c in [\"DE\", \"FR\"]", true),
        ("e ew \"@EXAMPLE.COM\"", true),
        ("e co \"@example\"", true),
        ("e sw \"ada\"", true),
        ("e co \"\"", true),
        ("q eq \"a\\\"b\"", true),
    ]);
}

#[test]
fn versions_compare_by_precedence() {
    Context(json!({"v": "1.0.0-11", "w": "1.0.0-2", "r": "1.0.0", "b": "1.2.3+a", "x": "1.2", "huge": "1.0.0-99999999999999999999"})).check(&[
            ("v gt 1.0.0-10", true),
            ("w gt 1.0.0-10", false),
            ("r gt 1.0.0-10", true),
            ("b eq 1.2.3+b", true),
            ("x lt 2.0.0", false),
            ("huge gt 1.0.0-10", false),
            ("r lt 2.0.0", true),
    ]);
}

#[test]
fn three_names_are_always_visible() {
    Context(json!({"targetingKey": "u1", "key": "mine", "anonymous": "true"})).check(&[
        ("key eq \"u1\"", true),
        ("targetingKey eq \"u1\"", true),
        ("anonymous pr", true),
        ("anonymous eq false", true),
    ]);
}
