//! The official JSON documents: one in, one out.

mod output;

use serde_json::{Map, Value};

use output::{output, rejection};

use crate::{
    compiled::flag::Flag,
    configuration::{
        date::Timestamp,
        definition::{DecodeError, FlagDefinition, known, members, object, overflow},
        json::{Node, SyntaxError, utf8_lossy},
        limits,
    },
    evaluate::flag_context::FlagContext,
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
    let outcome = limits::check_input(&text, 0)
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
        let node = Node::parse(text, limits::MAX_INPUT_NESTING).map_err(DocumentError::Syntax)?;
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
