use serde_json::{Value, json};

use super::{
    FlagFileFormat::{Json, Toml, Yaml},
    *,
};
use crate::{Evaluation, FlagContext, Reason, Timestamp};

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

/// As in the server's decoders, whose differential test needs a relay proxy.
#[test]
fn letter_case_of_members_counts_in_yaml_alone() {
    for (text, format, is_disabled) in [
        (
            "f: {Disable: true, variations: {a: 1}, defaultRule: {variation: a}}",
            Yaml,
            false,
        ),
        (
            "f: {disable: true, variations: {a: 1}, defaultRule: {variation: a}}",
            Yaml,
            true,
        ),
        (
            r#"{"f": {"Disable": true, "variations": {"a": 1}, "defaultRule": {"variation": "a"}}}"#,
            Json,
            true,
        ),
        (
            "[f]\nDisable = true\nvariations = {a = 1}\ndefaultRule = {variation = \"a\"}",
            Toml,
            true,
        ),
    ] {
        let reason = evaluate(&load(text, format), "f", |evaluation| evaluation.reason);
        assert_eq!(reason == Reason::Disabled, is_disabled, "{text}");
    }
}

#[test]
fn toml_dates_without_zone_or_time_are_dates() {
    for date in ["2024-01-01", "2024-01-01T00:00:00", "2024-01-01T00:00:00Z"] {
        let text = format!(
            "[f]\nvariations = {{a = {date}, b = \"x\"}}\ndefaultRule = {{variation = \"a\"}}\n\
             [f.experimentation]\nstart = {date}\nend = {date}"
        );
        let file = load(&text, Toml);
        // The experimentation is over: its dates were read.
        let reason = evaluate(&file, "f", |evaluation| evaluation.reason);
        assert_eq!(reason, Reason::Disabled, "{date}");
        let running = text.replace(&format!("end = {date}"), "");
        assert_eq!(
            value(&load(&running, Toml), "f"),
            "2024-01-01T00:00:00Z",
            "{date}"
        );
    }
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
        (Json, "\u{feff}{}", 1, 1, "expected a value"),
        (Yaml, "a: 1\na: 2", 2, 1, "member `a` is defined twice"),
        (
            Yaml,
            "<<: 1",
            1,
            5,
            "the value of `<<` is no object and no list of objects",
        ),
        (Yaml, "é: \u{7}", 1, 4, "control characters are not allowed"),
        (Yaml, "# \u{7f}", 1, 3, "control characters are not allowed"),
        (Yaml, "é: \"\\é\\/\"", 1, 5, ""),
        (Yaml, "é: \"\\\\\\/\"", 1, 7, "unknown escape"),
        (Yaml, "%FOO\n---\n", 1, 1, "unknown directive"),
        (Toml, "'é' = 2024-02-30", 1, 7, ""),
        (
            Toml,
            "x = 1e400",
            1,
            5,
            "number beyond the range of a double",
        ),
        (
            Toml,
            "x = 9223372036854775808",
            1,
            5,
            "integer beyond 64 bits",
        ),
    ] {
        let message = rejection(text, format).to_string();
        let place = format!("line {line}, column {column}: ");
        if !what.is_empty() {
            assert_eq!(message, format!("{place}{what}"), "{text}");
        }
    }
    assert_eq!(rejection("a: 1\nb: [1", Yaml).line(), 2);
    assert_eq!(rejection("a = 1\nb = [1", Toml).line(), 2);
    let bytes = FlagFile::parse(b"a: \xc3\xa9\n\xc3\xa9b \xff", Yaml).unwrap_err();
    let message = "line 2, column 4: not UTF-8; save it in that encoding";
    assert_eq!(bytes.to_string(), message);
}

/// The message about the first bad flag.
fn first_problem(text: &str, format: FlagFileFormat) -> String {
    let file = FlagFile::parse(text, format).unwrap();
    file.problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

const GOOD: &str = "good: {variations: {a: 1}, defaultRule: {variation: a}}\n";

#[test]
fn a_flag_that_cannot_be_decoded_leaves_the_others() {
    let deep = format!(
        "bad: {{metadata: {{m: {}1{}}}}}",
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    for (bad, column, what) in [
        ("bad: {a: 1, a: 2}", 13, "member `a` is defined twice"),
        (
            "bad: {variations: {a: .nan}}",
            23,
            "number `.nan` has no JSON form",
        ),
        (
            "bad: {variations: {a: {1: x}}}",
            24,
            "member name `1` is not text; quote it",
        ),
        (
            "bad: {disable: maybe}",
            16,
            "member `disable` is not a boolean",
        ),
        (
            "bad: {disable: 'true'}",
            16,
            "member `disable` is not a boolean",
        ),
        (
            "bad: {<<: 1}",
            11,
            "the value of `<<` is no object and no list of objects",
        ),
        ("bad: {version: !!int x}", 0, "not what its tag says"),
        (
            "bad: {experimentation: {start: '2024-01-01'}}",
            32,
            "member `start` is not an RFC 3339 date",
        ),
        (
            "bad: &b {metadata: {m: *b}}",
            24,
            "an alias of a value that contains it",
        ),
        (
            "bad: {converter: [x]}",
            18,
            "member `converter` is not a string",
        ),
    ] {
        let text = format!("{GOOD}{bad}\n");
        let file = FlagFile::parse(&text, Yaml).unwrap();
        let message = format!("line 2, column {column}: flag `bad`: {what}");
        let shown = file.problems[0].to_string();
        assert!(
            shown == message || column == 0 && shown.ends_with(what),
            "{bad}: {shown}"
        );
        assert!(file.problems[0].refuses_file(), "{bad}");
        assert_eq!(value(&file, "good"), 1, "{bad}");
    }
    let json = format!(
        "{{\"good\":{{\"variations\":{{\"a\":1}},\"defaultRule\":{{\"variation\":\"a\"}}}},\"bad\":{{\"metadata\":{{\"m\":{}1{}}}}}}}",
        "[".repeat(1_000),
        "]".repeat(1_000)
    );
    let texts = [(format!("{GOOD}{deep}"), Yaml), (json, Json)];
    for (text, format) in texts {
        let file = FlagFile::parse(&text, format).unwrap();
        assert!(
            file.problems[0]
                .to_string()
                .ends_with("flag `bad`: nested too deeply")
        );
        assert_eq!(value(&file, "good"), 1);
    }
    // A null undoes an earlier member, as in the server's decoder.
    let json = r#"{"f":{"variations":{"a":1},"defaultRule":{"variation":"a"},"defaultRule":null}}"#;
    assert!(first_problem(json, Json).ends_with("missing default rule"));
    // What the flag does not use does not matter.
    load(
        "f: {owner: {a: 1, a: 2, n: .nan}, variations: {a: 1}, defaultRule: {variation: a}}",
        Yaml,
    );
}

/// docs/relay-protocol.md 12: the relay proxy leaves the flag out, and serves the others.
#[test]
fn an_invalid_flag_does_not_refuse_the_file() {
    let text = format!(
        "{GOOD}bad: {{variations: {{a: 1}}, defaultRule: {{variation: b}}}}\nworse: {{disable: 1}}\n"
    );
    let file = FlagFile::parse(&text, Yaml).unwrap();
    let refuses: Vec<bool> = file
        .problems
        .iter()
        .map(FlagProblem::refuses_file)
        .collect();
    assert_eq!(refuses, [false, true]);
}

#[test]
fn texts_of_flags_are_cut_in_messages() {
    let query = format!("x\u{1b}\n{}", "y ".repeat(10_000));
    let flag =
        json!({"variations": {"a": 1}, "defaultRule": {"variation": query}, "targeting": []});
    for (key, flag) in [
        ("f".to_owned(), flag),
        ("k\n".repeat(5_000), json!({"disable": 1})),
    ] {
        let file = FlagFile::parse(json!({&key: flag}).to_string(), Json).unwrap();
        let message = file.problems[0].to_string();
        assert!(message.chars().count() < 600, "{message}");
        assert!(!message.contains(char::is_control), "{message}");
        assert_eq!(file.problems[0].flag(), key);
    }
    let query = json!({"f": {"variations": {"a": 1}, "defaultRule": {"variation": "a"},
        "targeting": [{"query": query, "variation": "a"}]}});
    let message = first_problem(&query.to_string(), Json);
    assert!(
        message.chars().count() < 600 && !message.contains(char::is_control),
        "{message}"
    );
}

#[test]
fn each_node_knows_its_place() {
    let yaml = "é: {ü: &ü [ö, *ü2 ], 'ß': \"a\\tb\"}";
    let yaml = yaml.replace("*ü2 ", "x");
    let toml = "[é]\nü = ['ö', 'x']\nß = \"a\\tb\"\n"
        .replace('é', "'é'")
        .replace('ü', "'ü'")
        .replace('ß', "'ß'");
    let json = "{\"é\": {\"ü\": [\"ö\", \"x\"], \"ß\": \"a\\tb\"}}";
    for (format, text) in [(Yaml, &*yaml), (Toml, &*toml), (Json, json)] {
        let flags = read(text, format, &mut CopyBudget::of(0)).unwrap();
        let (key, flag, _) = &flags[0];
        assert_eq!(key, "é");
        let at = |offset: usize| {
            text.get(offset..)
                .unwrap()
                .trim_start_matches(['"', '\'', '&', 'ü', ' '])
        };
        let tree::Content::Object(object) = &flag.content else {
            panic!("{text}");
        };
        let names: Vec<usize> = object.members.iter().map(|(name, _)| name.offset).collect();
        assert!(
            text.get(names[0]..)
                .unwrap()
                .trim_start_matches(['"', '\''])
                .starts_with('ü'),
            "{text}"
        );
        assert!(at(names[1]).starts_with('ß'), "{text}");
        let step = |name: &str| Step::Entry(name.to_owned());
        assert!(at(flag.locate(&[step("ü")])).starts_with('['), "{text}");
        assert!(
            at(flag.locate(&[step("ü"), Step::Index(1)])).starts_with('x'),
            "{text}"
        );
        assert!(at(flag.locate(&[step("ß")])).starts_with("a\\t"), "{text}");
    }
    // An alias leads to the place of its value.
    let text = "a: &a {variations: {x: 1}, defaultRule: {variation: y}}\nb:\n  <<: *a\n";
    let file = FlagFile::parse(text, Yaml).unwrap();
    let lines: Vec<usize> = file.problems.iter().map(FlagProblem::line).collect();
    assert_eq!(lines, [1, 1]);
    assert_eq!(file.problems[1].column(), file.problems[0].column());
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
    let of = |path: &str| FlagFileFormat::of_path(std::path::Path::new(path));
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

/// What people share with anchors is served: lists of names, default rules.
#[test]
fn usual_aliases_are_within_the_budget() {
    let list: Vec<String> = (0..500)
        .map(|index| format!("user-{index}@example.com"))
        .collect();
    let list = format!("[\"{}\"]", list.join("\", \""));
    let mut text = format!(
        "q: &q 'email in {list}'\nbase: &base {{variations: {{a: x}}, defaultRule: {{variation: a}}}}\n"
    );
    for flag in 0..20 {
        text += &format!("f{flag}: {{<<: *base , targeting: [{{query: *q , variation: a}}]}}\n");
    }
    let file = FlagFile::parse(&text, Yaml).unwrap();
    let problems: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["line 1, column 7: flag `q`: member `flag` is not an object"]
    );
}
