//! Warnings about the rules and the window that are in effect, now and after each step to come.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    code::LintCode,
    report::Report,
    rule_paths::{rules, step_path},
};
use crate::{
    compiled::schedule::{Draft, DraftRule},
    configuration::{
        budget::Budget,
        date::Timestamp,
        definition::{FlagDefinition, RuleDefinition, WindowDefinition},
    },
    evaluate::scope::NameTable,
    validation::Step,
};

pub(super) fn check(
    flag: &FlagDefinition<'_>,
    now: Timestamp,
    budget: &mut Budget,
    report: &mut Report<'_>,
) {
    for (path, rule) in rules(flag, &[]) {
        each(rule, &path, false, report);
    }
    let steps = flag.scheduled_rollout.as_deref().unwrap_or_default();
    for (index, step) in steps.iter().enumerate() {
        for (path, rule) in rules(step, &step_path(index)) {
            each(rule, &path, true, report);
        }
    }
    let base = FlagDefinition {
        scheduled_rollout: None,
        ..flag.clone()
    };
    let mut names = NameTable::default();
    let Ok(draft) = Draft::new(base, &mut names, budget) else {
        return;
    };
    let mut dated: Vec<(usize, Timestamp, &FlagDefinition<'_>)> = steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| Some((index, step.date?.at, step)))
        .collect();
    dated.sort_by_key(|(_, date, _)| *date);
    let mut course = Course::new(flag, draft);
    if course
        .follow(&dated, now, &mut names, budget, report)
        .is_some()
    {
        course.end(report);
    }
}

/// Each percentage of a rule.
fn each(rule: &RuleDefinition<'_>, path: &[Step], is_step: bool, report: &mut Report<'_>) {
    for (name, share) in rule.percentage.iter().flatten() {
        let thousandths = share * 1_000.0;
        let (code, message) = if *share < 0.0 && !is_step {
            let message = format!("variation `{name}` has the negative share {share}");
            (LintCode::NegativePercentage, message)
        } else if (thousandths - thousandths.round()).abs() > 1e-6 * thousandths.max(1.0) {
            let message = format!("{share} has more than three decimals");
            (LintCode::PercentageTooPrecise, message)
        } else {
            continue;
        };
        let path = [path, &[PERCENTAGE, Step::Entry(name.to_string())]].concat();
        report.warn(code, &path, &message);
    }
}

const PERCENTAGE: Step = Step::Member("percentage");
const VARIATION: Step = Step::Member("variation");
const ROLLOUT: Step = Step::Member("progressiveRollout");
const WINDOW: Step = Step::Member("experimentation");

/// A definition of a rule: that of the flag or a step, and there the targeting rule with an index or the
/// default rule.
#[derive(Clone, Copy, Default)]
struct Place {
    step: Option<usize>,
    rule: Option<usize>,
}

impl Place {
    fn path(self, rest: &[Step]) -> Vec<Step> {
        let step = self.step.map(step_path);
        let mut path = step.map_or_else(Vec::new, Vec::from);
        match self.rule {
            Some(index) => path.extend([Step::Member("targeting"), Step::Index(index)]),
            None => path.push(Step::Member("defaultRule")),
        }
        path.extend_from_slice(rest);
        path
    }
}

/// Where the members of a rule come from that is in effect, and what is known about it.
#[derive(Default)]
struct Sources<'f> {
    percentage: Place,
    rollout: Place,
    variation: Place,
    /// It has changed since it was checked.
    is_new: bool,
    /// Where the shares of zero were first stated, unless they get another one.
    zeros: BTreeMap<&'f str, Place>,
}

impl<'f> Sources<'f> {
    fn of(rule: &'f RuleDefinition<'_>, place: Place) -> Self {
        let mut sources = Self::default();
        sources.update(rule, place);
        sources
    }

    fn update(&mut self, rule: &'f RuleDefinition<'_>, place: Place) {
        self.is_new = true;
        if rule.variation.is_some() {
            self.variation = place;
        }
        if rule.progressive_rollout.is_some() {
            self.rollout = place;
        }
        if rule.percentage.is_some() {
            self.percentage = place;
        }
        for (name, share) in rule.percentage.iter().flatten() {
            if *share == 0.0 {
                self.zeros.entry(name).or_insert(place);
            } else {
                self.zeros.remove(&**name);
            }
        }
    }
}

/// A flag on its way through its steps.
struct Course<'f, 't> {
    draft: Draft<'t>,
    /// Of the targeting rules.
    rules: Vec<Sources<'f>>,
    /// Whether one of them has changed since they were checked.
    rules_changed: bool,
    default_rule: Sources<'f>,
    /// The shares that are positive in some state, by rule; `None` is the default rule.
    served: HashSet<(Option<usize>, &'f str)>,
    variations: HashSet<&'f str>,
    has_variations: bool,
    /// The step that changed the window, and whether it was checked since.
    window: (Option<usize>, bool),
    /// The last state whose window is over, which may be moved yet.
    is_over: Option<Vec<Step>>,
}

impl<'f, 't> Course<'f, 't> {
    fn new(flag: &'f FlagDefinition<'t>, draft: Draft<'t>) -> Self {
        let targeting = flag.targeting.iter().flatten().enumerate();
        let rules = targeting.map(|(index, rule)| {
            let rule_place = Place {
                step: None,
                rule: Some(index),
            };
            Sources::of(rule, rule_place)
        });
        let nothing: &'f [_] = &[];
        let variations = flag.variations.as_deref().unwrap_or(nothing);
        Self {
            draft,
            rules: rules.collect(),
            rules_changed: true,
            default_rule: flag
                .default_rule
                .as_ref()
                .map_or_else(Sources::default, |rule| Sources::of(rule, Place::default())),
            served: HashSet::new(),
            variations: variations.iter().map(|(name, _)| &**name).collect(),
            has_variations: flag.variations.is_some(),
            window: (None, true),
            is_over: None,
        }
    }

    /// Goes through the steps in the order of their dates, and checks each state from now on. `None`
    /// if a step cannot be applied, it takes too long, or there are too many diagnostics.
    fn follow(
        &mut self,
        dated: &[(usize, Timestamp, &'f FlagDefinition<'t>)],
        now: Timestamp,
        names: &mut NameTable,
        budget: &mut Budget,
        report: &mut Report<'_>,
    ) -> Option<()> {
        let due = dated.partition_point(|(_, date, _)| *date <= now);
        for (at, (index, date, step)) in dated.iter().enumerate() {
            if at == due {
                self.check(now, budget, report)?;
            }
            self.apply(*index, step, names, budget)?;
            if report.is_full() {
                return None;
            }
            let is_replaced_at_once = dated.get(at + 1).is_some_and(|(_, next, _)| next == date);
            if at >= due && !is_replaced_at_once {
                self.check(*date, budget, report)?;
            }
        }
        if due == dated.len() {
            self.check(now, budget, report)?;
        }
        Some(())
    }

    /// `None` if the step cannot be applied.
    fn apply(
        &mut self,
        index: usize,
        step: &'f FlagDefinition<'t>,
        names: &mut NameTable,
        budget: &mut Budget,
    ) -> Option<()> {
        let place = |rule| Place {
            step: Some(index),
            rule,
        };
        let updates = step.targeting.as_deref().unwrap_or_default();
        // As `Draft` merges them: by name, the last one of a name; the others are appended.
        let named = updates.iter().enumerate();
        let named: HashMap<&str, usize> = named
            .filter_map(|(at, update)| Some((update.name.as_deref()?, at)))
            .collect();
        let mut merged = HashSet::new();
        if !updates.is_empty() {
            self.rules_changed = true;
            for (rule, sources) in self.draft.rules.iter().zip(&mut self.rules) {
                let name = rule.name.as_deref().unwrap_or_default();
                if let Some(at) = named.get(name)
                    && let Some((key, update)) = named.get_key_value(name).zip(updates.get(*at))
                {
                    sources.update(update, place(Some(*at)));
                    merged.insert(*key.0);
                }
            }
        }
        for (at, update) in updates.iter().enumerate() {
            if !merged.contains(update.name.as_deref().unwrap_or_default()) {
                self.rules.push(Sources::of(update, place(Some(at))));
            }
        }
        if let Some(rule) = &step.default_rule {
            self.default_rule.update(rule, place(None));
        }
        if step.experimentation.is_some() {
            self.window = (Some(index), true);
        }
        if self.has_variations {
            let added = step.variations.iter().flatten();
            self.variations.extend(added.map(|(name, _)| &**name));
        }
        self.draft.apply(step.clone(), 0, names, budget).ok()
    }

    /// Looks at what has changed in the state that begins at a time. `None` if that takes too long for
    /// the flag's text.
    fn check(
        &mut self,
        from: Timestamp,
        budget: &mut Budget,
        report: &mut Report<'_>,
    ) -> Option<()> {
        if std::mem::take(&mut self.window.1) {
            self.is_over = None;
            if let Some(window) = self.draft.window {
                self.window(window, from, report);
            }
        }
        // Not for steps that change no rule: flags have many of both.
        let changed = match std::mem::take(&mut self.rules_changed) {
            true => &mut *self.rules,
            false => &mut [],
        };
        let targeting = self.draft.rules.iter().zip(changed).enumerate();
        let targeting = targeting.map(|(index, (rule, sources))| (Some(index), rule, sources));
        let default = self.draft.default_rule.iter().zip([&mut self.default_rule]);
        let default = default.map(|(rule, sources)| (None, rule, sources));
        for (index, rule, sources) in targeting.chain(default) {
            if report.is_full() {
                return None;
            }
            if std::mem::take(&mut sources.is_new) {
                // Steps that change another member of a rule have not paid for its percentages.
                let percentages = rule.definition.percentage.as_deref().unwrap_or_default();
                budget.spend(size_of_val(percentages)).ok()?;
                self::rule(rule, sources, &self.variations, report);
                for (name, share) in percentages {
                    if *share > 0.0
                        && let Some(name) = self.variations.get(&**name)
                    {
                        self.served.insert((index, *name));
                    }
                }
            }
        }
        Some(())
    }

    fn window(&mut self, window: WindowDefinition, from: Timestamp, report: &mut Report<'_>) {
        let path = self.window.0.map(step_path);
        let mut path = path.map_or_else(Vec::new, Vec::from);
        path.push(WINDOW);
        let (start, end) = (
            window.start.map(|date| date.at),
            window.end.map(|date| date.at),
        );
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            let message = "the experimentation does not end after it begins";
            report.warn(LintCode::ExperimentationOrder, &path, message);
        } else if end.is_some_and(|end| end < from) {
            path.push(Step::Member("end"));
            self.is_over = Some(path);
        }
    }

    /// What no later step changes.
    fn end(self, report: &mut Report<'_>) {
        if let Some(path) = &self.is_over {
            let message = match path.len() {
                2 => "the experimentation is over: the flag behaves as disabled",
                _ => {
                    "the experimentation is over when the step comes into force: the flag behaves as disabled"
                }
            };
            report.warn(LintCode::ExperimentationOver, path, message);
        }
        let targeting = self.rules.iter().enumerate();
        let targeting = targeting.map(|(index, sources)| (Some(index), sources));
        for (index, sources) in targeting.chain([(None, &self.default_rule)]) {
            for (name, place) in &sources.zeros {
                if report.is_full() {
                    return;
                }
                if !self.served.contains(&(index, *name)) {
                    let message =
                        format!("variation `{name}` has a share of 0, so no context gets it");
                    let path = place.path(&[PERCENTAGE, Step::Entry((*name).to_owned())]);
                    report.warn(LintCode::ZeroPercentage, &path, &message);
                }
            }
        }
    }
}

/// A rule that is in effect.
fn rule(
    rule: &DraftRule<'_>,
    sources: &Sources<'_>,
    variations: &HashSet<&str>,
    report: &mut Report<'_>,
) {
    let rule = &rule.definition;
    let rollout = rule.progressive_rollout.as_deref();
    let percentages = rule.percentage.as_deref().unwrap_or_default();
    let is_split = !percentages.is_empty();
    let fixed = rule.variation.as_deref().filter(|name| !name.is_empty());
    let at_variation = || sources.variation.path(&[VARIATION]);
    let at_percentage = || sources.percentage.path(&[PERCENTAGE]);
    let mut warn = |code, path: Vec<Step>, message: &str| report.warn(code, &path, message);
    // A step that sets a member hides the one before it, which steps cannot remove.
    let is_hidden = |hidden: Place, hiding: Place| hidden.step.is_some() || hiding.step.is_none();
    if rollout.is_some() && is_split && is_hidden(sources.percentage, sources.rollout) {
        let message = "the progressive rollout of the rule hides its percentages";
        warn(LintCode::HiddenMember, at_percentage(), message);
    }
    let hiding = match rollout {
        Some(_) => Some((
            sources.rollout,
            "the progressive rollout of the rule hides its variation",
        )),
        None => is_split.then_some((
            sources.percentage,
            "the percentages of the rule hide its variation",
        )),
    };
    if let Some((hiding, message)) = hiding
        && fixed.is_some()
        && is_hidden(sources.variation, hiding)
    {
        warn(LintCode::HiddenMember, at_variation(), message);
    }
    let is_unknown = |place: Place, name: &str| place.step.is_some() && !variations.contains(name);
    let unknown = |name: &str| format!("the step serves variation `{name}`, which does not exist");
    if let Some(rollout) = rollout {
        let ends = [("initial", &rollout.initial), ("end", &rollout.end)];
        for (part, end) in ends {
            let name = end.as_ref().and_then(|end| end.variation.as_deref());
            let name = name.unwrap_or_default();
            if is_unknown(sources.rollout, name) {
                let path = sources
                    .rollout
                    .path(&[ROLLOUT, Step::Member(part), VARIATION]);
                warn(LintCode::UnknownVariation, path, &unknown(name));
            }
        }
        let [initial, end] = ends.map(|(_, end)| end.as_ref().and_then(|end| Some(end.date?.at)));
        let message = match (initial, end) {
            (Some(initial), Some(end)) if end > initial => return,
            (Some(_), Some(_)) => "the progressive rollout does not end after it begins",
            _ => "the progressive rollout needs a date for its beginning and one for its end",
        };
        warn(
            LintCode::RolloutOrder,
            sources.rollout.path(&[ROLLOUT]),
            message,
        );
        return;
    }
    if !is_split {
        if let Some(name) = fixed.filter(|name| is_unknown(sources.variation, name)) {
            warn(LintCode::UnknownVariation, at_variation(), &unknown(name));
        }
        if fixed.is_none() && sources.percentage.step.is_some() {
            let message = "the step removes all percentages, and the rule serves nothing";
            warn(LintCode::PercentagesNot100, at_percentage(), message);
        }
        return;
    }
    for (name, _) in percentages.iter().filter(|(_, share)| *share > 0.0) {
        if is_unknown(sources.percentage, name) {
            let path = [at_percentage(), vec![Step::Entry(name.to_string())]].concat();
            warn(LintCode::UnknownVariation, path, &unknown(name));
        }
    }
    let sum: f64 = percentages.iter().map(|(_, share)| share).sum();
    if (sum - 100.0).abs() > 0.000_5 {
        // Without the errors of adding.
        let sum = (sum * 1e6).round() / 1e6;
        let message = format!("the percentages add up to {sum}, not to 100");
        warn(LintCode::PercentagesNot100, at_percentage(), &message);
    }
}
