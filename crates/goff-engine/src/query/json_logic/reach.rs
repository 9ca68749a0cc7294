//! Whether a rule can match, and can fail to.
//!
//! As in the rule language, what is called impossible is impossible, and what cannot be decided counts as
//! possible. Comparisons of top-level attributes with literals are followed, in rules whose every part is
//! a boolean; a rule that reads nothing is evaluated.

use serde_json::Map;

use super::{
    JsonLogic,
    comparison::Comparable,
    compiled::{Comparison, Expression, Scalar, Term, contained},
};
use crate::{
    configuration::compact_json::CompactJson,
    evaluate::{
        flag_context::FlagContext,
        observer::Unobserved,
        operand::Operand,
        scope::{Scope, Slot, Slots},
        work::Work,
    },
    query::rule_language::reach::Always,
};

struct GivenUp;

/// Whether no context ends each rule as it is said to: in a match, or not. False if that is not known.
/// `work` bounds the search and is reduced by what it takes.
pub(crate) fn is_impossible(
    ends: &[(&JsonLogic, bool)],
    always: &Always,
    work: &mut usize,
) -> bool {
    let mut goals = Vec::new();
    for (rule, wanted) in ends {
        match rule {
            JsonLogic::Compiled(expression) => goals.push((&**expression, *wanted)),
            JsonLogic::Interpreted(rule) => match constant(rule) {
                Some(matches) if matches != *wanted => return true,
                Some(_) => {}
                None => return false,
            },
        }
    }
    let mut search = Search {
        always,
        facts: Vec::new(),
        left: MOST_STEPS.min(*work),
        depth: 0,
    };
    let before = search.left;
    let found = search.goals(&goals);
    *work -= before - search.left;
    matches!(found, Ok(false))
}

/// Whether a rule that reads nothing of the context matches.
fn constant(rule: &CompactJson) -> Option<bool> {
    let is_value = matches!(rule, CompactJson::Object(members) if members.len() != 1);
    if reads(rule) && !is_value {
        return None;
    }
    let (attributes, context) = (Map::new(), FlagContext::default());
    let slots = Slots {
        scope: Scope::new(&attributes, &context),
        names: &[],
        cells: &[],
        work: Work::default(),
        observer: Unobserved,
    };
    let rule = JsonLogic::Interpreted(std::sync::Arc::new(rule.clone()));
    let matches = rule.matches(&slots).ok()?;
    (!slots.work.is_exhausted()).then_some(matches)
}

fn reads(rule: &CompactJson) -> bool {
    match rule {
        CompactJson::List(elements) => elements.iter().any(reads),
        CompactJson::Object(members) => members.iter().any(|(name, value)| {
            matches!(&**name, "var" | "missing" | "missing_some") || reads(value)
        }),
        _ => false,
    }
}

/// Steps of one search, conditions on one way through the rules, and nested goals.
const MOST_STEPS: usize = 20_000;
const MOST_FACTS: usize = 64;
const MOST_DEPTH: usize = 500;

/// Lists that are longer are not tried.
const MOST_LITERALS: usize = 200;

type Goal<'e> = (&'e Expression, bool);

struct Search<'e> {
    always: &'e Always,
    facts: Vec<(Slot, Goal<'e>)>,
    left: usize,
    depth: usize,
}

impl<'e> Search<'e> {
    /// Whether all goals may be reached.
    fn goals(&mut self, goals: &[Goal<'e>]) -> Result<bool, GivenUp> {
        let Some(((expression, wanted), rest)) = goals.split_last() else {
            return Ok(true);
        };
        self.spend(goals.len())?;
        if self.depth >= MOST_DEPTH {
            return Err(GivenUp);
        }
        self.depth += 1;
        let found = self.goal(expression, *wanted, rest);
        self.depth -= 1;
        found
    }

    fn goal(
        &mut self,
        expression: &'e Expression,
        wanted: bool,
        rest: &[Goal<'e>],
    ) -> Result<bool, GivenUp> {
        match (expression, wanted) {
            (Expression::Not(inner), _) => self.goals(&with(rest, [(&**inner, !wanted)])),
            (Expression::All(parts), true) | (Expression::Any(parts), false) => {
                self.goals(&with(rest, parts.iter().rev().map(|part| (part, wanted))))
            }
            (Expression::All(parts), false) | (Expression::Any(parts), true) => {
                for part in parts {
                    if self.goals(&with(rest, [(part, wanted)]))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (leaf, _) => {
                let Some(slot) = slot(leaf)? else {
                    let is_met = holds(leaf, Operand::Null) == wanted;
                    return if is_met { self.goals(rest) } else { Ok(false) };
                };
                if self.facts.len() >= MOST_FACTS {
                    return Err(GivenUp);
                }
                self.facts.push((slot, (leaf, wanted)));
                let found = match self.is_possible(slot) {
                    Ok(true) => self.goals(rest),
                    other => other,
                };
                self.facts.pop();
                found
            }
        }
    }

    fn spend(&mut self, steps: usize) -> Result<(), GivenUp> {
        self.left = self.left.checked_sub(steps).ok_or(GivenUp)?;
        Ok(())
    }

    /// Whether an attribute may have a value with which all facts about it hold.
    fn is_possible(&mut self, slot: Slot) -> Result<bool, GivenUp> {
        let facts = self.facts.iter().filter(|(of, _)| *of == slot);
        let facts: Vec<Goal<'e>> = facts.map(|(_, goal)| *goal).collect();
        let literals: Vec<&Scalar> = facts.iter().flat_map(|(leaf, _)| literals(leaf)).collect();
        if literals.len() > MOST_LITERALS {
            return Ok(true);
        }
        let bytes: usize = literals.iter().map(|literal| size(literal)).sum();
        self.spend((literals.len() + 4) * (literals.len() + bytes / 32) / 4)?;
        let all = |operand: Operand<'_>| {
            facts
                .iter()
                .all(|(leaf, wanted)| holds(leaf, operand) == *wanted)
        };
        let (is_text, is_bool) = (self.always.is_text(slot), self.always.is_boolean(slot));
        if !is_text
            && [true, false]
                .into_iter()
                .any(|value| all(Operand::Bool(value)))
        {
            return Ok(true);
        }
        if is_bool {
            return Ok(false);
        }
        let numbers: Vec<f64> = literals
            .iter()
            .map(|literal| Comparable::from(literal.operand()).number())
            .filter(|number| number.is_finite())
            .chain([0.0, f64::MAX, f64::MIN])
            .flat_map(|number| [number, number.next_up(), number.next_down()])
            .filter(|number| number.is_finite())
            .collect();
        if !is_text {
            let object = Map::new();
            let others = [Operand::Null, Operand::List(&[]), Operand::Object(&object)];
            let numbers = numbers.iter().map(|number| Operand::Float(*number));
            if others.into_iter().chain(numbers).any(all) {
                return Ok(true);
            }
        }
        let texts = literals.iter().filter_map(|literal| match literal {
            Scalar::Text(text) => Some(&**text),
            _ => None,
        });
        let texts: Vec<&str> = texts.collect();
        let has_texts = !texts.is_empty();
        // In a list, texts are looked for as they are.
        let compares_numbers = facts.iter().any(|(leaf, _)| {
            matches!(leaf, Expression::Compare(..))
                && literals_of(leaf).any(|literal| !matches!(literal, Scalar::Text(_)))
        });
        // A text can be compared as such and as a number at once, which the search does not follow.
        if has_texts && compares_numbers {
            return Ok(true);
        }
        let near = texts.iter().map(|text| format!("{text}\0"));
        let digits = numbers.iter().map(ToString::to_string);
        let mut made = near.chain(digits).chain(["a".to_owned(), String::new()]);
        Ok(texts.iter().any(|text| all(Operand::Str(text)))
            || made.any(|text| all(Operand::Str(&text))))
    }
}

fn with<'e>(rest: &[Goal<'e>], more: impl IntoIterator<Item = Goal<'e>>) -> Vec<Goal<'e>> {
    let mut goals = rest.to_vec();
    goals.extend(more);
    goals
}

/// The attribute that a condition is about; none if it is about literals.
fn slot(leaf: &Expression) -> Result<Option<Slot>, GivenUp> {
    match leaf {
        Expression::Compare(_, pair) => match &**pair {
            (Term::Variable(slot), Term::Literal(_)) | (Term::Literal(_), Term::Variable(slot)) => {
                Ok(Some(*slot))
            }
            (Term::Literal(_), Term::Literal(_)) => Ok(None),
            _ => Err(GivenUp),
        },
        // With these a number stops the query.
        Expression::In(_, list)
            if list
                .iter()
                .any(|one| matches!(one, Scalar::Null | Scalar::Bool(_))) =>
        {
            Err(GivenUp)
        }
        Expression::In(Term::Variable(slot), _) => Ok(Some(*slot)),
        Expression::In(Term::Literal(_), _) => Ok(None),
        _ => Err(GivenUp),
    }
}

/// Whether a condition holds if its attribute is this.
fn holds(leaf: &Expression, operand: Operand<'_>) -> bool {
    match leaf {
        Expression::Compare(comparison, pair) => {
            let (left, right) = (literal(&pair.0), literal(&pair.1));
            Comparison::holds(
                *comparison,
                left.unwrap_or(operand).into(),
                right.unwrap_or(operand).into(),
            )
        }
        Expression::In(needle, list) => {
            contained(literal(needle).unwrap_or(operand), list).unwrap_or(false)
        }
        _ => false,
    }
}

fn literal(term: &Term) -> Option<Operand<'_>> {
    match term {
        Term::Literal(scalar) => Some(scalar.operand()),
        _ => None,
    }
}

fn literals(leaf: &Expression) -> Vec<&Scalar> {
    literals_of(leaf).collect()
}

fn literals_of(leaf: &Expression) -> impl Iterator<Item = &Scalar> {
    let (pair, list) = match leaf {
        Expression::Compare(_, pair) => (Some(pair), &[][..]),
        Expression::In(_, list) => (None, &**list),
        _ => (None, &[][..]),
    };
    let terms = pair.into_iter().flat_map(|pair| [&pair.0, &pair.1]);
    let terms = terms.filter_map(|term| match term {
        Term::Literal(scalar) => Some(scalar),
        _ => None,
    });
    terms.chain(list)
}

fn size(literal: &Scalar) -> usize {
    match literal {
        Scalar::Text(text) => text.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evaluate::scope::NameTable, query::Query};

    #[test]
    fn what_is_impossible() {
        let x = r#"{"var": "x"}"#;
        for (rule, never, always) in [
            (r#"{"==": [X, 1]}"#, false, false),
            (r#"{"and": [{"==": [X, 1]}, {"==": [X, 2]}]}"#, true, false),
            (
                r#"{"and": [{"==": [X, 1]}, {"==": [X, "1"]}]}"#,
                false,
                false,
            ),
            (
                r#"{"and": [{"===": [X, 1]}, {"===": [X, "1"]}]}"#,
                false,
                false,
            ),
            (r#"{"and": [{"<": [X, 1]}, {">": [X, 2]}]}"#, true, false),
            (r#"{"and": [{"<": [X, 2]}, {">": [X, 1]}]}"#, false, false),
            (r#"{"and": [{"<": [1, X]}, {">": [1, X]}]}"#, true, false),
            (
                r#"{"and": [{"<": [X, "b"]}, {">": [X, "c"]}]}"#,
                true,
                false,
            ),
            (
                r#"{"and": [{"<": [X, "b"]}, {">": [X, "a"]}]}"#,
                false,
                false,
            ),
            (
                r#"{"and": [{"<": [X, "5"]}, {">": [X, 10]}]}"#,
                false,
                false,
            ),
            (
                r#"{"and": [{"in": [X, ["a", "b"]]}, {"==": [X, "c"]}]}"#,
                true,
                false,
            ),
            (
                r#"{"and": [{"in": [X, ["a", "b"]]}, {"!=": [X, "a"]}]}"#,
                false,
                false,
            ),
            (r#"{"in": [X, []]}"#, true, false),
            (r#"{"or": [{"==": [X, 1]}, {"!=": [X, 1]}]}"#, false, true),
            (r#"{"or": [{"<": [X, 1]}, {">=": [X, 1]}]}"#, false, false),
            (
                r#"{"!": {"and": [{"==": [X, 1]}, {"==": [X, 2]}]}}"#,
                false,
                true,
            ),
            (r#"{"==": [1, 1]}"#, false, true),
            (r#"{"==": [1, 2]}"#, true, false),
            (r#"{"!!": [1]}"#, false, true),
            (r#"{"==": [X, 1], "and": [X]}"#, false, true),
            (r#"{}"#, false, true),
            (r#"{"==": [{"var": "anonymous"}, "yes"]}"#, true, false),
            (r#"{"==": [{"var": "key"}, null]}"#, true, false),
            (
                r#"{"and": [{"==": [{"var": "x.y"}, 1]}, {"==": [{"var": "x.y"}, 2]}]}"#,
                false,
                false,
            ),
            (r#"{"in": [X, [null, 1]]}"#, false, false),
            (r#"{"in": [X, "abc"]}"#, false, false),
            (r#"{"some": [X, {"==": [{"var": ""}, 1]}]}"#, false, false),
        ] {
            let mut names = NameTable::default();
            let names_always = Always::new(&mut names);
            let query = Query::compile(&rule.replace('X', x), &mut names);
            let Query::JsonLogic(logic) = query else {
                panic!("{rule}");
            };
            let is = |wanted| is_impossible(&[(&logic, wanted)], &names_always, &mut 100_000);
            assert_eq!((is(true), is(false)), (never, always), "{rule}");
        }
    }
}
