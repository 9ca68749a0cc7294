//! The check of JSONLogic rules that the server makes when it loads flags.

use crate::configuration::compact_json::CompactJson;

/// Walks objects with one member, and lists, and looks at their operators.
pub(super) fn is_valid(rule: &CompactJson) -> bool {
    match rule {
        CompactJson::Object(members) => match &**members {
            [(operator, argument)] => {
                (&**operator == "var" && is_path(argument))
                    || (OPERATORS.contains(&&**operator) && is_valid(argument))
            }
            [] => false,
            _ => true,
        },
        CompactJson::List(elements) => elements.iter().all(|element| match element {
            CompactJson::List(_) | CompactJson::Object(_) => is_valid(element),
            _ => true,
        }),
        CompactJson::Null => false,
        CompactJson::Bool(_) | CompactJson::Number(_) | CompactJson::Text(_) => true,
        #[cfg(feature = "file")]
        CompactJson::Exact(_) => true,
    }
}

fn is_path(argument: &CompactJson) -> bool {
    matches!(
        argument,
        CompactJson::Text(_) | CompactJson::Number(_) | CompactJson::Null
    )
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
