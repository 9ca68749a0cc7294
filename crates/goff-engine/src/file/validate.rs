//! The checks that the server makes when it loads flags
//! (docs/engine-semantics.md 19; upstream `modules/core/flag/internal_flag.go`
//! and `rule_validation.go`).

use std::{borrow::Cow, collections::HashSet, convert::Infallible, mem::discriminant};

use super::{json_logic, tree::Step};
use crate::{
    configuration::{
        compact_json::CompactJson,
        definition::{FlagDefinition, RolloutEndDefinition, RuleDefinition},
    },
    evaluate::{operand::Operand, scope::NameTable},
    query::{
        Query,
        rule_language::{Program, program::End},
        trim,
    },
};

/// The first check that a flag fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) message: String,
    pub(super) path: Vec<Step>,
}

type Checked = Result<(), Invalid>;
type Variations<'d, 't> = &'d [(Cow<'t, str>, CompactJson)];

fn invalid(message: impl Into<String>, path: impl Into<Vec<Step>>) -> Checked {
    Err(Invalid {
        message: message.into(),
        path: path.into(),
    })
}

/// Checks a flag, in the server's order.
pub(super) fn flag(flag: &FlagDefinition<'_>) -> Checked {
    let variations = flag.variations.as_deref().unwrap_or_default();
    let here = Step::Member("variations");
    let Some((_, first)) = variations.first() else {
        return invalid("no variation available", [here]);
    };
    for (name, value) in variations {
        let path = [here.clone(), Step::Entry(name.to_string())];
        if *value == CompactJson::Null {
            return invalid(format!("nil value for variation: {name}"), path);
        }
        if discriminant(value) != discriminant(first) {
            return invalid("all variations should have the same type", path);
        }
    }
    let Some(default_rule) = &flag.default_rule else {
        return invalid("missing default rule", []);
    };
    rule(default_rule, None, variations)?;
    let mut names = HashSet::new();
    for (index, targeting) in flag.targeting.iter().flatten().enumerate() {
        rule(targeting, Some(index), variations)?;
        if let Some(name) = targeting.name.as_deref().filter(|name| !name.is_empty())
            && !names.insert(name)
        {
            let path = [
                Step::Member("targeting"),
                Step::Index(index),
                Step::Member("name"),
            ];
            return invalid(format!("duplicated rule name: {name}"), path);
        }
    }
    Ok(())
}

/// Checks a targeting rule, or the default rule.
fn rule(
    rule: &RuleDefinition<'_>,
    targeting: Option<usize>,
    variations: Variations<'_, '_>,
) -> Checked {
    if targeting.is_some() && rule.disable == Some(true) {
        return Ok(());
    }
    let at = |rest: &[Step]| {
        let mut path = match targeting {
            Some(index) => vec![Step::Member("targeting"), Step::Index(index)],
            None => vec![Step::Member("defaultRule")],
        };
        path.extend_from_slice(rest);
        path
    };
    let exists = |name: &str| {
        variations
            .binary_search_by(|(known, _)| known.as_ref().cmp(name))
            .is_ok()
    };
    if rule.percentage.is_none() && rule.progressive_rollout.is_none() && rule.variation.is_none() {
        return invalid("impossible to return value", at(&[]));
    }
    if targeting.is_some() {
        let Some(query) = &rule.query else {
            return invalid("each targeting should have a query", at(&[]));
        };
        if let Err(message) = self::query(query) {
            return invalid(message, at(&[Step::Member("query")]));
        }
    }
    if let Some(percentages) = &rule.percentage {
        let here = Step::Member("percentage");
        if percentages.is_empty() {
            return invalid("invalid percentages: should not be empty", at(&[here]));
        }
        if let Some((name, _)) = percentages.iter().find(|(name, _)| !exists(name)) {
            let message = format!("invalid percentage: variation {name} does not exist");
            return invalid(message, at(&[here, Step::Entry(name.to_string())]));
        }
        let sum: f64 = percentages.iter().map(|(_, percentage)| percentage).sum();
        if sum == 0.0 {
            return invalid("invalid percentages: should not be equal to 0", at(&[here]));
        }
    }
    if let Some(rollout) = &rule.progressive_rollout {
        let here = Step::Member("progressiveRollout");
        let percentage = |end: &Option<RolloutEndDefinition<'_>>| {
            end.as_ref().and_then(|end| end.percentage).unwrap_or(0.0)
        };
        let (initial, end) = (percentage(&rollout.initial), percentage(&rollout.end));
        if end < initial {
            let message = format!(
                "invalid progressive rollout, initial percentage should be lower than end percentage: {initial}/{end}"
            );
            return invalid(message, at(&[here]));
        }
        for (part, end) in [("end", &rollout.end), ("initial", &rollout.initial)] {
            let variation = end.as_ref().and_then(|end| end.variation.as_deref());
            let variation = variation.unwrap_or_default();
            if !exists(variation) {
                let path = at(&[here, Step::Member(part), Step::Member("variation")]);
                let message = format!(
                    "invalid progressive rollout, {part} variation {variation} does not exist"
                );
                return invalid(message, path);
            }
        }
    }
    let is_fixed = rule.percentage.is_none() && rule.progressive_rollout.is_none();
    match &rule.variation {
        Some(variation) if is_fixed && !exists(variation) => {
            let message = format!("invalid variation: {variation} does not exist");
            invalid(message, at(&[Step::Member("variation")]))
        }
        _ => Ok(()),
    }
}

fn query(query: &str) -> Result<(), String> {
    let trimmed = trim(query);
    let is_valid = match Query::compile(&trimmed, &mut NameTable::default()) {
        Query::RuleLanguage(program) => !ends_in_error(&program),
        Query::JsonLogic(_) if json_logic::is_valid(&trimmed) => true,
        Query::JsonLogic(_) => return Err("invalid jsonlogic query".to_owned()),
        // JSON's null, unlike a query that is too deep for the parser.
        Query::Never => &*trimmed == "null",
        Query::Always => false,
    };
    if is_valid {
        Ok(())
    } else {
        Err(format!("invalid query: `{query}` cannot be evaluated"))
    }
}

/// Whether a program ends in an error if no attribute is there.
fn ends_in_error(program: &Program) -> bool {
    program.walk(|condition| Ok::<_, Infallible>(condition.holds(Operand::Null))) == Ok(End::Error)
}
