//! Targeting queries in their two languages.

pub(crate) mod json_logic;
pub(crate) mod rule_language;
pub(crate) mod stop;
mod truncation;

use std::borrow::Cow;

use crate::{
    configuration::{
        compact_json::CompactJson,
        json::{Node, TOO_DEEP},
    },
    evaluate::{
        attributes::Attributes,
        observer::Observer,
        scope::{NameTable, Slots, Unreadable},
    },
};

/// A compiled query.
#[derive(Clone, Debug)]
pub(crate) enum Query {
    /// Matches every context.
    Always,
    /// Matches no context.
    Never,
    RuleLanguage(rule_language::Program),
    JsonLogic(json_logic::JsonLogic),
}

impl Query {
    /// Compiles a trimmed query. Never fails: a query that cannot be parsed
    /// matches no context (docs/engine-semantics.md 16; upstream
    /// `modules/core/flag/rule.go` and `modules/core/utils/json_check.go`).
    pub(crate) fn compile(trimmed: &str, names: &mut NameTable) -> Self {
        if trimmed.is_empty() {
            return Self::Always;
        }
        match Node::parse(trimmed, MAX_JSON_NESTING) {
            Ok(Node::Null) => return Self::Never,
            Ok(rule @ Node::Object(_)) => {
                if let Ok(compact) = CompactJson::from_node(&rule) {
                    drop(rule);
                    return Self::JsonLogic(json_logic::JsonLogic::compile(compact, names));
                }
            }
            Err(error) if error.what == TOO_DEEP => return Self::Never,
            _ => {}
        }
        rule_language::compile(trimmed, names).map_or(Self::Never, Self::RuleLanguage)
    }

    /// Whether the query matches, unless it reads an unreadable attribute.
    #[inline]
    pub(crate) fn matches<'a, A: Attributes + ?Sized, O: Observer>(
        &self,
        slots: &Slots<'_, 'a, A, O>,
    ) -> Result<bool, Unreadable> {
        match self {
            Self::Always => Ok(true),
            Self::Never => Ok(false),
            Self::RuleLanguage(program) => program.matches(slots),
            Self::JsonLogic(logic) => logic.matches(slots),
        }
    }
}

/// How deep a JSONLogic rule may be nested. Its evaluation counts as deep.
const MAX_JSON_NESTING: usize = 512;

/// Removes leading spaces from each line and joins the lines with nothing in between
/// (docs/engine-semantics.md 16.1; upstream `modules/core/utils/str_trim.go`).
pub(crate) fn trim(query: &str) -> Cow<'_, str> {
    if query.contains('\n') {
        Cow::Owned(
            query
                .split('\n')
                .map(|line| line.trim_start_matches(' '))
                .collect(),
        )
    } else {
        Cow::Borrowed(query.trim_start_matches(' '))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_without_spaces() {
        assert_eq!(trim("  x eq 1\n  and y eq 2 "), "x eq 1and y eq 2 ");
        assert_eq!(trim("\n \n"), "");
        assert_eq!(trim("\tx"), "\tx");
    }

    #[test]
    fn the_text_chooses_the_language() {
        let compile = |query| Query::compile(query, &mut NameTable::default());
        assert!(matches!(compile(""), Query::Always));
        assert!(matches!(compile("null"), Query::Never));
        assert!(matches!(compile("{\"a\":1}"), Query::JsonLogic(_)));
        assert!(matches!(compile("{\"a\":1e400}"), Query::RuleLanguage(_)));
        assert!(matches!(compile("[1]"), Query::RuleLanguage(_)));
        assert!(matches!(compile("{"), Query::RuleLanguage(_)));
    }
}
