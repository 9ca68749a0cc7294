//! The check of JSONLogic rules that the server makes when it loads flags.

use crate::configuration::compact_json::Json;

/// Walks objects with one member, and lists, and looks at their operators.
pub(super) fn is_valid(rule: &Json) -> bool {
    match rule {
        Json::Object(members) => match &**members {
            [(operator, argument)] => {
                (&**operator == "var" && is_path(argument))
                    || (OPERATORS.contains(&&**operator) && is_valid(argument))
            }
            [] => false,
            _ => true,
        },
        Json::List(elements) => elements.iter().all(|element| match element {
            Json::List(_) | Json::Object(_) => is_valid(element),
            _ => true,
        }),
        Json::Null => false,
        Json::Bool(_) | Json::Number(_) | Json::Text(_) => true,
        #[cfg(feature = "file")]
        Json::Exact(_) => true,
    }
}

fn is_path(argument: &Json) -> bool {
    matches!(argument, Json::Text(_) | Json::Number(_) | Json::Null)
}

const OPERATORS: &[&str] = &[
    "==",
    "!=",
    "===",
    "!==",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "or",
    "!",
    "!!",
    "if",
    "?:",
    "+",
    "-",
    "*",
    "/",
    "%",
    "max",
    "min",
    "abs",
    "var",
    "missing",
    "missing_some",
    "in",
    "set",
    "contains_all",
    "contains_any",
    "contains_none",
    "map",
    "filter",
    "reduce",
    "all",
    "some",
    "none",
    "merge",
    "cat",
    "substr",
];
