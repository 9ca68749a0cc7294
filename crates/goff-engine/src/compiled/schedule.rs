//! Scheduled rollouts: what a flag looks like once a step is due.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::RandomState},
    sync::Arc,
};

use crate::{
    compiled::{
        body::State,
        rule::{Rule, Serving},
    },
    configuration::{
        budget::{Budget, TooExpensive},
        definition::{
            FlagDefinition, ProgressiveRolloutDefinition, RolloutEndDefinition, RuleDefinition,
            WindowDefinition,
        },
    },
    evaluate::scope::NameTable,
    query::{self, Query},
};

/// The parts of a flag that steps change, except its variations.
#[derive(Debug)]
pub(crate) struct Draft<'t> {
    pub(crate) rules: Vec<DraftRule<'t>>,
    /// Whether the targeting rules differ from those of the last state.
    pub(crate) rules_changed: bool,
    pub(crate) default_rule: Option<DraftRule<'t>>,
    pub(crate) window: Option<WindowDefinition>,
    pub(crate) disabled: bool,
}

/// A rule, as far as it is compiled.
#[derive(Debug)]
pub(crate) struct DraftRule<'t> {
    pub(crate) name: Option<Box<str>>,
    pub(crate) query: Option<Query>,
    pub(crate) query_place: Place,
    /// Without the name and the query.
    pub(crate) definition: RuleDefinition<'t>,
    /// None if a change of the definition has outdated it.
    pub(crate) serving: Option<Serving>,
}

/// Where in a flag's text the query of a targeting rule is: in the flag (0) or one of its steps in the
/// order of their dates, and in which rule there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) step: u32,
    pub(crate) rule: u32,
}

/// Why a step cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepError {
    /// The step changes a part that the flag does not have. The official engine panics there.
    MissingPart,
    TooExpensive,
}

impl From<TooExpensive> for StepError {
    fn from(_: TooExpensive) -> Self {
        Self::TooExpensive
    }
}

impl<'t> Draft<'t> {
    /// The flag before any step.
    pub(crate) fn new(
        flag: FlagDefinition<'t>,
        names: &mut NameTable,
        budget: &mut Budget,
    ) -> Result<Self, TooExpensive> {
        let rules = flag.targeting.unwrap_or_default();
        budget.spend_on::<DraftRule<'_>>(rules.len())?;
        Ok(Self {
            rules: draft_rules(rules, 0, names).collect(),
            rules_changed: true,
            default_rule: flag
                .default_rule
                .map(|rule| DraftRule::new(rule, Place::default(), names)),
            window: flag.experimentation,
            disabled: flag.disable.unwrap_or(false),
        })
    }

    /// The targeting rules as they are evaluated, once all are compiled.
    pub(crate) fn compiled(&self, budget: &mut Budget) -> Result<Arc<[Rule]>, TooExpensive> {
        if self.rules.is_empty() {
            return Ok(Arc::default());
        }
        let mut rules = Vec::with_capacity(self.rules.len());
        for rule in self.rules.iter().filter_map(DraftRule::compiled) {
            budget.spend(rule.copied_size())?;
            rules.push(rule);
        }
        Ok(rules.into())
    }

    /// Makes rules serve other answers than before, after a variation has got another value: an
    /// answer always has the same value.
    pub(crate) fn outdate_servings(&mut self, budget: &mut Budget) -> Result<(), TooExpensive> {
        budget.spend_on::<Rule>(self.rules.len())?;
        for rule in self.rules.iter_mut().chain(&mut self.default_rule) {
            rule.serving = None;
        }
        self.rules_changed = true;
        Ok(())
    }

    /// Applies the step with a number, except for its variations (docs/engine-semantics.md 11.2; upstream
    /// `modules/core/flag/internal_flag.go`).
    pub(crate) fn apply(
        &mut self,
        step: FlagDefinition<'t>,
        number: u32,
        names: &mut NameTable,
        budget: &mut Budget,
    ) -> Result<(), StepError> {
        budget.spend_on::<State>(1)?;
        self.merge_rules(step.targeting.unwrap_or_default(), number, names, budget)?;
        if let Some(disable) = step.disable {
            self.disabled = disable;
        }
        if let Some(update) = step.default_rule {
            let changes_something = changes_something(&update);
            match &mut self.default_rule {
                Some(rule) => {
                    rule.merge(&DraftRule::new(update, Place::default(), names), budget)?;
                }
                None if changes_something => return Err(StepError::MissingPart),
                None => {}
            }
        }
        if let Some(update) = step.experimentation {
            let window = self.window.get_or_insert_default();
            window.start = update.start.or(window.start);
            window.end = update.end.or(window.end);
        }
        Ok(())
    }

    /// Merges rules by name and appends those whose name no rule has.
    fn merge_rules(
        &mut self,
        updates: Vec<RuleDefinition<'t>>,
        number: u32,
        names: &mut NameTable,
        budget: &mut Budget,
    ) -> Result<(), StepError> {
        if updates.is_empty() {
            return Ok(());
        }
        // The rules are searched for the names of the updates, and make a new state.
        budget.spend_on::<Rule>(self.rules.len())?;
        budget.spend_on::<DraftRule<'_>>(updates.len())?;
        // Unnamed updates are never merged, unlike those with an empty name.
        let named: Vec<_> = updates.iter().map(|update| update.name.is_some()).collect();
        let mut updates: Vec<_> = named
            .into_iter()
            .zip(draft_rules(updates, number, names))
            .collect();
        // The last of several updates with one name wins.
        let mut by_name: HashMap<&str, (&DraftRule<'t>, bool), RandomState> = updates
            .iter()
            .filter(|(named, _)| *named)
            .map(|(_, update)| (update.name(), (update, false)))
            .collect();
        for rule in &mut self.rules {
            if let Some((update, merged)) = by_name.get_mut(rule.name()) {
                rule.merge(update, budget)?;
                *merged = true;
            }
        }
        let is_merged = |update: &DraftRule<'_>| {
            by_name
                .get(update.name())
                .is_some_and(|(_, merged)| *merged)
        };
        let mut appended = updates
            .iter()
            .map(|(_, update)| !is_merged(update))
            .collect::<Vec<_>>()
            .into_iter();
        updates.retain(|_| appended.next().unwrap_or_default());
        self.rules_changed = true;
        if self.rules.is_empty()
            && let Some(rule) = &mut self.default_rule
        {
            // Its reason tells whether there are targeting rules.
            rule.serving = None;
        }
        self.rules
            .extend(updates.into_iter().map(|(_, update)| update));
        Ok(())
    }
}

/// The targeting rules of a flag, or of the step with a number.
fn draft_rules<'t>(
    rules: Vec<RuleDefinition<'t>>,
    step: u32,
    names: &mut NameTable,
) -> impl Iterator<Item = DraftRule<'t>> {
    (0..).zip(rules).map(move |(rule, definition)| {
        let place = Place { step, rule };
        DraftRule::new(definition, place, names)
    })
}

impl<'t> DraftRule<'t> {
    fn new(mut definition: RuleDefinition<'t>, place: Place, names: &mut NameTable) -> Self {
        let name = definition.name.take().filter(|name| !name.is_empty());
        let query = definition.query.take();
        Self {
            name: name.map(Box::from),
            query: query.map(|query| Query::compile(&query::trim(&query), names)),
            query_place: place,
            definition,
            serving: None,
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The rule as it is evaluated; none if what it serves is not compiled.
    fn compiled(&self) -> Option<Rule> {
        Some(Rule {
            name: self.name.clone(),
            query: self.query.clone().unwrap_or(Query::Always),
            serving: self.serving.clone()?,
            disabled: self.definition.disable.unwrap_or(false),
        })
    }
    /// Merges an update, except for its name (docs/engine-semantics.md 11.4).
    fn merge(&mut self, update: &Self, budget: &mut Budget) -> Result<(), StepError> {
        if update.query.is_some() {
            self.query.clone_from(&update.query);
            self.query_place = update.query_place;
        }
        let (rule, update) = (&mut self.definition, &update.definition);
        replace(&mut rule.disable, &update.disable);
        replace_text(&mut rule.variation, &update.variation, budget)?;
        if let Some(update) = &update.progressive_rollout {
            let rollout = rule.progressive_rollout.get_or_insert_with(|| {
                Box::new(ProgressiveRolloutDefinition {
                    initial: Some(RolloutEndDefinition::default()),
                    end: Some(RolloutEndDefinition::default()),
                })
            });
            merge_rollout_end(&mut rollout.initial, update.initial.as_ref(), budget)?;
            merge_rollout_end(&mut rollout.end, update.end.as_ref(), budget)?;
        }
        if let Some(updates) = &update.percentage {
            merge_percentages(rule.percentage.get_or_insert_default(), updates, budget)?;
        }
        if update.variation.is_some()
            || update.progressive_rollout.is_some()
            || update.percentage.is_some()
        {
            self.serving = None;
        }
        Ok(())
    }
}

pub(crate) fn changes_something(update: &RuleDefinition<'_>) -> bool {
    update.disable.is_some()
        || update.query.is_some()
        || update.variation.is_some()
        || update.percentage.is_some()
        || update.progressive_rollout.is_some()
}

fn merge_rollout_end<'t>(
    end: &mut Option<RolloutEndDefinition<'t>>,
    update: Option<&RolloutEndDefinition<'t>>,
    budget: &mut Budget,
) -> Result<(), StepError> {
    let Some(update) = update else {
        return Ok(());
    };
    let Some(end) = end else {
        let changes =
            update.variation.is_some() || update.percentage.is_some() || update.date.is_some();
        return if changes {
            Err(StepError::MissingPart)
        } else {
            Ok(())
        };
    };
    replace_text(&mut end.variation, &update.variation, budget)?;
    replace(&mut end.percentage, &update.percentage);
    replace(&mut end.date, &update.date);
    Ok(())
}

type Percentages<'t> = Vec<(Cow<'t, str>, f64)>;

/// Merges entries that are sorted by name. A negative number removes an entry.
fn merge_percentages<'t>(
    entries: &mut Percentages<'t>,
    updates: &Percentages<'t>,
    budget: &mut Budget,
) -> Result<(), TooExpensive> {
    budget.spend_on::<(Cow<'_, str>, f64)>(entries.len() + updates.len())?;
    let mut merged = Vec::with_capacity(entries.len() + updates.len());
    let mut before = std::mem::take(entries).into_iter().peekable();
    for (name, percentage) in updates {
        while let Some(entry) = before.next_if(|(entry, _)| entry < name) {
            merged.push(entry);
        }
        let replaced = before.next_if(|(entry, _)| entry == name);
        if *percentage < 0.0 {
            continue;
        }
        let name = match replaced {
            Some((name, _)) => name,
            None => {
                budget.spend(name.len())?;
                name.clone()
            }
        };
        merged.push((name, *percentage));
    }
    merged.extend(before);
    *entries = merged;
    Ok(())
}

fn replace<T: Clone>(target: &mut Option<T>, update: &Option<T>) {
    if update.is_some() {
        target.clone_from(update);
    }
}

fn replace_text<'t>(
    target: &mut Option<Cow<'t, str>>,
    update: &Option<Cow<'t, str>>,
    budget: &mut Budget,
) -> Result<(), TooExpensive> {
    budget.spend(update.as_deref().map_or(0, str::len))?;
    replace(target, update);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(entries: &[(&'static str, f64)], updates: &[(&'static str, f64)]) -> String {
        let owned = |entries: &[(&'static str, f64)]| -> Percentages<'_> {
            entries
                .iter()
                .map(|(name, value)| ((*name).into(), *value))
                .collect()
        };
        let mut entries = owned(entries);
        merge_percentages(&mut entries, &owned(updates), &mut Budget::new(0)).unwrap();
        entries
            .iter()
            .map(|(name, value)| format!("{name}{value} "))
            .collect()
    }

    #[test]
    fn percentages_are_merged_by_name() {
        let entries = [("b", 1.0), ("d", 2.0), ("f", 3.0)];
        assert_eq!(merged(&entries, &[]), "b1 d2 f3 ");
        assert_eq!(
            merged(&entries, &[("a", 9.0), ("d", 8.0), ("g", 7.0)]),
            "a9 b1 d8 f3 g7 "
        );
        assert_eq!(
            merged(&entries, &[("b", -1.0), ("c", -1.0), ("f", -0.0)]),
            "d2 f-0 "
        );
        assert_eq!(merged(&[], &[("x", 1.0), ("y", -1.0)]), "x1 ");
    }

    /// To insert each where it belongs would take a minute.
    #[test]
    fn merging_percentages_takes_time_in_proportion() {
        let every_second = |from: usize| -> Percentages<'_> {
            let names = (from..400_000).step_by(2);
            names
                .map(|name| (format!("{name:06}").into(), 1.0))
                .collect()
        };
        let (mut entries, updates) = (every_second(0), every_second(1));
        let start = std::time::Instant::now();
        merge_percentages(&mut entries, &updates, &mut Budget::new(10_000_000)).unwrap();
        let took = start.elapsed();
        assert_eq!(entries.len(), 400_000);
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    }
}
