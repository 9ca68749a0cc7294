//! The checks that the server makes when it loads flags
//! (docs/engine-semantics.md 19; upstream `modules/core/flag/internal_flag.go`
//! and `rule_validation.go`).

mod json_logic;

use std::{borrow::Cow, collections::HashSet, convert::Infallible, fmt, mem::discriminant};

use crate::{
    configuration::{
        budget::Budget,
        compact_json::CompactJson,
        definition::{DecodeError, FlagDefinition, RolloutEndDefinition, RuleDefinition},
        json::{MAX_NESTING, Node},
    },
    evaluate::{operand::Operand, scope::NameTable, work::Work},
    presentable::presentable,
    query::{
        Query,
        rule_language::{Program, program::End},
        trim,
    },
};

/// Why the server would reject a flag: the first check that it fails.
///
/// Its text starts with the member that is wrong, if it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFlag {
    pub(crate) message: String,
    pub(crate) path: Vec<Step>,
    /// Whether it is not a limit of this engine alone.
    pub(crate) is_servers: bool,
}

/// One step from a flag to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member that the configuration defines, in any letter case.
    Member(&'static str),
    /// A member whose name is free.
    Entry(String),
    Index(usize),
}

impl InvalidFlag {
    /// The member that is wrong, such as `targeting[0].query`; empty if it is
    /// the flag as a whole.
    #[must_use]
    pub fn member(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            let name: &str = match step {
                Step::Member(name) => name,
                Step::Entry(name) => name,
                Step::Index(index) => {
                    text.push_str(&format!("[{index}]"));
                    continue;
                }
            };
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(name);
        }
        text
    }

    /// What is wrong, in the server's words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for InvalidFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", presentable(&self.member()))?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidFlag {}

impl From<DecodeError> for InvalidFlag {
    fn from(error: DecodeError) -> Self {
        // The message names the member, which may be at any depth.
        Self {
            message: error.to_string(),
            path: Vec::new(),
            is_servers: true,
        }
    }
}

type Checked = Result<(), InvalidFlag>;
type Variations<'d, 't> = &'d [(Cow<'t, str>, CompactJson)];

fn invalid(message: impl Into<String>, path: impl Into<Vec<Step>>) -> Checked {
    Err(InvalidFlag {
        message: presentable(&message.into()).into_owned(),
        path: path.into(),
        is_servers: true,
    })
}

/// Reads the JSON of a flag and checks it.
pub(crate) fn json(json: &str) -> Checked {
    let node = Node::parse(json, MAX_NESTING).map_err(|error| InvalidFlag {
        message: error.to_string(),
        path: Vec::new(),
        is_servers: true,
    })?;
    flag(&FlagDefinition::decode(
        &node,
        &mut Budget::new(json.len()),
    )?)
}

/// Checks a flag, in the server's order.
pub(crate) fn flag(flag: &FlagDefinition<'_>) -> Checked {
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
    let mut beyond = None;
    rule(default_rule, None, variations, &mut beyond)?;
    let mut names = HashSet::new();
    for (index, targeting) in flag.targeting.iter().flatten().enumerate() {
        rule(targeting, Some(index), variations, &mut beyond)?;
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
    beyond.map_or(Ok(()), Err)
}

/// Checks a targeting rule, or the default rule. `beyond` becomes the first limit that is not the
/// server's.
fn rule(
    rule: &RuleDefinition<'_>,
    targeting: Option<usize>,
    variations: Variations<'_, '_>,
    beyond: &mut Option<InvalidFlag>,
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
        match self::query(query) {
            Ok(()) => {}
            Err(message) if message == TOO_DEEP => {
                beyond.get_or_insert_with(|| InvalidFlag {
                    message,
                    path: at(&[Step::Member("query")]),
                    is_servers: false,
                });
            }
            Err(message) => return invalid(message, at(&[Step::Member("query")])),
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

const TOO_DEEP: &str = "the query is nested too deeply";

fn query(query: &str) -> Result<(), String> {
    let trimmed = trim(query);
    let is_valid = match Query::compile(&trimmed, &mut NameTable::default()) {
        Query::RuleLanguage(program) => !ends_in_error(&program),
        Query::JsonLogic(_) if json_logic::is_valid(query) => true,
        Query::JsonLogic(_) => return Err("invalid jsonlogic query".to_owned()),
        // JSON's null, unlike a query that is too deep for the parser.
        Query::Never if trimmed.trim() == "null" => {
            return Err("invalid jsonlogic query".to_owned());
        }
        Query::Never => return Err(TOO_DEEP.to_owned()),
        Query::Always => false,
    };
    if is_valid {
        Ok(())
    } else {
        let query = presentable(query);
        Err(format!("invalid query: `{query}` cannot be evaluated"))
    }
}

/// Whether nothing of a query was recognized, or its evaluation ends in an error if no attribute is
/// there.
fn ends_in_error(program: &Program) -> bool {
    let work = Work::default();
    let end =
        program.walk(|_, condition| Ok::<_, Infallible>(condition.holds(Operand::Null, &work)));
    !program.is_recognized() || matches!(end, Ok(End::Error(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn flag_with(member: &str, value: Value) -> Value {
        let mut flag = json!({"variations": {"a": 1, "b": 2}, "defaultRule": {"variation": "a"}});
        flag[member] = value;
        flag
    }

    #[test]
    fn first_failed_check_names_its_member() {
        let rule = |name: &str| json!({"name": name, "query": "x eq 1", "variation": "a"});
        for (flag, expected) in [
            (flag_with("version", json!("1")), ""),
            (
                flag_with("defaultRule", json!({"variation": "c"})),
                "`defaultRule.variation`: invalid variation: c does not exist",
            ),
            (
                flag_with("defaultRule", json!({"percentage": {"c": 1}})),
                "`defaultRule.percentage.c`: invalid percentage: variation c does not exist",
            ),
            (
                flag_with("variations", json!({})),
                "`variations`: no variation available",
            ),
            (
                flag_with("variations", json!({"a": 1, "n": null})),
                "`variations.n`: nil value for variation: n",
            ),
            (
                flag_with("variations", json!({"a": 1, "b": "2"})),
                "`variations.b`: all variations should have the same type",
            ),
            (
                flag_with("targeting", json!([rule("r"), rule("s"), rule("r")])),
                "`targeting[2].name`: duplicated rule name: r",
            ),
            (
                flag_with("disable", json!("yes")),
                "member `disable` is not a boolean",
            ),
            (json!([]), "member `flag` is not an object"),
        ] {
            let found = super::json(&flag.to_string()).map_err(|invalid| invalid.to_string());
            assert_eq!(found.err().unwrap_or_default(), expected, "{flag}");
        }
    }
}
