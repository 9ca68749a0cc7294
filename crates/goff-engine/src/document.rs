//! The official JSON documents: one in, one out.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::{
    date::Timestamp,
    definition::{DecodeError, FlagDefinition, known, members, object, overflow},
    evaluation::{Evaluation, EvaluationError},
    flag::Flag,
    flag_context::FlagContext,
    guard,
    json::{Node, SyntaxError, utf8_lossy},
};

/// Evaluates an input document of the official evaluation module and gives its
/// output document.
///
/// The input holds `flagKey`, `flag`, `evalContext` and `flagContext`. This
/// decodes and compiles everything each time: it is for comparing engines, not
/// for serving flags. Where the input cannot be decoded, `errorDetails` is worded
/// differently from the official engine's.
///
/// ```
/// use goff_engine::{Timestamp, evaluate_document};
///
/// let output = evaluate_document(
///     br#"{"flagKey": "f", "flag": {"variations": {"A": 1}, "defaultRule": {"variation": "A"}}}"#,
///     Timestamp::from_unix_seconds(0),
/// );
/// assert_eq!(
///     output,
///     r#"{"trackEvents":true,"variationType":"A","failed":false,"version":"","reason":"STATIC","errorCode":"","value":1,"cacheable":true}"#,
/// );
/// ```
#[must_use]
pub fn evaluate_document(input: &[u8], now: Timestamp) -> String {
    let text = utf8_lossy(input);
    let outcome = guard::check_input(&text, 0)
        .map_err(|error| error.to_string())
        .and_then(|()| Document::decode(&text).map_err(|error| error.to_string()));
    match outcome {
        Ok(document) => {
            let evaluation =
                document
                    .flag
                    .evaluate(&document.attributes, &document.flag_context, now);
            output(&evaluation)
        }
        Err(message) => rejection("PARSE_ERROR", &message),
    }
}

struct Document {
    flag: Flag,
    attributes: Map<String, Value>,
    flag_context: FlagContext,
}

enum DocumentError {
    Syntax(SyntaxError),
    Decode(DecodeError),
}

impl std::fmt::Display for DocumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{} at byte {}", error.what, error.offset),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl From<DecodeError> for DocumentError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl Document {
    fn decode(text: &str) -> Result<Self, DocumentError> {
        let node = Node::parse(text, guard::MAX_INPUT_NESTING).map_err(DocumentError::Syntax)?;
        let mut flag_key = String::new();
        let mut definition = FlagDefinition::default();
        let mut attributes = Map::new();
        let mut flag_context = FlagContext::default();
        for (name, value) in members(&node, "input")?.unwrap_or_default() {
            match known(name, &["flagKey", "flag", "evalContext", "flagContext"]) {
                Some("flagKey") => match value {
                    Node::Null => {}
                    Node::String(key) => flag_key = key.as_ref().to_owned(),
                    _ => {
                        return Err(DocumentError::Decode(DecodeError {
                            member: "flagKey",
                            expected: "a string",
                        }));
                    }
                },
                Some("flag") => definition.merge(value, "flag", false)?,
                Some("evalContext") => match object(value, "evalContext")? {
                    None => attributes.clear(),
                    Some(members) => attributes.extend(members),
                },
                Some(_) => decode_flag_context(&mut flag_context, value)?,
                None => {}
            }
        }
        Ok(Self {
            flag: Flag::from_definition(&flag_key, definition),
            attributes,
            flag_context,
        })
    }
}

fn decode_flag_context(context: &mut FlagContext, node: &Node<'_>) -> Result<(), DecodeError> {
    for (name, value) in members(node, "flagContext")?.unwrap_or_default() {
        match known(name, &["defaultSdkValue", "evaluationContextEnrichment"]) {
            Some("defaultSdkValue") => {
                context.default_value =
                    value.to_value().map_err(|_| overflow("defaultSdkValue"))?;
            }
            Some(_) => match object(value, "evaluationContextEnrichment")? {
                None => context.enrichment.clear(),
                Some(members) => context.enrichment.extend(members),
            },
            None => {}
        }
    }
    Ok(())
}

fn output(evaluation: &Evaluation<'_>) -> String {
    if let Some(
        error @ (EvaluationError::Rejected(_) | EvaluationError::ScheduledStepWithoutTarget),
    ) = &evaluation.error
    {
        return rejection(error.code().as_str(), &error.to_string());
    }
    let mut text = String::with_capacity(256);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "{{\"trackEvents\":{},\"variationType\":",
        evaluation.track_events
    );
    write_text(&mut text, evaluation.variant);
    let _ = write!(
        text,
        ",\"failed\":{},\"version\":",
        evaluation.error.is_some()
    );
    write_text(&mut text, evaluation.version);
    let _ = write!(
        text,
        ",\"reason\":\"{}\",\"errorCode\":\"",
        evaluation.reason
    );
    if let Some(error) = &evaluation.error {
        let _ = write!(text, "{}\",\"errorDetails\":", error.code());
        write_text(&mut text, &error.to_string());
    } else {
        text.push('"');
    }
    text.push_str(",\"value\":");
    write_value(&mut text, evaluation.value);
    let _ = write!(text, ",\"cacheable\":{}", evaluation.cacheable);
    let metadata = evaluation.metadata_map();
    if !metadata.is_empty() {
        text.push_str(",\"metadata\":");
        write_members(&mut text, &metadata);
    }
    text.push('}');
    text
}

/// The document for an input that is not evaluated.
fn rejection(code: &str, details: &str) -> String {
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
        Value::Object(members) => write_members(text, members),
    }
}

fn write_members(text: &mut String, members: &Map<String, Value>) {
    text.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_text(text, name);
        text.push(':');
        write_value(text, value);
    }
    text.push('}');
}

/// Plain notation between 1e-6 and 1e21, else an exponent with a sign and no leading zero.
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
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(char));
            }
            _ => text.push(char),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_like_the_official_engine_does() {
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
