//! The flag that is in force at a time, as its JSON states it.

use super::explanation::{ExplainedStep, StepStatus};
use crate::{
    compiled::{
        body::State,
        schedule::{Draft, Place, changes_something},
    },
    configuration::{
        budget::Budget,
        date::Timestamp,
        definition::{FlagDefinition, RuleDefinition},
        json::{MAX_NESTING, Node},
    },
    evaluate::scope::NameTable,
    query::{self, Query, rule_language::outline::Outline},
};

/// What a compiled flag does not keep.
#[derive(Debug, Default)]
pub(super) struct Effective<'t> {
    pub(super) steps: Vec<ExplainedStep>,
    /// The targeting rules that are in force; none if a step that is due cannot be applied.
    pub(super) rules: Vec<EffectiveRule<'t>>,
    pub(super) default_rule: Option<RuleDefinition<'t>>,
    /// The trimmed queries of the targeting rules of the flag, then of each step.
    queries: Vec<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct EffectiveRule<'t> {
    pub(super) name: Option<Box<str>>,
    query: Option<Place>,
    pub(super) definition: RuleDefinition<'t>,
}

impl<'t> Effective<'t> {
    /// Applies the steps that are due. What cannot be read or applied is left out: the evaluation
    /// reports it.
    pub(super) fn at(now: Timestamp, json: &'t str) -> Self {
        let mut budget = Budget::new(json.len());
        let Some(mut flag) = Node::parse(json, MAX_NESTING)
            .ok()
            .and_then(|node| FlagDefinition::decode(&node, &mut budget).ok())
        else {
            return Self::default();
        };
        let mut steps = flag.scheduled_rollout.take().unwrap_or_default();
        // As they are numbered when the flag is compiled.
        steps.sort_by_key(|step| step.date.map(|date| date.at));
        let flags = std::iter::once(&flag).chain(&steps);
        let queries = flags.map(queries).collect();
        let mut explained = explained(&steps, now, flag.variations.is_some());
        explained.sort_by_key(|step| step.date.is_none());
        let drafted = drafted(flag, steps, now, &mut budget);
        let (rules, default_rule) = match drafted {
            Some(draft) => (draft.rules, draft.default_rule),
            None => (Vec::new(), None),
        };
        let rules = rules.into_iter().map(|rule| EffectiveRule {
            name: rule.name,
            query: rule.query.is_some().then_some(rule.query_place),
            definition: rule.definition,
        });
        Self {
            steps: explained,
            rules: rules.collect(),
            default_rule: default_rule.map(|rule| rule.definition),
            queries,
        }
    }

    /// The query of a targeting rule, trimmed.
    pub(super) fn query(&self, rule: usize) -> Option<&str> {
        let place = self.rules.get(rule)?.query?;
        let queries = self.queries.get(place.step as usize)?;
        queries.get(place.rule as usize).map(String::as_str)
    }

    /// The parts of a targeting rule's query, if that is one of the rule language.
    pub(super) fn outline(&self, state: Option<&State>, rule: usize) -> Option<Outline<'_>> {
        match &state?.rules.get(rule)?.query {
            Query::RuleLanguage(_) => self.query(rule).and_then(Outline::of),
            _ => None,
        }
    }
}

fn queries(flag: &FlagDefinition<'_>) -> Vec<String> {
    let rules = flag.targeting.iter().flatten();
    rules
        .map(|rule| query::trim(rule.query.as_deref().unwrap_or_default()).into_owned())
        .collect()
}

/// The flag after the steps that are due; none if one of them cannot be applied.
fn drafted<'t>(
    flag: FlagDefinition<'t>,
    steps: Vec<FlagDefinition<'t>>,
    now: Timestamp,
    budget: &mut Budget,
) -> Option<Draft<'t>> {
    let mut names = NameTable::default();
    let mut draft = Draft::new(flag, &mut names, budget).ok()?;
    for (number, step) in (1..).zip(steps) {
        if is_due(&step, now) {
            draft.apply(step, number, &mut names, budget).ok()?;
        }
    }
    Some(draft)
}

fn is_due(step: &FlagDefinition<'_>, now: Timestamp) -> bool {
    step.date.is_some_and(|date| date.at <= now)
}

fn explained(
    steps: &[FlagDefinition<'_>],
    now: Timestamp,
    has_variations: bool,
) -> Vec<ExplainedStep> {
    let dates = steps.iter().filter_map(|step| step.date);
    let next = dates.map(|date| date.at).find(|date| *date > now);
    let explained = steps.iter().map(|step| {
        let date = step.date.map(|date| date.at);
        ExplainedStep {
            date,
            status: match date {
                None => StepStatus::Never,
                Some(date) if date <= now => StepStatus::Due,
                Some(_) if date == next => StepStatus::Next,
                Some(_) => StepStatus::Later,
            },
            changes: changes(step, has_variations),
        }
    });
    explained.collect()
}

/// The members of a step that take effect (docs/engine-semantics.md 11.2). A flag without the member
/// `variations` cannot get any.
fn changes(step: &FlagDefinition<'_>, has_variations: bool) -> Vec<&'static str> {
    [
        ("variations", has_variations && has_some(&step.variations)),
        ("targeting", has_some(&step.targeting)),
        (
            "defaultRule",
            step.default_rule.as_ref().is_some_and(changes_something),
        ),
        ("experimentation", step.experimentation.is_some()),
        ("disable", step.disable.is_some()),
    ]
    .into_iter()
    .filter_map(|(member, present)| present.then_some(member))
    .collect()
}

fn has_some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}
