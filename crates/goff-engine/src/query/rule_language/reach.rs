//! Which ends of a query contexts can reach.
//!
//! The search follows the branches of programs and keeps what each says about an attribute. It
//! gives up a branch only where no value of the attribute fits, so that what it calls impossible is
//! impossible; what it cannot decide counts as possible.

use std::cmp::Ordering;

use super::{
    literal::{Comparison, Test},
    program::{Branch, Program},
    text,
};
use crate::evaluate::{
    operand::Operand,
    scope::{NameTable, Slot},
    work::Work,
};

/// The names that queries see in every context, with values of one type.
#[derive(Debug)]
pub(crate) struct Always {
    texts: [Slot; 2],
    anonymous: Slot,
}

impl Always {
    pub(crate) fn new(names: &mut NameTable) -> Self {
        Self {
            texts: [names.slot("key"), names.slot("targetingKey")],
            anonymous: names.slot("anonymous"),
        }
    }

    pub(crate) fn is_text(&self, slot: Slot) -> bool {
        self.texts.contains(&slot)
    }

    pub(crate) fn is_boolean(&self, slot: Slot) -> bool {
        self.anonymous == slot
    }
}

/// The search would take too long.
#[derive(Clone, Copy, Debug)]
struct GivenUp;

/// Whether no context ends each query as it is said to: in a match, or not. False if that is not
/// known. `work` bounds the search and is reduced by what it takes.
pub(crate) fn is_impossible(ends: &[(&Program, bool)], always: &Always, work: &mut usize) -> bool {
    let mut search = Search {
        always,
        facts: Vec::new(),
        left: MOST_STEPS.min(*work),
    };
    let before = search.left;
    let found = search.ends(ends, None);
    *work -= before - search.left;
    matches!(found, Ok(false))
}

/// Steps of one search.
const MOST_STEPS: usize = 20_000;

/// Conditions on one way through the queries.
const MOST_FACTS: usize = 64;

struct Fact<'p> {
    slot: Slot,
    test: &'p Test,
    holds: bool,
}

struct Search<'p> {
    always: &'p Always,
    facts: Vec<Fact<'p>>,
    left: usize,
}

impl<'p> Search<'p> {
    /// Whether the ends may be possible, beginning `at` a place in the first query.
    fn ends(&mut self, ends: &[(&'p Program, bool)], at: Option<u32>) -> Result<bool, GivenUp> {
        let Some(((program, wanted), rest)) = ends.split_first() else {
            return Ok(true);
        };
        match program.branch(at).ok_or(GivenUp)? {
            Branch::End(matches) if matches == *wanted => self.ends(rest, None),
            Branch::End(_) => Ok(false),
            Branch::Condition {
                slot,
                test,
                yes,
                no,
            } => {
                if self.facts.len() >= MOST_FACTS {
                    return Err(GivenUp);
                }
                for (holds, next) in [(true, yes), (false, no)] {
                    self.facts.push(Fact { slot, test, holds });
                    let possible = match self.is_possible(slot) {
                        Ok(true) => self.ends(ends, Some(next)),
                        other => other,
                    };
                    self.facts.pop();
                    if possible? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether an attribute may have a value with which all facts about it hold.
    fn is_possible(&mut self, slot: Slot) -> Result<bool, GivenUp> {
        let facts: Vec<(&Test, bool)> = self
            .facts
            .iter()
            .filter(|fact| fact.slot == slot)
            .map(|fact| (fact.test, fact.holds))
            .collect();
        let literals: usize = facts.iter().map(|(test, _)| 1 + length(test)).sum();
        // Each literal is tried with each test.
        let blocks: usize = facts.iter().map(|(test, _)| bytes(test) / BLOCK).sum();
        let cost = literals.min(MOST_LITERALS) * (literals.min(MOST_LITERALS) + blocks);
        self.left = self.left.checked_sub(cost).ok_or(GivenUp)?;
        let is_text = self.always.is_text(slot);
        let is_bool = self.always.is_boolean(slot);
        let object = serde_json::Map::new();
        let others = [Operand::Null, Operand::List(&[]), Operand::Object(&object)];
        let any = |operands: &[Operand<'_>]| operands.iter().any(|one| all_hold(&facts, *one));
        if !is_text && any(&[true, false].map(Operand::Bool)) {
            return Ok(true);
        }
        if !is_text && !is_bool && (any(&others) || numbers(&facts)) {
            return Ok(true);
        }
        Ok(!is_bool && texts(&facts))
    }
}

/// How many literals a test has beside its first.
fn length(test: &Test) -> usize {
    match test {
        Test::TextIn(list) => list.len(),
        Test::IntIn(list) => list.len(),
        Test::DoubleIn(list) => list.len(),
        _ => 0,
    }
}

/// Bytes of text that cost as much as a literal.
const BLOCK: usize = 32;

/// The texts of a test. Lists that are not tried count none.
fn bytes(test: &Test) -> usize {
    match test {
        Test::Text(_, text) | Test::StartsWith(text) | Test::EndsWith(text) => text.len(),
        Test::Contains(needle) => needle.size(),
        Test::Version(_, version) => version.pre.len() + version.build.len(),
        Test::TextIn(list) if list.len() <= MOST_LITERALS => {
            list.iter().map(|text| text.len()).sum()
        }
        _ => 0,
    }
}

fn all_hold(facts: &[(&Test, bool)], operand: Operand<'_>) -> bool {
    let work = Work::default();
    facts
        .iter()
        .all(|(test, holds)| test.holds(operand, &work) == *holds)
}

/// Whether a number may fit. Tests change their outcome at literals only, so that it is enough to
/// try these and what is beside them.
fn numbers(facts: &[(&Test, bool)]) -> bool {
    /// Up to here doubles are exact integers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    /// Where the truncation of doubles ends.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let mut literals = vec![0.0];
    for (test, _) in facts {
        match test {
            Test::Int(_, literal) => literals.push(*literal as f64),
            Test::IntIn(list) => literals.extend(list.iter().map(|literal| *literal as f64)),
            Test::Double(_, literal) => literals.push(*literal),
            Test::DoubleIn(list) => literals.extend(list.iter()),
            _ => {}
        }
    }
    if literals.iter().any(|literal| literal.abs() >= EXACT) || literals.len() > MOST_LITERALS {
        return true;
    }
    let ends = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let near = literals.iter().flat_map(|literal| {
        let (floor, ceil) = (literal.floor(), literal.ceil());
        [*literal, floor, ceil, floor - 1.0, ceil + 1.0]
    });
    let around = |number: f64| [number, number.next_up(), number.next_down()];
    let floats = near.clone().chain([BEYOND, -BEYOND]).flat_map(around);
    let floats = floats.chain(ends);
    let integers = near.map(|number| number as i64);
    let integers = integers.chain([i64::MIN, i64::MAX]);
    let mut operands = integers.map(Operand::Int).chain(floats.map(Operand::Float));
    operands.any(|operand| all_hold(facts, operand))
}

/// Lists that are longer are not tried.
const MOST_LITERALS: usize = 200;

/// Whether a text may fit.
fn texts(facts: &[(&Test, bool)]) -> bool {
    let lists = facts.iter().filter_map(|(test, holds)| match test {
        Test::TextIn(list) if *holds => Some(list),
        _ => None,
    });
    if let Some(list) = lists.min_by_key(|list| list.len()) {
        return list.len() > MOST_LITERALS
            || list.iter().any(|text| all_hold(facts, Operand::Str(text)));
    }
    // Tests of other types have one outcome for all texts, and no beginning, end or part of a
    // text can be missing if it is empty.
    let fits_empty = facts.iter().all(|(test, holds)| match test {
        Test::Text(..) | Test::TextIn(_) | Test::Version(..) => true,
        Test::Contains(_) | Test::StartsWith(_) | Test::EndsWith(_) => {
            *holds || !all_hold(&[(test, true)], Operand::Str(""))
        }
        _ => all_hold(&[(test, *holds)], Operand::Str("")),
    });
    if !fits_empty {
        return false;
    }
    let mut comparisons = Vec::new();
    let mut versions = Vec::new();
    let is_version = facts
        .iter()
        .any(|(test, holds)| *holds && matches!(test, Test::Version(..)));
    for (test, holds) in facts {
        match test {
            Test::Text(comparison, literal) => {
                comparisons.push((outcome(*comparison, *holds), &**literal));
            }
            Test::Version(comparison, literal) if is_version => {
                versions.push((outcome(*comparison, *holds), &**literal));
            }
            _ => {}
        }
    }
    if is_contradiction(&comparisons, |a, b| a.chars().cmp(b.chars()))
        || is_contradiction(&versions, |a, b| a.cmp_precedence(b))
    {
        return false;
    }
    let equal = comparisons
        .iter()
        .find(|(comparison, _)| *comparison == Comparison::Eq);
    if let Some((_, literal)) = equal {
        // Other spellings of it differ in lists and versions only.
        let folded = facts
            .iter()
            .copied()
            .filter(|(test, _)| !matches!(test, Test::TextIn(_) | Test::Version(..)));
        let folded: Vec<_> = folded.collect();
        return text::lowered(literal) != **literal || all_hold(&folded, Operand::Str(literal));
    }
    !facts.iter().enumerate().any(|(index, (one, holds))| {
        let mut others = facts.iter().skip(index + 1).chain(facts.iter().take(index));
        *holds && others.any(|(other, holds)| excludes(one, other, *holds))
    })
}

/// The comparison that holds where this one has an outcome.
fn outcome(comparison: Comparison, holds: bool) -> Comparison {
    if holds {
        return comparison;
    }
    match comparison {
        Comparison::Eq => Comparison::Ne,
        Comparison::Ne => Comparison::Eq,
        Comparison::Gt => Comparison::Le,
        Comparison::Lt => Comparison::Ge,
        Comparison::Ge => Comparison::Lt,
        Comparison::Le => Comparison::Gt,
    }
}

/// Whether nothing satisfies all comparisons.
fn is_contradiction<T: Copy>(
    comparisons: &[(Comparison, T)],
    compare: impl Fn(T, T) -> Ordering,
) -> bool {
    use Comparison::{Eq, Ge, Gt, Le, Lt};
    comparisons.iter().any(|(one, literal)| {
        comparisons.iter().any(|(other, limit)| {
            let ordering = compare(*literal, *limit);
            match (one, other) {
                (Eq, other) => !other.holds(ordering),
                (Gt | Ge, Lt | Le) => {
                    let strict = (*one, *other) != (Ge, Le);
                    ordering.is_gt() || (ordering.is_eq() && strict)
                }
                _ => false,
            }
        })
    })
}

/// Whether no text for which `one` holds gives the other test this outcome.
fn excludes(one: &Test, other: &Test, holds: bool) -> bool {
    match (one, other, holds) {
        (Test::StartsWith(one), Test::StartsWith(other), true) => {
            !one.starts_with(&**other) && !other.starts_with(&**one)
        }
        (Test::StartsWith(one), Test::StartsWith(other), false) => one.starts_with(&**other),
        (Test::EndsWith(one), Test::EndsWith(other), true) => {
            !one.ends_with(&**other) && !other.ends_with(&**one)
        }
        (Test::EndsWith(one), Test::EndsWith(other), false) => one.ends_with(&**other),
        (Test::StartsWith(one) | Test::EndsWith(one), Test::Contains(other), false) => {
            other.is_in(one)
        }
        (Test::Contains(one), Test::Contains(other), false) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::rule_language::compile;

    #[test]
    fn long_texts_cost_more() {
        let long = "a".repeat(1_000_000);
        for query in [
            "x eq \"TEXT\" and x eq \"b\"",
            "x sw \"TEXT\" and x sw \"b\"",
            "x ew \"TEXT\" and x ew \"b\"",
            "x co \"TEXT\" and not (x co \"TEXT\")",
            "x in [\"TEXT\"] and x in [\"b\"]",
            "x eq 1.0.0-TEXT and x eq 1.0.0",
        ] {
            for (text, expected) in [("a", true), (&long, false)] {
                let mut names = NameTable::default();
                let always = Always::new(&mut names);
                let program = compile(&query.replace("TEXT", text), &mut names).unwrap();
                let found = is_impossible(&[(&program, true)], &always, &mut 100_000);
                assert_eq!(found, expected, "{query}");
            }
        }
    }

    #[test]
    fn what_is_impossible() {
        for (query, never, always) in [
            ("x eq 1 and x eq 2", true, false),
            ("x eq 1 and x eq 1.5", false, false),
            ("x eq 1.0 and x eq 1.5", true, false),
            ("x gt 1 and x lt 2", true, false),
            ("x gt 1.0 and x lt 2.0", false, false),
            ("x eq 1 and x eq \"a\"", true, false),
            ("x eq \"a\" and x eq \"B\"", true, false),
            ("x eq \"ab\" and x sw \"b\"", true, false),
            ("x eq \"a\" and x in [\"A\"]", false, false),
            ("x eq \"b\" and x in [\"A\"]", true, false),
            ("x sw \"ab\" and x sw \"ac\"", true, false),
            ("x sw \"ab\" and x sw \"abc\"", false, false),
            ("x lt \"a\" and x gt \"b\"", true, false),
            ("x co \"a\" and not (x co \"A\")", true, false),
            ("x gt 2.0.0 and x lt 1.0.0", true, false),
            ("x gt 1.0.0 and x lt 2.0.0", false, false),
            ("x pr and x eq null", true, false),
            ("x pr or x eq null", false, true),
            ("x eq 1 or not (x eq 1)", false, true),
            ("x gt 1 or x le 1", false, false),
            ("not (x eq 1 and x eq 2)", false, true),
            ("key pr", false, true),
            ("anonymous eq true or anonymous eq false", false, true),
            ("anonymous eq \"true\"", true, false),
            ("targetingKey eq 5", true, false),
            ("x in [1, 2] and x gt 2", true, false),
            (
                "x eq 9223372036854775807 and x eq 9223372036854775806",
                false,
                false,
            ),
            ("x.y eq 1 and x.y eq 2", false, false),
        ] {
            let mut names = NameTable::default();
            let names_always = Always::new(&mut names);
            let program = compile(query, &mut names).unwrap();
            let is = |matches| is_impossible(&[(&program, matches)], &names_always, &mut 100_000);
            assert_eq!((is(true), is(false)), (never, always), "{query}");
        }
    }
}
