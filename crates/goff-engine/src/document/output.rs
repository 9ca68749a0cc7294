//! The output document (docs/engine-semantics.md 13).

use std::fmt::Write as _;

use serde_json::Value;

use crate::evaluate::evaluation::{EVALUATED_RULE_NAME, Evaluation, EvaluationError};

pub(super) fn output(evaluation: &Evaluation<'_>) -> String {
    if let Some(
        error @ (EvaluationError::Rejected(_) | EvaluationError::ScheduledStepWithoutTarget),
    ) = &evaluation.error
    {
        return rejection(error.code().as_str(), &error.to_string());
    }
    let boolean = |value| if value { "true" } else { "false" };
    let mut text = String::with_capacity(USUAL);
    text.push_str("{\"trackEvents\":");
    text.push_str(boolean(evaluation.track_events));
    text.push_str(",\"variationType\":");
    write_text(&mut text, evaluation.variant);
    text.push_str(",\"failed\":");
    text.push_str(boolean(evaluation.error.is_some()));
    text.push_str(",\"version\":");
    write_text(&mut text, evaluation.version);
    text.push_str(",\"reason\":\"");
    text.push_str(evaluation.reason.as_str());
    text.push_str("\",\"errorCode\":\"");
    if let Some(error) = &evaluation.error {
        text.push_str(error.code().as_str());
        text.push_str("\",\"errorDetails\":");
        write_text(&mut text, &error.to_string());
    } else {
        text.push('"');
    }
    text.push_str(",\"value\":");
    write_value(&mut text, evaluation.value);
    text.push_str(",\"cacheable\":");
    text.push_str(boolean(evaluation.cacheable));
    let rule_name = evaluation.rule_name.map(Value::from);
    let replaced = rule_name.is_some().then_some(EVALUATED_RULE_NAME);
    let metadata = evaluation.metadata.iter();
    let metadata = metadata.filter(|(name, _)| Some(*name) != replaced);
    let mut metadata: Vec<_> = metadata.chain(replaced.zip(rule_name.as_ref())).collect();
    if !metadata.is_empty() {
        metadata.sort_unstable_by_key(|(name, _)| *name);
        text.push_str(",\"metadata\":");
        write_members(&mut text, metadata);
    }
    text.push('}');
    text
}

/// Bytes of the usual output document.
const USUAL: usize = 256;

/// The document for an input that is rejected (docs/engine-semantics.md 13.3).
pub(super) fn rejection(code: &str, details: &str) -> String {
    let mut text = format!(
        "{{\"trackEvents\":false,\"variationType\":\"\",\"failed\":false,\"version\":\"\",\"reason\":\"\",\"errorCode\":\"{code}\",\"errorDetails\":"
    );
    write_text(&mut text, details);
    text.push_str(",\"value\":null,\"cacheable\":false}");
    text
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(text, number.as_f64().unwrap_or(0.0)),
        Value::String(value) => write_text(text, value),
        Value::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_value(text, element);
            }
            text.push(']');
        }
        Value::Object(members) => {
            write_members(text, members.iter().map(|(name, value)| (&**name, value)));
        }
    }
}

fn write_members<'v>(text: &mut String, members: impl IntoIterator<Item = (&'v str, &'v Value)>) {
    text.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_text(text, name);
        text.push(':');
        write_value(text, value);
    }
    text.push('}');
}

/// Plain notation from 1e-6 to below 1e21, else an exponent with a sign and without a leading zero
/// (docs/engine-semantics.md 13.4).
fn write_number(text: &mut String, value: f64) {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        let _ = write!(text, "{value}");
        return;
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            let _ = write!(text, "{digits}e+{exponent}");
        }
        _ => text.push_str(&scientific),
    }
}

fn write_text(text: &mut String, value: &str) {
    text.push('"');
    let mut rest = value;
    while let Some(at) = rest.find(is_escaped) {
        let (plain, escaped) = rest.split_at(at);
        text.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next().unwrap_or_default() {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            // Writing to a string cannot fail.
            other => drop(write!(text, "\\u{:04x}", u32::from(other))),
        }
        rest = chars.as_str();
    }
    text.push_str(rest);
    text.push('"');
}

fn is_escaped(char: char) -> bool {
    matches!(
        char,
        '"' | '\\' | '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_official_engine() {
        for (value, written) in [
            (1.0, "1"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (1e-6, "0.000001"),
            (1e20, "100000000000000000000"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (12345678901234567890.0, "12345678901234567000"),
            (1.5e300, "1.5e+300"),
        ] {
            let mut text = String::new();
            write_number(&mut text, value);
            assert_eq!(text, written);
        }
    }

    #[test]
    fn text_is_escaped_for_html() {
        let mut text = String::new();
        write_text(&mut text, "<a & \"b\">\u{2028}\u{1}\u{7f}/");
        assert_eq!(
            text,
            "\"\\u003ca \\u0026 \\\"b\\\"\\u003e\\u2028\\u0001\u{7f}/\""
        );
    }
}
