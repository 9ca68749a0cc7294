use super::*;
use crate::{FlagContext, Timestamp};

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

fn value(file: &FlagFile, key: &str) -> serde_json::Value {
    let context = serde_json::Map::from_iter([
        ("targetingKey".to_owned(), "u".into()),
        ("x".to_owned(), 1.into()),
    ]);
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    let evaluation = file.flags.evaluate(key, &context, &flag_context, now);
    assert_eq!(evaluation.error, None);
    evaluation.value.clone()
}

#[test]
fn yaml_with_anchors_numbers_and_dates() {
    let file = FlagFile::parse(YAML, FlagFileFormat::Yaml).unwrap();
    assert_eq!(file.problems, []);
    assert_eq!(value(&file, "shared"), true);
    assert_eq!(value(&file, "copy"), true);
    assert_eq!(value(&file, "dated"), 1.5);
    let copy = file.flags.get("copy").unwrap();
    assert_eq!(
        copy.raw_json(),
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
    let file = FlagFile::parse(text, FlagFileFormat::Yaml).unwrap();
    assert_eq!(file.problems, []);
    assert_eq!(value(&file, "f"), 2);
    let raw = file.flags.get("f").unwrap().raw_json();
    for part in [
        r#""version":"1.0""#,
        r#""name":"7""#,
        r#""start":"2024-01-01T00:00:00Z""#,
        r#""end":"2999-12-31T10:00:00Z""#,
    ] {
        assert!(raw.contains(part), "{part} in {raw}");
    }
    // In an object with free member names scalars keep their type, and date-like text is a date.
    let text = "\
f:
  version: 2024-01-01
  variations: {a: x}
  defaultRule: {variation: a}
  metadata: {a: 2024-1-2, b: 2024-01-01T1:00:00.50+02:00, c: 2024-01-01 10:0:0, d: '2024-01-01', e: 2024-13-01, f: 2024-01-01T00:00:00}
";
    let file = FlagFile::parse(text, FlagFileFormat::Yaml).unwrap();
    let raw = file.flags.get("f").unwrap().raw_json();
    for part in [
        r#""version":"2024-01-01""#,
        r#""a":"2024-01-02T00:00:00Z""#,
        r#""b":"2024-01-01T01:00:00.5+02:00""#,
        r#""c":"2024-01-01T10:00:00Z""#,
        r#""d":"2024-01-01""#,
        r#""e":"2024-13-01""#,
        r#""f":"2024-01-01T00:00:00""#,
    ] {
        assert!(raw.contains(part), "{part} in {raw}");
    }
    let text = "f: {metadata: {version: 1.0}, variations: {a: {variation: true}}, defaultRule: {variation: a}}";
    let file = FlagFile::parse(text, FlagFileFormat::Yaml).unwrap();
    assert_eq!(value(&file, "f"), serde_json::json!({"variation": true}));
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
    let file = FlagFile::parse(text, FlagFileFormat::Json).unwrap();
    assert_eq!(
        file.flags.get("f").unwrap().raw_json(),
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
    for (format, text, expected) in [
        (
            FlagFileFormat::Yaml,
            "f: {variations: {a: 9007199254740993}, metadata: {m: 18446744073709551615}, defaultRule: {variation: a}}",
            serde_json::json!(beyond_f64),
        ),
        (
            FlagFileFormat::Yaml,
            "f: {variations: {a: [0x20000000000001]}, defaultRule: {variation: a}}",
            serde_json::json!([beyond_f64]),
        ),
        (
            FlagFileFormat::Yaml,
            "f: {variations: {a: 18446744073709551616}, defaultRule: {variation: a}}",
            serde_json::json!(18_446_744_073_709_551_616.0),
        ),
        (
            FlagFileFormat::Toml,
            "[f]\nvariations.a = 9007199254740993\ndefaultRule.variation = 'a'",
            serde_json::json!(beyond_f64),
        ),
        (
            FlagFileFormat::Json,
            r#"{"f": {"variations": {"a": 9007199254740993}, "defaultRule": {"variation": "a"}}}"#,
            serde_json::json!(beyond_f64 - 1),
        ),
    ] {
        let file = FlagFile::parse(text, format).unwrap();
        assert_eq!(file.problems, [], "{text}");
        assert_eq!(value(&file, "f"), expected, "{text}");
        let flag = file.flags.get("f").unwrap();
        let shown: serde_json::Value = serde_json::from_str(flag.raw_json()).unwrap();
        assert_eq!(shown["variations"]["a"], expected, "{text}");
        if text.contains("metadata") {
            let context = serde_json::Map::new();
            let flag_context = FlagContext::default();
            let now = Timestamp::from_unix_seconds(0);
            let metadata = flag.evaluate(&context, &flag_context, now).metadata_map();
            assert_eq!(metadata["m"], u64::MAX);
        }
    }
    // Doubles and exact integers are one type of variation.
    let text = "f: {variations: {a: 1, b: 9007199254740993}, defaultRule: {variation: a}}";
    assert_eq!(
        FlagFile::parse(text, FlagFileFormat::Yaml)
            .unwrap()
            .problems,
        []
    );
}

#[test]
fn toml_with_tables_and_dates() {
    let file = FlagFile::parse(TOML, FlagFileFormat::Toml).unwrap();
    assert_eq!(file.problems, []);
    assert_eq!(value(&file, "on-off"), false);
}

#[test]
fn json_is_read_like_a_configuration() {
    let text = r#"{"f": {"variations": {"a": "x"}, "defaultRule": {"variation": "a"}}}"#;
    let file = FlagFile::parse(text, FlagFileFormat::Json).unwrap();
    assert_eq!(file.problems, []);
    assert_eq!(value(&file, "f"), "x");
}

#[test]
fn syntax_errors_have_a_position() {
    for (format, text, message) in [
        (
            FlagFileFormat::Json,
            "{\n  \"f\": tru}",
            "line 2, column 8: expected a value",
        ),
        (
            FlagFileFormat::Json,
            "[]",
            "line 1, column 1: expected an object of flags",
        ),
        (
            FlagFileFormat::Yaml,
            "f:\n  a: 1\n  a: 2",
            "line 3, column 3: member `a` is defined twice",
        ),
        (
            FlagFileFormat::Yaml,
            "f: .nan",
            "line 1, column 4: number `.nan` has no JSON form",
        ),
        (
            FlagFileFormat::Toml,
            "x = inf",
            "line 1, column 5: number `inf` has no JSON form",
        ),
    ] {
        assert_eq!(
            FlagFile::parse(text, format).unwrap_err().to_string(),
            message
        );
    }
    assert_eq!(
        FlagFile::parse("a: [1", FlagFileFormat::Yaml)
            .unwrap_err()
            .line(),
        2
    );
    assert_eq!(
        FlagFile::parse("a = 1\nb = [1", FlagFileFormat::Toml)
            .unwrap_err()
            .line(),
        2
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for format in [FlagFileFormat::Yaml, FlagFileFormat::Json] {
        assert!(FlagFile::parse(&deep, format).is_err());
    }
}

#[test]
fn aliases_of_aliases_are_bounded() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            [alias.as_str(); 10].join(",")
        ));
    }
    let error = FlagFile::parse(&text, FlagFileFormat::Yaml).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("too many nodes through aliases"),
        "{error}"
    );
}

/// The server's message about a flag, with its position.
fn problem(flag: &str) -> String {
    let text = format!("{{\"f\":\n{flag}}}");
    let file = FlagFile::parse(&text, FlagFileFormat::Json).unwrap();
    file.problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn validation_uses_the_servers_words() {
    let ok = r#""variations":{"A":1,"B":2},"defaultRule":{"variation":"A"}"#;
    for (flag, message) in [
        ("{}".to_owned(), "no variation available"),
        (r#"{"variations":{"A":null}}"#.to_owned(), "nil value for variation: A"),
        (r#"{"variations":{"A":1,"B":"x"}}"#.to_owned(), "all variations should have the same type"),
        (r#"{"variations":{"A":1}}"#.to_owned(), "missing default rule"),
        (r#"{"variations":{"A":1},"defaultRule":{}}"#.to_owned(), "impossible to return value"),
        (r#"{"variations":{"A":1},"defaultRule":{"variation":"B"}}"#.to_owned(), "invalid variation: B does not exist"),
        (r#"{"variations":{"A":1},"defaultRule":{"percentage":{}}}"#.to_owned(), "invalid percentages: should not be empty"),
        (r#"{"variations":{"A":1},"defaultRule":{"percentage":{"A":0}}}"#.to_owned(), "invalid percentages: should not be equal to 0"),
        (r#"{"variations":{"A":1},"defaultRule":{"percentage":{"B":10}}}"#.to_owned(), "invalid percentage: variation B does not exist"),
        (
            r#"{"variations":{"A":1},"defaultRule":{"progressiveRollout":{"initial":{"percentage":50,"variation":"A"},"end":{"percentage":2.5,"variation":"A"}}}}"#.to_owned(),
            "invalid progressive rollout, initial percentage should be lower than end percentage: 50/2.5",
        ),
        (
            r#"{"variations":{"A":1},"defaultRule":{"progressiveRollout":{"initial":{"variation":"A"},"end":{"variation":"Z"}}}}"#.to_owned(),
            "invalid progressive rollout, end variation Z does not exist",
        ),
        (
            r#"{"variations":{"A":1},"defaultRule":{"progressiveRollout":{"initial":{"variation":"Y"},"end":{"variation":"A"}}}}"#.to_owned(),
            "invalid progressive rollout, initial variation Y does not exist",
        ),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A"}}]}}"#), "each targeting should have a query"),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A","disable":true}}]}}"#), ""),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A","query":"{{\"nope\":[]}}"}}]}}"#), "invalid jsonlogic query"),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A","query":"{{\"and\":[{{\"var\":\"x\"}}]}}"}}]}}"#), ""),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A","query":"x co 1"}}]}}"#), "invalid query: `x co 1` cannot be evaluated"),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A","query":"(x eq 1"}}]}}"#), ""),
        (format!(r#"{{{ok},"targeting":[{{"variation":"A","query":"   "}}]}}"#), "invalid query: `   ` cannot be evaluated"),
        (
            format!(r#"{{{ok},"targeting":[{{"name":"r","variation":"A","query":"x eq 1"}},{{"name":"r","variation":"A","query":"x eq 1"}}]}}"#),
            "duplicated rule name: r",
        ),
        (format!(r#"{{{ok},"disable":"yes"}}"#), "member `disable` is not a boolean"),
    ] {
        let found = problem(&flag);
        let found = found.split_once("flag `f`: ").map_or("", |(_, message)| message);
        assert_eq!(found, message, "{flag}");
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
    assert_eq!(of("a/flags.YML"), Some(FlagFileFormat::Yaml));
    assert_eq!(of("flags.json"), Some(FlagFileFormat::Json));
    assert_eq!(of("flags.toml"), Some(FlagFileFormat::Toml));
    assert_eq!(of("flags.txt"), None);
}

#[test]
fn repeated_names_are_noticed_among_many() {
    let flag = "{variations: {a: 1}, defaultRule: {variation: a}}";
    let many: String = (0..100)
        .map(|index| format!("flag-{index}: {flag}\n"))
        .collect();
    let file = FlagFile::parse(&many, FlagFileFormat::Yaml).unwrap();
    assert_eq!(file.flags.len(), 100);
    for repeated in ["flag-0", "flag-31", "flag-99"] {
        let text = format!("{many}{repeated}: {flag}\n");
        assert_eq!(
            FlagFile::parse(&text, FlagFileFormat::Yaml)
                .unwrap_err()
                .to_string(),
            format!("line 101, column 1: member `{repeated}` is defined twice")
        );
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
    let file = FlagFile::parse(&text, FlagFileFormat::Yaml).unwrap();
    let raw: serde_json::Value =
        serde_json::from_str(file.flags.get("f").unwrap().raw_json()).unwrap();
    for index in 0..150 {
        let expected = i64::from(index >= 50);
        assert_eq!(raw["variations"][format!("v{index}")], expected, "{index}");
    }
}
