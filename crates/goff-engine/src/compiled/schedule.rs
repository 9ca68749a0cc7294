//! Scheduled rollouts: what a flag looks like once a step is due.

use std::{borrow::Cow, collections::HashMap};

use crate::configuration::{
    compact_json::CompactJson,
    definition::{
        FlagDefinition, ProgressiveRolloutDefinition, RolloutEndDefinition, RuleDefinition,
        WindowDefinition,
    },
    repeated::keep_last,
};

/// The parts of a flag that a step can change.
#[derive(Clone, Debug)]
pub(crate) struct FlagState<'t> {
    pub(crate) variations: Option<Vec<(Cow<'t, str>, CompactJson)>>,
    pub(crate) rules: Vec<RuleDefinition<'t>>,
    pub(crate) default_rule: Option<RuleDefinition<'t>>,
    pub(crate) window: Option<WindowDefinition>,
    pub(crate) disabled: bool,
}

/// A step changes a part that the flag does not have. The official engine panics there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingPart;

impl<'t> FlagState<'t> {
    /// The flag before any step.
    pub(crate) fn new(flag: FlagDefinition<'t>) -> Self {
        Self {
            variations: flag.variations,
            rules: flag.targeting.unwrap_or_default(),
            default_rule: flag.default_rule,
            window: flag.experimentation,
            disabled: flag.disable.unwrap_or(false),
        }
    }

    /// How many parts there are, to bound the work of compiling all states.
    pub(crate) fn size(&self) -> usize {
        let entries = |rule: &RuleDefinition<'_>| 1 + rule.percentage.as_ref().map_or(0, Vec::len);
        let rules = self.rules.iter().chain(&self.default_rule);
        1 + rules.map(entries).sum::<usize>() + self.variations.as_ref().map_or(0, Vec::len)
    }

    /// Applies a step (docs/engine-semantics.md 11.2; upstream
    /// `modules/core/flag/internal_flag.go`).
    pub(crate) fn apply(&mut self, step: &FlagDefinition<'t>) -> Result<(), MissingPart> {
        self.merge_rules(step.targeting.as_deref().unwrap_or_default())?;
        if let Some(disable) = step.disable {
            self.disabled = disable;
        }
        if let Some(update) = &step.default_rule {
            match &mut self.default_rule {
                Some(rule) => merge_rule(rule, update)?,
                None if changes_something(update) => return Err(MissingPart),
                None => {}
            }
        }
        if let (Some(variations), Some(updates)) = (&mut self.variations, &step.variations) {
            variations.extend(updates.iter().cloned());
            keep_last(variations, |(name, _)| name);
        }
        if let Some(update) = step.experimentation {
            let window = self.window.get_or_insert_default();
            window.start = update.start.or(window.start);
            window.end = update.end.or(window.end);
        }
        Ok(())
    }

    /// Merges rules by name and appends those whose name no rule has.
    fn merge_rules(&mut self, updates: &[RuleDefinition<'t>]) -> Result<(), MissingPart> {
        if updates.is_empty() {
            return Ok(());
        }
        // The last of several updates with one name wins; unnamed ones are never merged.
        let mut by_name: HashMap<&str, (&RuleDefinition<'t>, bool)> = updates
            .iter()
            .filter_map(|update| Some((update.name.as_deref()?, (update, false))))
            .collect();
        for rule in &mut self.rules {
            let name = rule.name.as_deref().unwrap_or_default();
            if let Some((update, merged)) = by_name.get_mut(name) {
                merge_rule(rule, update)?;
                *merged = true;
            }
        }
        let appended = updates.iter().filter(|update| {
            let name = update.name.as_deref().unwrap_or_default();
            !by_name.get(name).is_some_and(|(_, merged)| *merged)
        });
        self.rules.extend(appended.cloned());
        Ok(())
    }
}

fn changes_something(update: &RuleDefinition<'_>) -> bool {
    update.disable.is_some()
        || update.query.is_some()
        || update.variation.is_some()
        || update.percentage.is_some()
        || update.progressive_rollout.is_some()
}

fn merge_rule<'t>(
    rule: &mut RuleDefinition<'t>,
    update: &RuleDefinition<'t>,
) -> Result<(), MissingPart> {
    replace(&mut rule.disable, &update.disable);
    replace(&mut rule.query, &update.query);
    replace(&mut rule.variation, &update.variation);
    if let Some(update) = &update.progressive_rollout {
        let rollout =
            rule.progressive_rollout
                .get_or_insert_with(|| ProgressiveRolloutDefinition {
                    initial: Some(RolloutEndDefinition::default()),
                    end: Some(RolloutEndDefinition::default()),
                });
        merge_rollout_end(&mut rollout.initial, update.initial.as_ref())?;
        merge_rollout_end(&mut rollout.end, update.end.as_ref())?;
    }
    if let Some(updates) = &update.percentage {
        let entries = rule.percentage.get_or_insert_default();
        for (name, percentage) in updates {
            let place = entries.binary_search_by(|(entry, _)| entry.cmp(name));
            match place {
                Ok(found) if *percentage < 0.0 => drop(entries.remove(found)),
                Ok(found) => {
                    if let Some(entry) = entries.get_mut(found) {
                        entry.1 = *percentage;
                    }
                }
                Err(_) if *percentage < 0.0 => {}
                Err(place) => entries.insert(place, (name.clone(), *percentage)),
            }
        }
    }
    Ok(())
}

fn merge_rollout_end<'t>(
    end: &mut Option<RolloutEndDefinition<'t>>,
    update: Option<&RolloutEndDefinition<'t>>,
) -> Result<(), MissingPart> {
    let Some(update) = update else {
        return Ok(());
    };
    let Some(end) = end else {
        let changes =
            update.variation.is_some() || update.percentage.is_some() || update.date.is_some();
        return if changes { Err(MissingPart) } else { Ok(()) };
    };
    replace(&mut end.variation, &update.variation);
    replace(&mut end.percentage, &update.percentage);
    replace(&mut end.date, &update.date);
    Ok(())
}

fn replace<T: Clone>(target: &mut Option<T>, update: &Option<T>) {
    if update.is_some() {
        target.clone_from(update);
    }
}
