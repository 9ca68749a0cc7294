//! Which output documents are the same.

use std::ops::AddAssign;

use serde_json::Value;

/// How many answers agree with the official ones.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Whether an answer agrees with the official one.
pub(super) fn agree(answer: &str, expected: &str) -> bool {
    if answer == expected {
        return true;
    }
    match (serde_json::from_str(answer), serde_json::from_str(expected)) {
        (Ok(answer), Ok(expected)) => comparable(answer) == comparable(expected),
        _ => false,
    }
}

/// Whether an input exceeds a size limit, which only the compiled module enforces.
pub(super) fn is_size_limit(answer: &str) -> bool {
    answer.contains("\"errorCode\":\"PARSE_ERROR\"")
        && (answer.contains("\"errorDetails\":\"input JSON exceeds")
            || answer.contains("\"errorDetails\":\"targeting query"))
}

/// What kind of answer this is: its reason and error, without names of flags or attributes.
pub(super) fn outcome(answer: &str) -> String {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else {
        return "not JSON".to_owned();
    };
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = text("errorCode");
    let details = match code {
        "PARSE_ERROR" | "GENERAL" => "",
        _ => text("errorDetails")
            .split(": nested key")
            .next()
            .unwrap_or_default(),
    };
    let variant = match text("variationType") {
        variant @ ("T0" | "T1" | "T2" | "T3" | "T4" | "T5" | "F") => variant,
        _ => "",
    };
    format!("{} {code} {details} {variant}", text("reason"))
}

/// Numbers as doubles, without details that the Go decoder words.
///
/// An input that is not evaluated has one shape; the native build gives it another.
fn comparable(output: Value) -> Value {
    let mut output = normalized(output);
    let text = |name: &str| output.get(name).and_then(Value::as_str).unwrap_or_default();
    let details = text("errorDetails");
    let limit = details.starts_with("input JSON exceeds") || details.starts_with("targeting query");
    let is_worded =
        text("errorCode") == "GENERAL" || (text("errorCode") == "PARSE_ERROR" && !limit);
    match output.as_object_mut() {
        Some(members) if is_worded => drop(members.remove("errorDetails")),
        _ => {}
    }
    output
}

fn normalized(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(format!("number {:?}", number.as_f64())),
        Value::Array(elements) => elements.into_iter().map(normalized).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, normalized(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_compared_as_values() {
        let check = |answer: &str, expected: &str, same: bool| {
            assert_eq!(agree(answer, expected), same, "{answer} and {expected}");
        };
        let (int, double) = (
            r#"{"value":1,"reason":"STATIC"}"#,
            r#"{"reason":"STATIC","value":1.0}"#,
        );
        check(int, double, true);
        check(r#"{"value":1}"#, r#"{"value":2}"#, false);
        check(r#"{"value":0}"#, r#"{"value":-0.0}"#, false);
        check(r#"{"value":1}"#, r#"{"value":1,"metadata":{}}"#, false);
        check("nonsense", "other nonsense", false);
        for (code, details, same) in [
            ("PARSE_ERROR", "", true),
            ("PARSE_ERROR", "targeting query ", false),
            ("FLAG_CONFIG", "", false),
        ] {
            let answer =
                |end| format!(r#"{{"errorCode":"{code}","errorDetails":"{details}{end}"}}"#);
            check(&answer("a"), &answer("b"), same);
        }
    }
}
