//! The official JSON documents: one in, one out.

mod context;
mod evaluator;
mod limits;
mod output;

pub use self::evaluator::DocumentEvaluator;

use std::sync::Arc;

use serde_json::{Map, Value};

use output::{output, rejection};

use crate::{
    compiled::{body::Body, flag::Flag, interner::Interner},
    configuration::{
        budget::Budget,
        date::Timestamp,
        definition::{DecodeError, FlagDefinition, compact, known, members, text},
        json::{Node, utf8_lossy},
    },
    evaluate::{evaluation::FlagError, flag_context::FlagContext},
    query::trim,
};

/// Evaluates an input document of the official evaluation module and returns its
/// output document.
///
/// The input has the members `flagKey`, `flag`, `evalContext` and
/// `flagContext`. Every call decodes and compiles the flag; a
/// [`DocumentEvaluator`] keeps compiled flags between calls. It has the size limits of the
/// official module (docs/engine-semantics.md 4), which flags that are served do
/// not have. If the input cannot be decoded, `errorDetails` differs from the
/// official engine's.
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
    match Document::decode(&text) {
        Ok(document) => {
            let (attributes, flag_context) = (&document.attributes, &document.flag_context);
            output(&document.flag.evaluate(attributes, flag_context, now))
        }
        Err(message) => rejection("PARSE_ERROR", &message),
    }
}

/// The members of an input document.
const MEMBERS: [&str; 4] = ["flagKey", "flag", "evalContext", "flagContext"];

struct Document {
    flag: Flag,
    attributes: Map<String, Value>,
    flag_context: FlagContext,
}

impl Document {
    fn decode(text: &str) -> Result<Self, String> {
        limits::check_input(text)?;
        let node =
            Node::parse(text, limits::MAX_INPUT_NESTING).map_err(|error| error.to_string())?;
        Self::from_node(&node, Budget::new(text.len())).map_err(|error| error.to_string())
    }

    fn from_node(node: &Node<'_>, mut budget: Budget) -> Result<Self, DecodeError> {
        let mut flag_key = None;
        let mut definition = FlagDefinition::default();
        let mut attributes = Map::new();
        let mut flag_context = FlagContext::default();
        for (name, value) in members(node, "input")?.unwrap_or_default() {
            match known(name, &MEMBERS) {
                Some("flagKey") if *value == Node::Null => {}
                Some("flagKey") => text(&mut flag_key, value, "flagKey")?,
                Some("flag") => definition.merge_flag(value, &mut budget)?,
                Some("evalContext") => match object(value, "evalContext")? {
                    None => attributes.clear(),
                    Some(members) => attributes.extend(members),
                },
                Some(_) => decode_flag_context(&mut flag_context, value)?,
                None => {}
            }
        }
        definition.settle();
        let body = check_queries(&definition)
            .and_then(|()| Body::compile(definition, &mut Interner::default(), &mut budget));
        Ok(Self {
            flag: Flag::new(&flag_key.unwrap_or_default(), "", Arc::new(body)),
            attributes,
            flag_context,
        })
    }
}

/// Checks the size limits of all queries, including those of scheduled steps.
fn check_queries(flag: &FlagDefinition<'_>) -> Result<(), FlagError> {
    for query in flag.rules().filter_map(|rule| rule.query.as_deref()) {
        limits::check_query(&trim(query)).map_err(FlagError::new)?;
    }
    flag.scheduled_rollout
        .iter()
        .flatten()
        .try_for_each(check_queries)
}

/// An object with free member names, of which the last of repeated ones counts; `None` for null.
fn object(
    node: &Node<'_>,
    member: &'static str,
) -> Result<Option<Map<String, Value>>, DecodeError> {
    let Some(members) = members(node, member)? else {
        return Ok(None);
    };
    let mut map = Map::new();
    for (name, value) in members {
        map.insert(name.as_ref().to_owned(), compact(value, member)?.to_value());
    }
    Ok(Some(map))
}

fn decode_flag_context(context: &mut FlagContext, node: &Node<'_>) -> Result<(), DecodeError> {
    for (name, value) in members(node, "flagContext")?.unwrap_or_default() {
        match known(name, &["defaultSdkValue", "evaluationContextEnrichment"]) {
            Some("defaultSdkValue") => {
                context.default_value = compact(value, "defaultSdkValue")?.to_value();
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
