//! The check of JSONLogic rules that the server makes when it loads flags.

use crate::configuration::{
    compact_json::CompactJson,
    json::{MAX_NESTING, Node},
};

/// Whether a simple walk over a rule finds known operators only.
pub(super) fn is_valid(rule: &str) -> bool {
    Node::parse(rule, MAX_NESTING)
        .ok()
        .and_then(|node| CompactJson::from_node(&node).ok())
        .is_some_and(|rule| has_known_operators(&rule))
}

/// Walks objects with one member, and lists, and checks their operators.
fn has_known_operators(rule: &CompactJson) -> bool {
    match rule {
        CompactJson::Object(members) => match &**members {
            [(operator, argument)] => match &**operator {
                "var" if is_path(argument) => true,
                "==" | "!=" | "===" | "!==" | "<" | "<=" | ">" | ">=" | "and" | "or" | "!"
                | "!!" | "if" | "?:" | "+" | "-" | "*" | "/" | "%" | "max" | "min" | "abs"
                | "var" | "missing" | "missing_some" | "in" | "set" | "contains_all"
                | "contains_any" | "contains_none" | "map" | "filter" | "reduce" | "all"
                | "some" | "none" | "merge" | "cat" | "substr" => has_known_operators(argument),
                _ => false,
            },
            [] => false,
            _ => true,
        },
        CompactJson::List(elements) => elements.iter().all(|element| match element {
            CompactJson::List(_) | CompactJson::Object(_) => has_known_operators(element),
            _ => true,
        }),
        CompactJson::Null => false,
        CompactJson::Bool(_) | CompactJson::Number(_) | CompactJson::Text(_) => true,
    }
}

fn is_path(argument: &CompactJson) -> bool {
    matches!(
        argument,
        CompactJson::Text(_) | CompactJson::Number(_) | CompactJson::Null
    )
}
