use serde_json::{Value, json};

use super::{
    FlagFileFormat::{Json, Toml, Yaml},
    *,
};
use crate::{Evaluation, FlagContext, Timestamp};

const YAML: &str = "\
# A comment
shared: &shared
  variations:
    on: true
    off: false
  defaultRule: { variation: on }
copy:
  <<: *shared
  version: '1.0'
  trackEvents: false
dated:
  variations: {a: 0x10, b: 1.5}
  targeting:
    - name: r1
      query: >-
        x eq 1
        and y eq 2
      percentage:
        a: 50
        b: 50
  defaultRule:
    progressiveRollout:
      initial: { variation: a, date: 2024-01-01T00:00:00Z }
      end: { variation: b, percentage: 100, date: 2024-02-01T00:00:00Z }
";

const TOML: &str = "\
[on-off.variations]
on = true
off = false

[on-off.defaultRule]
variation = \"on\"

[[on-off.targeting]]
query = 'x eq 1'
variation = \"off\"

[on-off.experimentation]
start = 2024-01-01T00:00:00Z
";

/// A file without problems.
fn load(text: &str, format: FlagFileFormat) -> FlagFile {
    let file = FlagFile::parse(text, format).unwrap();
    assert_eq!(file.problems, [], "{text}");
    file
}

fn rejection(text: &str, format: FlagFileFormat) -> FlagFileError {
    FlagFile::parse(text, format).unwrap_err()
}

fn raw<'f>(file: &'f FlagFile, key: &str) -> &'f str {
    file.flags.get(key).unwrap().raw_json()
}

fn evaluate<T>(file: &FlagFile, key: &str, read: impl FnOnce(Evaluation<'_>) -> T) -> T {
    let context = json!({"targetingKey": "u", "x": 1});
    let (context, flag_context) = (context.as_object().unwrap(), FlagContext::default());
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    let evaluation = file.flags.evaluate(key, context, &flag_context, now);
    assert_eq!(evaluation.error, None);
    read(evaluation)
}

fn value(file: &FlagFile, key: &str) -> Value {
    evaluate(file, key, |evaluation| evaluation.value.clone())
}

#[test]
fn yaml_with_anchors_numbers_and_dates() {
    let file = load(YAML, Yaml);
    assert_eq!(value(&file, "shared"), true);
    assert_eq!(value(&file, "copy"), true);
    assert_eq!(value(&file, "dated"), 1.5);
    assert_eq!(
        raw(&file, "copy"),
        r#"{"variations":{"on":true,"off":false},"defaultRule":{"variation":"on"},"trackEvents":false,"version":"1.0"}"#
    );
}

#[test]
fn yaml_scalars_take_the_type_of_their_member() {
    let text = "\
f:
  version: 1.0
  variations: {true: 1, 2: 2}
  targeting:
    - {name: 7, query: x eq 2, variation: true}
  defaultRule: {variation: 2}
  experimentation: {start: 2024-01-01, end: 2999-12-31 10:00:00}
";
    let file = load(text, Yaml);
    assert_eq!(value(&file, "f"), 2);
    let shown: Value = serde_json::from_str(raw(&file, "f")).unwrap();
    assert_eq!(shown["version"], "1.0");
    assert_eq!(shown["targeting"][0]["name"], "7");
    let window = json!({"start": "2024-01-01T00:00:00Z", "end": "2999-12-31T10:00:00Z"});
    assert_eq!(shown["experimentation"], window);
    // In an object with free member names scalars keep their type, and date-like text is a date.
    let text = "\
f:
  version: 2024-01-01
  variations: {a: x}
  defaultRule: {variation: a}
  metadata: {a: 2024-1-2, b: 2024-01-01T1:00:00.50+02:00, c: 2024-01-01 10:0:0, d: '2024-01-01', e: 2024-13-01, f: 2024-01-01T00:00:00}
";
    let file = load(text, Yaml);
    let shown: Value = serde_json::from_str(raw(&file, "f")).unwrap();
    assert_eq!(shown["version"], "2024-01-01");
    let metadata = json!({
        "a": "2024-01-02T00:00:00Z", "b": "2024-01-01T01:00:00.5+02:00", "c": "2024-01-01T10:00:00Z",
        "d": "2024-01-01", "e": "2024-13-01", "f": "2024-01-01T00:00:00",
    });
    assert_eq!(shown["metadata"], metadata);
    let text = "f: {metadata: {version: 1.0}, variations: {a: {variation: true}}, defaultRule: {variation: a}}";
    assert_eq!(value(&load(text, Yaml), "f"), json!({"variation": true}));
}

#[test]
fn a_flag_is_shown_as_the_server_serves_it() {
    let text = r#"{"f": {
        "Variations": {"a": 1.0, "b": null, "c": {"x": null}}, "owner": "team", "disable": null,
        "targeting": [{"query": "x eq 1", "variation": "a", "comment": "none", "name": null}],
        "defaultRule": {"progressiveRollout": {"initial": {"variation": "a", "date": "2024-01-01T0:00:00Z", "by": 1}}},
        "scheduledRollout": [{"date": "2024-01-01T00:00:00.50Z", "disable": true, "reason": "x"}],
        "date": "2024-01-01T00:00:00Z"
    }}"#;
    let file = FlagFile::parse(text, Json).unwrap();
    assert_eq!(
        raw(&file, "f"),
        concat!(
            r#"{"variations":{"a":1,"b":null,"c":{"x":null}},"#,
            r#""targeting":[{"query":"x eq 1","variation":"a"}],"#,
            r#""defaultRule":{"progressiveRollout":{"initial":{"variation":"a","date":"2024-01-01T00:00:00Z"}}},"#,
            r#""scheduledRollout":[{"disable":true,"date":"2024-01-01T00:00:00.5Z"}]}"#,
        )
    );
}

#[test]
fn integers_are_exact_in_the_formats_in_which_the_server_reads_them_exactly() {
    let beyond_f64 = 9_007_199_254_740_993_i64;
    let exact = json!(beyond_f64);
    for (format, variation, expected) in [
        (Yaml, "9007199254740993", &exact),
        (Yaml, "[0x20000000000001]", &json!([beyond_f64])),
        (Yaml, "18446744073709551616", &json!(2_f64.powi(64))),
        (Toml, "9007199254740993", &exact),
        (Json, "9007199254740993", &json!(beyond_f64 - 1)),
    ] {
        let text = match format {
            Yaml => {
                "f: {variations: {a: VALUE}, metadata: {m: 18446744073709551615}, defaultRule: {variation: a}}"
            }
            Toml => "[f]\nvariations.a = VALUE\ndefaultRule.variation = 'a'",
            Json => r#"{"f": {"variations": {"a": VALUE}, "defaultRule": {"variation": "a"}}}"#,
        };
        let text = text.replace("VALUE", variation);
        let file = load(&text, format);
        assert_eq!(value(&file, "f"), *expected, "{text}");
        let shown: Value = serde_json::from_str(raw(&file, "f")).unwrap();
        assert_eq!(shown["variations"]["a"], *expected, "{text}");
        if format == Yaml {
            let metadata = evaluate(&file, "f", |evaluation| evaluation.metadata_map());
            assert_eq!(metadata["m"], u64::MAX);
        }
    }
    // Doubles and exact integers are one type of variation.
    let text = "f: {variations: {a: 1, b: 9007199254740993}, defaultRule: {variation: a}}";
    load(text, Yaml);
}

#[test]
fn toml_with_tables_and_dates() {
    assert_eq!(value(&load(TOML, Toml), "on-off"), false);
}

#[test]
fn json_is_read_like_a_configuration() {
    let text = r#"{"f": {"variations": {"a": "x"}, "defaultRule": {"variation": "a"}}}"#;
    assert_eq!(value(&load(text, Json), "f"), "x");
}

#[test]
fn syntax_errors_have_a_position() {
    for (format, text, line, column, what) in [
        (Json, "{\n  \"f\": tru}", 2, 8, "expected a value"),
        (Json, "[]", 1, 1, "expected an object of flags"),
        (
            Yaml,
            "f:\n  a: 1\n  a: 2",
            3,
            3,
            "member `a` is defined twice",
        ),
        (Yaml, "f: .nan", 1, 4, "number `.nan` has no JSON form"),
        (Toml, "x = inf", 1, 5, "number `inf` has no JSON form"),
    ] {
        let message = format!("line {line}, column {column}: {what}");
        assert_eq!(rejection(text, format).to_string(), message);
    }
    assert_eq!(rejection("a: [1", Yaml).line(), 2);
    assert_eq!(rejection("a = 1\nb = [1", Toml).line(), 2);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for format in [Yaml, Json] {
        assert!(FlagFile::parse(&deep, format).is_err());
    }
}

#[test]
fn aliases_of_aliases_are_bounded() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        let list = [alias.as_str(); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let error = rejection(&text, Yaml).to_string();
    assert!(error.ends_with("too many nodes through aliases"), "{error}");
}

/// The server's message about a flag, with its position.
fn problem(flag: &str) -> String {
    let text = format!("{{\"f\":\n{flag}}}");
    let file = FlagFile::parse(&text, Json).unwrap();
    let first = file.problems.first();
    first.map(ToString::to_string).unwrap_or_default()
}

#[test]
fn validation_uses_the_servers_words() {
    let cases = r#"
{} => no variation available
{"variations":{"A":null}} => nil value for variation: A
{"variations":{"A":1,"B":"x"}} => all variations should have the same type
{"variations":{"A":1}} => missing default rule
{"variations":{"A":1},"defaultRule":{}} => impossible to return value
{"variations":{"A":1},"defaultRule":{"variation":"B"}} => invalid variation: B does not exist
{"variations":{"A":1},"defaultRule":{"percentage":{}}} => invalid percentages: should not be empty
{"variations":{"A":1},"defaultRule":{"percentage":{"A":0}}} => invalid percentages: should not be equal to 0
{"variations":{"A":1},"defaultRule":{"percentage":{"B":10}}} => invalid percentage: variation B does not exist
{"variations":{"A":1},"defaultRule":{"progressiveRollout":{"initial":{"percentage":50,"variation":"A"},"end":{"percentage":2.5,"variation":"A"}}}} => invalid progressive rollout, initial percentage should be lower than end percentage: 50/2.5
{"variations":{"A":1},"defaultRule":{"progressiveRollout":{"initial":{"variation":"A"},"end":{"variation":"Z"}}}} => invalid progressive rollout, end variation Z does not exist
{"variations":{"A":1},"defaultRule":{"progressiveRollout":{"initial":{"variation":"Y"},"end":{"variation":"A"}}}} => invalid progressive rollout, initial variation Y does not exist
{OK,"targeting":[{"variation":"A"}]} => each targeting should have a query
{OK,"targeting":[{"variation":"A","disable":true}]} =>
{OK,"targeting":[{"variation":"A","query":"{\"nope\":[]}"}]} => invalid jsonlogic query
{OK,"targeting":[{"variation":"A","query":"{\"and\":[{\"var\":\"x\"}]}"}]} =>
{OK,"targeting":[{"variation":"A","query":"x co 1"}]} => invalid query: `x co 1` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"(x eq 1"}]} =>
{OK,"targeting":[{"variation":"A","query":"   "}]} => invalid query: `   ` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"a = 1"}]} => invalid query: `a = 1` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"a := 1"}]} => invalid query: `a := 1` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"a is 1"}]} => invalid query: `a is 1` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"a like \"x\""}]} => invalid query: `a like "x"` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"a b"}]} => invalid query: `a b` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"true"}]} => invalid query: `true` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"{\"==\":"}]} => invalid query: `{"==":` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"[]"}]} => invalid query: `[]` cannot be evaluated
{OK,"targeting":[{"variation":"A","query":"null"}]} => invalid jsonlogic query
{OK,"targeting":[{"variation":"A","query":"a eq 1 AND b"}]} =>
{OK,"targeting":[{"variation":"A","query":"{\"==\":[\"a\n b\",1]}"}]} => invalid jsonlogic query
{OK,"targeting":[{"name":"r","variation":"A","query":"x eq 1"},{"name":"r","variation":"A","query":"x eq 1"}]} => duplicated rule name: r
{OK,"disable":"yes"} => member `disable` is not a boolean"#;
    let ok = r#""variations":{"A":1,"B":2},"defaultRule":{"variation":"A"}"#;
    for case in cases.trim_start().lines() {
        let (flag, message) = case.split_once(" =>").unwrap();
        let found = problem(&flag.replace("OK", ok));
        let found = found.split_once("flag `f`: ");
        assert_eq!(
            found.map_or("", |(_, found)| found),
            message.trim_start(),
            "{flag}"
        );
    }
}

#[test]
fn problems_name_the_place() {
    let flag = r#"{"variations":{"A":1},
  "defaultRule":{"variation":"A"},
  "targeting":[{"query":"x eq 1","variation":"A"},
               {"query":"x eq 1","variation":"Z"}]}"#;
    assert_eq!(
        problem(flag),
        "line 5, column 46: flag `f`: invalid variation: Z does not exist"
    );
    assert_eq!(
        problem("{\"variations\":{\"A\":1},\n\"defaultRule\":{\"variation\":7}}"),
        "line 3, column 28: flag `f`: member `variation` is not a string"
    );
}

#[test]
fn formats_go_by_extension() {
    let of = |path: &str| FlagFileFormat::of_path(Path::new(path));
    assert_eq!(of("a/flags.YML"), Some(Yaml));
    assert_eq!(of("flags.json"), Some(Json));
    assert_eq!(of("flags.toml"), Some(Toml));
    assert_eq!(of("flags.txt"), None);
}

#[test]
fn repeated_names_are_noticed_among_many() {
    let flag = "{variations: {a: 1}, defaultRule: {variation: a}}";
    let many: String = (0..100)
        .map(|index| format!("flag-{index}: {flag}\n"))
        .collect();
    assert_eq!(FlagFile::parse(&many, Yaml).unwrap().flags.len(), 100);
    for repeated in ["flag-0", "flag-31", "flag-99"] {
        let text = format!("{many}{repeated}: {flag}\n");
        let message = format!("line 101, column 1: member `{repeated}` is defined twice");
        assert_eq!(rejection(&text, Yaml).to_string(), message);
    }
}

#[test]
fn members_win_over_many_merged_ones() {
    let merged: Vec<String> = (0..100).map(|index| format!("v{index}: 0")).collect();
    let own: Vec<String> = (50..150).map(|index| format!("v{index}: 1")).collect();
    let text = format!(
        "f:\n  metadata: &shared {{{}}}\n  variations: {{<<: *shared, {}}}\n  defaultRule: {{percentage: {{v0: 1}}}}\n",
        merged.join(", "),
        own.join(", ")
    );
    let file = FlagFile::parse(&text, Yaml).unwrap();
    let shown: Value = serde_json::from_str(raw(&file, "f")).unwrap();
    for index in 0..150 {
        let expected = i64::from(index >= 50);
        assert_eq!(
            shown["variations"][format!("v{index}")],
            expected,
            "{index}"
        );
    }
}
