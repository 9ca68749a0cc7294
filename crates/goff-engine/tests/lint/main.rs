//! What the linter says about flag files, and the pages `docs/lint/` that show it. To write them
//! anew after a change:
//!
//! ```text
//! GOFF_WRITE_DOCS=1 cargo test -p goff-engine --all-features --test lint
//! ```
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod precision;
mod upstream_shapes;

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, time::Duration};

use goff_engine::{
    Flag, FlagContext, FlagFile, FlagFileFormat, LintCode, LintSeverity, Timestamp, check_clean,
    lint, lint_allowing,
};
use goff_generators::{contexts, every_hostile_input, rule_language_queries};
use proptest::{prelude::*, strategy::ValueTree};
use serde_json::{Value, json};

fn now() -> Timestamp {
    Timestamp::parse("2030-01-01T00:00:00Z").unwrap()
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint")
}

/// The name of a file of a format.
fn name(format: FlagFileFormat) -> &'static str {
    match format {
        FlagFileFormat::Json => "flags.json",
        FlagFileFormat::Toml => "flags.toml",
        _ => "flags.yaml",
    }
}

#[test]
fn files_that_are_not_clean_are_named() {
    let flag = "f: {variations: {a: 1, b: 2}, defaultRule: {variation: a}}";
    let message = "warning[unused-variation]: flag `f`: variation `b` is never served";
    for (file, text) in [
        ("flags/a.yaml", flag.to_owned()),
        ("flags/a", flag.to_owned()),
        (
            "a.json",
            r#"{"f": {"variations": {"a": 1, "b": 2}, "defaultRule": {"variation": "a"}}}"#
                .to_owned(),
        ),
    ] {
        let found = check_clean(file, &text, now()).unwrap_err();
        let column = text.find('2').unwrap() + 1;
        let shown = format!("the flags are not clean:\n{file}:1:{column}: {message}");
        assert_eq!(
            (found.to_string(), format!("{found:?}")),
            (shown.clone(), shown)
        );
    }
}

#[test]
fn each_code_has_a_file_that_shows_it_and_one_that_is_clean() {
    let mut shown = BTreeSet::new();
    for (code, format, wrong, right) in cases::cases() {
        shown.insert(code);
        if wrong.is_empty() {
            continue;
        }
        let found = lint(&wrong, format, now());
        let codes: Vec<LintCode> = found.iter().map(|found| found.code).collect();
        assert!(codes.contains(&code), "{code} in\n{wrong}\n{found:#?}");
        for found in &found {
            let at = wrong
                .get(found.span.clone())
                .unwrap_or_else(|| panic!("{found:?}"));
            assert!(!at.is_empty() && at.len() <= 100, "{found:?}");
            if let Some(fix) = &found.fix {
                let mut fixed = wrong.clone();
                fixed.replace_range(fix.span.clone(), &fix.replacement);
                let rest = lint(&fixed, format, now());
                let rest = rest
                    .iter()
                    .any(|rest| rest.code == found.code && rest.span.start == found.span.start);
                assert!(!rest, "{fixed}");
            }
        }
        if let Err(found) = check_clean(name(format), &right, now()) {
            panic!("{code}: {found}\n{right}");
        }
    }
    assert_eq!(shown, LintCode::ALL.iter().copied().collect());
}

#[test]
fn pages_are_what_the_linter_says() {
    let write = std::env::var_os("GOFF_WRITE_DOCS").is_some();
    let mut index = "# What the linter finds\n\n| code | meaning |\n|---|---|\n".to_owned();
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for (code, format, wrong, right) in cases::cases() {
        let mut page = format!("# {code}\n\n{}\n", code.explanation());
        let language = match format {
            FlagFileFormat::Json => "json",
            _ => "yaml",
        };
        if !wrong.is_empty() {
            let found = lint(&wrong, format, now());
            let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
            write!(
                page,
                "\n## A flag that shows it\n\n```{language}\n{wrong}```\n\n```text\n{}\n```\n\n## What to write instead\n\n```{language}\n{right}```\n",
                lines.join("\n")
            )
            .unwrap();
        }
        check(&format!("{code}.md"), &page, write);
        pages.insert(format!("{code}.md"));
        writeln!(index, "| [{code}]({code}.md) | {} |", code.explanation()).unwrap();
    }
    check("README.md", &format!("{index}{LIMITS}"), write);
    let there: BTreeSet<String> = std::fs::read_dir(docs())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, pages);
}

const LIMITS: &str = "
Errors are what the relay proxy refuses: the whole file, or one flag of it. Everything else is a warning.

A warning about a query holds for every context. The reverse is not so: contradictions, rules that always match
and rules that earlier ones shadow are found where queries compare top-level attributes (no `user.plan`) with
literals, in up to 64 conditions. In JSONLogic these are `and`, `or` and `!` of `==`, `!=`, `===`, `!==`, `<`, `<=`,
`>`, `>=` and of `in` with a list; of rules with other operators, those that read no attribute are found, and equal
texts. A rule in one language is not compared with a rule in the other. Flags whose scheduled steps change rules are
left out of these checks. In a query of several lines the place is that of its beginning. Attributes that have no
JSON form, and texts beyond the engine's limits, are not considered.

`yes`, `no`, `on` and `off` as names of variations are text for the relay proxy, as they are for this linter.

A file gets at most 500 diagnostics, errors before warnings.
";

fn check(name: &str, page: &str, write: bool) {
    let path = docs().join(name);
    if write {
        std::fs::create_dir_all(docs()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(there, page, "{name}: write it anew with GOFF_WRITE_DOCS=1");
}

/// The shapes of upstream's `testdata/flag-config.*` and of this project's examples.
#[test]
fn good_files_are_silent() {
    let yaml = r#"
test-flag:
  variations:
    true_var: true
    false_var: false
  targeting:
    - name: rule1
      query: key eq "random-key"
      percentage:
        true_var: 10
        false_var: 90
  defaultRule:
    name: defaultRule
    variation: false_var
  metadata: {description: this is a simple feature flag, issue-link: "https://jira.xxx/GOFF-01"}
  trackEvents: true
  version: "1"
on-off:
  variations: {on: true, off: false}
  targeting:
    - {query: 'plan eq "pro" and age ge 18', variation: on}
    - {query: 'country in ["FR", "DE"]', variation: on}
    - {query: '{"==": [{"var": "email"}, "a@b.c"]}', variation: on}
    - {query: 'user.version ge 1.2.0 or not (email ew "@example.com")', variation: on}
  defaultRule: {variation: off}
ramp:
  variations: {a: 1, b: 2}
  bucketingKey: company
  defaultRule:
    progressiveRollout:
      initial: {variation: a, percentage: 0, date: 2030-03-20T00:00:00.1-05:00}
      end: {variation: b, percentage: 100, date: 2030-06-20T00:00:00.1-05:00}
  scheduledRollout:
    - date: 2030-07-01T00:00:00Z
      targeting: [{name: beta, query: company pr and beta eq true, variation: b}]
"#;
    let json = r#"{"f": {"Variations": {"A": {"x": 1}, "B": {"x": 2}}, "defaultRule": {"percentage": {"A": 33.3, "B": 66.7}}}}"#;
    let toml = "[f]\nvariations = {a = 1, b = 2}\ndefaultRule = {percentage = {a = 50, b = 50}}\n[f.experimentation]\nend = 2030-02-01T00:00:00Z\n";
    for (text, format) in [
        (yaml, FlagFileFormat::Yaml),
        (json, FlagFileFormat::Json),
        (toml, FlagFileFormat::Toml),
    ] {
        if let Err(found) = check_clean(name(format), text, now()) {
            panic!("{found}\n{text}");
        }
    }
    // The example serves it after it has changed the file.
    let quickstart = include_str!("../../../goff-provider/examples/quickstart-flags.yaml");
    let found = lint(quickstart, FlagFileFormat::Yaml, now());
    let found: Vec<&str> = found.iter().map(|found| &*found.message).collect();
    assert_eq!(
        found,
        ["flag `string_key`: variation `summer` is never served"]
    );
}

#[test]
fn places_are_those_of_the_file() {
    for (text, format, place) in [
        (
            "\u{feff}f: {variations: {a: 1}, defaultRule: {variation: a}, é: 1}",
            FlagFileFormat::Yaml,
            "1:54",
        ),
        (
            "{\"f\": {\"variations\": {\"a\": 1}, \"defaultRule\": {\"variation\": \"a\"},\n \"x\\ny\": 1}}",
            FlagFileFormat::Json,
            "2:2",
        ),
        (
            "f: {variations: {a: 1}, defaultRule: {variation: a}, targeting: [{query: \"  x eq 1 OR y eq 2\", variation: a}]}",
            FlagFileFormat::Yaml,
            "1:84",
        ),
        (
            "f:\n  variations: {a: 1}\n  defaultRule: {variation: a}\n  targeting:\n  - variation: a\n    query: |\n      x eq 1 OR y eq 2\n",
            FlagFileFormat::Yaml,
            "7:7",
        ),
    ] {
        let found = lint(text, format, now());
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(
            shown.iter().any(|line| line.starts_with(place)),
            "{place} {shown:?}"
        );
        assert!(
            found
                .iter()
                .all(|found| text.get(found.span.clone()).is_some())
        );
    }
}

#[test]
fn hostile_files_get_few_diagnostics() {
    let small =
        |index| format!("\"f{index}\": {{\"variations\": {{\"a\": null}}, \"x\": 1, \"y\": 2}},");
    let flags: String = (0..2_000).map(small).collect();
    let many = format!("{{{flags}\"last\": {{}}}}");
    let found = lint(&many, FlagFileFormat::Json, now());
    assert_eq!(found.len(), 500);
    assert_eq!(found.last().unwrap().code, LintCode::TooManyDiagnostics);
    // Warnings that are allowed leave room for others, errors cannot be allowed.
    let mut errors = found.iter().filter(|it| it.severity == LintSeverity::Error);
    let allowed = [LintCode::UnknownMember, errors.next().unwrap().code];
    let rest = lint_allowing(&many, FlagFileFormat::Json, now(), &allowed);
    let [unknown, errors] = allowed.map(|code| rest.iter().filter(|it| it.code == code).count());
    assert_eq!((unknown, errors > 0), (0, true), "{rest:?}");
    for hostile in every_hostile_input(60_000) {
        for format in [
            FlagFileFormat::Yaml,
            FlagFileFormat::Json,
            FlagFileFormat::Toml,
        ] {
            let start = std::time::Instant::now();
            let _ = FlagFile::parse(&hostile.bytes, format);
            let loading = start.elapsed();
            let found = lint(&hostile.bytes, format, now());
            let took = start.elapsed() - loading;
            assert!(found.len() <= 500);
            // Loading has its bound elsewhere; a file is read three times.
            let limit = loading * 6 + Duration::from_secs(3);
            assert!(
                took <= limit,
                "{took:?} after {loading:?} for {}",
                hostile.shape
            );
        }
    }
}

/// Conditions about few attributes, so that they often contradict each other.
fn queries() -> impl Strategy<Value = String> + Clone {
    let literals = [
        "0",
        "1",
        "2",
        "-1",
        "1.0",
        "1.5",
        "-0.5",
        "true",
        "false",
        "null",
        "\"a\"",
        "\"A\"",
        "\"ab\"",
        "\"b\"",
        "\"\"",
        "1.0.0",
        "1.0.0-b",
        "2.0.0",
        "[1, 2]",
        "[1.0, 1.5]",
        "[\"a\", \"B\"]",
        "9223372036854775807",
    ];
    let operators = ["eq", "ne", "gt", "lt", "ge", "le", "in", "co", "sw", "ew"];
    let name = prop::sample::select(&["x", "x", "x", "y", "key", "anonymous"][..]);
    let compared = (
        name.clone(),
        prop::sample::select(operators.to_vec()),
        prop::sample::select(literals.to_vec()),
    )
        .prop_map(|(name, operator, literal)| format!("{name} {operator} {literal}"));
    let atom = prop_oneof![9 => compared, 1 => name.prop_map(|name| format!("{name} pr"))];
    atom.prop_recursive(3, 12, 3, |inner| {
        let join = |logic: &'static str| {
            move |(one, other): (String, String)| format!("({one}) {logic} ({other})")
        };
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(join("and")),
            2 => (inner.clone(), inner.clone()).prop_map(join("or")),
            1 => inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Value> + Clone {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(-1),
        json!(-0.5),
        json!(0.5),
        json!(1.5),
        json!(1.9),
        json!(2.5),
        json!(1e300),
        json!("a"),
        json!("A"),
        json!("AB"),
        json!("b"),
        json!(""),
        json!("ba"),
        json!("1.0.0"),
        json!("1.0.0-a"),
        json!("1.5.0"),
        json!("3.0.0"),
        json!([1]),
        json!({"x": 1}),
        json!(9223372036854775807_i64),
    ];
    let value = || prop::sample::select(values.to_vec());
    (value(), value(), value(), value()).prop_map(|(x, y, key, anonymous)| {
        let key = key.as_str().unwrap_or("u").to_owned();
        json!({"targetingKey": key, "x": x, "y": y, "anonymous": anonymous})
    })
}

fn flag_of(queries: &[String]) -> Value {
    let rules = queries.iter().enumerate();
    let rules: Vec<Value> = rules
        .map(|(index, query)| json!({"query": query, "variation": (index + 1).to_string()}))
        .collect();
    let names = (0..=queries.len()).map(|index| (index.to_string(), json!(index)));
    let variations: serde_json::Map<String, Value> = names.collect();
    json!({"variations": variations, "targeting": rules, "defaultRule": {"variation": "0"}})
}

/// The rules that are said to have no effect, and the first that is said to match every context.
fn said(flag: &Value) -> (Vec<usize>, Option<usize>) {
    let text = json!({ "f": flag }).to_string();
    let (mut without, mut always) = (Vec::new(), None);
    for found in lint(&text, FlagFileFormat::Json, now()) {
        let number = found.message.split("rule ").skip(1).filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().ok()
        });
        let number = number.clone().next();
        match found.code {
            LintCode::NeverMatches | LintCode::ShadowedRule | LintCode::UnreachableRule => {
                without.extend(number);
            }
            LintCode::AlwaysMatches => always = always.or(number),
            _ => {}
        }
    }
    (without, always)
}

fn holds(queries: &[String], contexts: &[Value]) -> Result<(), TestCaseError> {
    let flag = flag_of(queries);
    let (without, always) = said(&flag);
    if without.is_empty() && always.is_none() {
        return Ok(());
    }
    let flag = Flag::from_json("f", flag.to_string().as_bytes());
    for context in contexts {
        let flag_context = FlagContext::default();
        let answer = flag.evaluate(context.as_object().unwrap(), &flag_context, now());
        let rule: usize = answer.variant.parse().unwrap_or(0);
        prop_assert!(
            !without.contains(&rule),
            "rule {rule} of {queries:?} with {context}"
        );
        if let Some(always) = always {
            prop_assert!(
                (1..=always).contains(&rule),
                "rule {rule} of {queries:?} with {context}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn rules_said_to_have_no_effect_have_none(
        queries in prop::collection::vec(queries(), 1..5),
        contexts in prop::collection::vec(attributes(), 40),
    ) {
        holds(&queries, &contexts)?;
    }

    #[test]
    fn warnings_about_generated_queries_hold(
        queries in prop::collection::vec(rule_language_queries(), 1..4),
        contexts in prop::collection::vec(contexts(), 10),
    ) {
        let contexts: Vec<Value> = contexts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        holds(&queries, &contexts)?;
    }

    #[test]
    fn any_text_can_be_linted(text in "(?s).{0,200}", file in goff_generators::flag_files()) {
        for format in [FlagFileFormat::Yaml, FlagFileFormat::Json, FlagFileFormat::Toml] {
            let _ = (lint(&text, format, now()), lint(&file, format, now()));
        }
    }
}

/// A search that finds nothing would pass the properties above.
#[test]
fn many_generated_contradictions_are_found() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(queries(), 3);
    let found = (0..300)
        .filter(|_| {
            let queries = strategy.new_tree(&mut runner).unwrap().current();
            !said(&flag_of(&queries)).0.is_empty()
        })
        .count();
    assert!(found > 100, "{found}");
}

#[test]
fn errors_are_the_problems_of_loading() {
    for text in [
        "f: {}",
        "f: 1",
        "f: {variations: {a: 1}, defaultRule: {variation: a}}",
        "[",
        "x: &x [*x]",
    ] {
        let file = FlagFile::parse(text, FlagFileFormat::Yaml);
        let is_refused = file.is_err() || file.is_ok_and(|file| !file.problems.is_empty());
        let found = lint(text, FlagFileFormat::Yaml, now());
        let has_error = found
            .iter()
            .any(|found| found.severity == LintSeverity::Error);
        assert_eq!(has_error, is_refused, "{text}");
    }
}
