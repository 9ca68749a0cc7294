//! `goff test`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use goff_engine::{FlagContext, FlagSet};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::answer::Answer;
use crate::arguments::{check, now, parse_time, set_time};
use crate::failure::{Failure, Verdict};
use crate::file;
use crate::flags;
use crate::output::{BOLD, DIM, GREEN, Output, RED, briefly_different, shown, styled};

/// Check that flags give the expected values for contexts.
#[derive(Args)]
#[command(after_help = "\
The file of tests, in YAML or JSON:
  tests:
    - name: pro customers get the new checkout    # default: the flag and its number
      flag: new-checkout
      context: {targetingKey: user-1, plan: pro}  # default: empty
      at: 2026-12-24T18:00:00Z                    # default: now
      value: true                                 # at least one of these four
      variant: on
      reason: TARGETING_MATCH
      error: FLAG_NOT_FOUND")]
pub(crate) struct Arguments {
    /// The flag file.
    file: PathBuf,
    /// The file of tests.
    tests: PathBuf,
    /// Also write a report in JUnit's format.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tests {
    tests: Vec<Spanned<Test>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: Option<String>,
    flag: String,
    #[serde(default)]
    context: Map<String, Value>,
    at: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
    variant: Option<String>,
    reason: Option<String>,
    error: Option<String>,
}

/// A value that is null is there.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// How a test ended.
#[derive(Serialize)]
struct Outcome {
    name: String,
    line: u64,
    passed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
    answer: Answer,
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        let tests = read(&self.tests)?;
        let flags = flags::load(&self.file)?;
        let outcomes = run_all(tests, &flags);
        if let Some(path) = &self.junit {
            file::replace(path, junit(&self.file, &outcomes)?.as_bytes())?;
        }
        let verdict = Verdict::of(outcomes.iter().all(|outcome| outcome.passed));
        verdict.after(match output.is_json {
            true => output.json(&outcomes),
            false => output.text(&self.text(&outcomes)),
        })
    }

    fn text(&self, outcomes: &[Outcome]) -> String {
        let mut text = String::new();
        for outcome in outcomes {
            let (symbol, style) = if outcome.passed {
                ("✓", GREEN)
            } else {
                ("✗", RED)
            };
            text += &format!("{} {}\n", styled(style, symbol), shown(&outcome.name));
            if !outcome.passed {
                let place = format!("{}:{}", self.tests.display(), outcome.line);
                text += &format!("  {}\n", styled(DIM, shown(&place)));
            }
            for difference in &outcome.differences {
                text += &format!("  {difference}\n");
            }
        }
        let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
        let failed = outcomes.len() - passed;
        text + &format!(
            "\n{}\n",
            styled(BOLD, format!("{passed} passed, {failed} failed"))
        )
    }
}

fn read(path: &Path) -> Result<Vec<(u64, Test)>, Failure> {
    let place = path.display();
    let text = String::from_utf8(file::read(path)?)
        .map_err(|_| Failure::at(&place, "not UTF-8; save the file as UTF-8"))?;
    // As in flag files, `on` and `yes` are texts.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let tests: Tests = serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
        Failure::at(
            &place,
            format!("{error}; `goff test --help` shows the format"),
        )
    })?;
    if tests.tests.is_empty() {
        return Err(Failure::at(
            place,
            "has no tests; `goff test --help` shows the format",
        ));
    }
    let mut read = Vec::new();
    for test in tests.tests {
        let line = test.referenced.line();
        let mut test = test.value;
        let bad = |message: &str| Failure::at(format!("{place}: line {line}"), message);
        check(&test.context).map_err(|message| bad(&message))?;
        if let Some(at) = &test.at {
            let at = parse_time(at).map_err(|message| bad(&format!("`at`: {message}")))?;
            set_time(&mut test.context, &at);
        }
        let Test {
            value,
            variant,
            reason,
            error,
            ..
        } = &test;
        if value.is_none() && variant.is_none() && reason.is_none() && error.is_none() {
            return Err(bad(
                "expects nothing; add `value`, `variant`, `reason` or `error`",
            ));
        }
        read.push((line, test));
    }
    Ok(read)
}

fn run_all(tests: Vec<(u64, Test)>, flags: &FlagSet) -> Vec<Outcome> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let flag_context = FlagContext::default();
    let run = |(line, test): (u64, Test)| {
        let evaluation = flags.evaluate(&test.flag, &test.context, &flag_context, now());
        let answer = Answer::of_evaluation(&test.flag, &evaluation);
        let differences = differences(&test, &answer);
        let number = numbers.entry(test.flag.clone()).or_default();
        *number += 1;
        Outcome {
            name: test
                .name
                .unwrap_or_else(|| format!("{} {number}", test.flag)),
            line,
            passed: differences.is_empty(),
            differences,
            answer,
        }
    };
    tests.into_iter().map(run).collect()
}

fn differences(test: &Test, answer: &Answer) -> Vec<String> {
    let mut differences = Vec::new();
    if let Some(expected) = test
        .value
        .as_ref()
        .filter(|value| !is_same(value, &answer.value))
    {
        let (expected, found) = briefly_different(expected, &answer.value);
        let default = if answer.is_default() {
            ", the application's default"
        } else {
            ""
        };
        differences.push(format!(
            "value: expected {expected}, found {found}{default}"
        ));
    }
    let texts = [
        ("variant", &test.variant, answer.variant.as_deref()),
        ("reason", &test.reason, Some(answer.reason.as_str())),
        ("error", &test.error, answer.error_code.as_deref()),
    ];
    for (name, expected, found) in texts {
        let Some(expected) = expected
            .as_deref()
            .filter(|expected| Some(*expected) != found)
        else {
            continue;
        };
        let found = found.map_or("none".into(), shown);
        differences.push(format!(
            "{name}: expected {}, found {found}",
            shown(expected)
        ));
    }
    // A failed evaluation has no value, and null is not the expected one.
    if let (Some(code), Some(_), None) = (&answer.error_code, &test.value, &test.error) {
        differences.push(format!("error: expected none, found {}", shown(code)));
    }
    if let Some(details) = answer
        .error_details
        .as_deref()
        .filter(|_| !differences.is_empty())
    {
        differences.push(format!("the evaluation failed: {}", shown(details)));
    }
    differences
}

/// Whether two values are the same to an application: `1` and `1.0` are.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let has = |(name, value)| b.get(name).is_some_and(|other| is_same(value, other));
            a.len() == b.len() && a.iter().all(has)
        }
        _ => one == other,
    }
}

fn junit(file: &Path, outcomes: &[Outcome]) -> Result<String, Failure> {
    // XML cannot contain all that is hidden.
    let mut suite = TestSuite::new(&*shown(&file.display().to_string()));
    for outcome in outcomes {
        let status = match outcome.passed {
            true => TestCaseStatus::success(),
            false => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(outcome.differences.join("; "));
                status
            }
        };
        let mut case = TestCase::new(&*shown(&outcome.name), status);
        case.set_classname(&*shown(&outcome.answer.flag));
        suite.add_test_case(case);
    }
    let mut report = Report::new("goff test");
    report.add_test_suite(suite);
    let text = report.to_string();
    text.map_err(|error| Failure::new(format!("the report cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::is_same;

    #[test]
    fn numbers_are_the_same_in_any_spelling() {
        assert!(is_same(&json!({"a": [1, 2.5]}), &json!({"a": [1.0, 2.5]})));
        for (one, other) in [
            (json!(1), json!(2)),
            (json!(1), json!("1")),
            (json!([1]), json!([1, 1])),
        ] {
            assert!(!is_same(&one, &other), "{one} {other}");
        }
        let (large, next) = (
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_992_u64),
        );
        assert!(!is_same(&large, &next));
    }
}
