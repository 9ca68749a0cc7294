//! Warnings about a flag as it is decoded.

use std::{collections::HashSet, mem::discriminant};

use super::{code::LintCode, report::Report, rule_paths::step_path};
use crate::{
    configuration::{
        compact_json::CompactJson,
        date::Timestamp,
        definition::{FlagDefinition, RuleDefinition},
    },
    validation::Step,
};

pub(super) fn check(flag: &FlagDefinition<'_>, now: Timestamp, report: &mut Report<'_>) {
    variations(flag, report);
    let steps = flag.scheduled_rollout.as_deref().unwrap_or_default();
    if steps.iter().all(|step| step.targeting.is_none()) {
        for (index, rule) in flag.targeting.iter().flatten().enumerate() {
            if rule.disable == Some(true) {
                let path = [Step::Member("targeting"), Step::Index(index)];
                report.warn(LintCode::DisabledRule, &path, "the rule is disabled");
            }
        }
    }
    self::steps(flag, steps, now, report);
    bucketing(flag, steps, report);
    for (name, value) in flag.metadata.iter().flatten() {
        let what = match value {
            CompactJson::List(_) => "a list",
            CompactJson::Object(_) => "an object",
            CompactJson::Null => "null",
            _ => continue,
        };
        let path = [Step::Member("metadata"), Step::Entry(name.to_string())];
        let message = format!("metadata `{name}` is {what}, which OpenFeature cannot carry");
        report.warn(LintCode::MetadataNotScalar, &path, &message);
    }
    if flag.scheduled_rollout.is_some() && !flag.is_copyable() {
        report.warn(
            LintCode::UnwritableDate,
            &[Step::Member("scheduledRollout")],
            "a date of the flag has a zone offset of 24 hours",
        );
    }
}

/// The variations that a rule names.
fn served<'r>(rule: &'r RuleDefinition<'_>) -> impl Iterator<Item = &'r str> {
    let split = rule.percentage.iter().flatten();
    let split = split.filter(|(_, share)| *share >= 0.0);
    let rollout = rule.progressive_rollout.as_deref();
    let ends = rollout
        .into_iter()
        .flat_map(|rollout| [&rollout.initial, &rollout.end]);
    let ends = ends.flatten().filter_map(|end| end.variation.as_deref());
    let fixed = rule.variation.as_deref();
    split.map(|(name, _)| &**name).chain(ends).chain(fixed)
}

fn variations(flag: &FlagDefinition<'_>, report: &mut Report<'_>) {
    let steps = flag.scheduled_rollout.as_deref().unwrap_or_default();
    let all: Vec<&FlagDefinition<'_>> = std::iter::once(flag).chain(steps).collect();
    let used: HashSet<&str> = all
        .iter()
        .flat_map(|flag| flag.rules())
        .flat_map(served)
        .collect();
    let first = flag.variations.iter().flatten().next();
    for (index, of) in all.iter().enumerate() {
        let prefix = match index.checked_sub(1) {
            Some(step) => step_path(step).to_vec(),
            None => Vec::new(),
        };
        for (name, value) in of.variations.iter().flatten() {
            let here = [Step::Member("variations"), Step::Entry(name.to_string())];
            let path = [&*prefix, &here].concat();
            if !used.contains(&**name) {
                let message = format!("variation `{name}` is never served");
                report.warn(LintCode::UnusedVariation, &path, &message);
            }
            let is_other =
                first.is_some_and(|(_, first)| discriminant(first) != discriminant(value));
            if index > 0 && is_other {
                let message = format!("variation `{name}` has another type than those of the flag");
                report.warn(LintCode::MixedVariationTypes, &path, &message);
            }
        }
    }
}

fn steps(
    flag: &FlagDefinition<'_>,
    steps: &[FlagDefinition<'_>],
    now: Timestamp,
    report: &mut Report<'_>,
) {
    let mut latest = None;
    for (index, step) in steps.iter().enumerate() {
        let path = step_path(index);
        let Some(date) = step.date.map(|date| date.at) else {
            let message = "the scheduled step has no date, so that it is never applied";
            report.warn(LintCode::StepWithoutDate, &path, message);
            continue;
        };
        let at_date = [&path[..], &[Step::Member("date")]].concat();
        if date <= now {
            let message = "the scheduled step is in effect since its date";
            report.warn(LintCode::PastStep, &at_date, message);
        }
        if latest.is_some_and(|latest| date < latest) {
            let message = "the scheduled step comes before one that the file lists earlier";
            report.warn(LintCode::StepOrder, &at_date, message);
        }
        latest = latest.max(Some(date));
    }
    let mut dated: Vec<(usize, &FlagDefinition<'_>)> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.date.is_some())
        .collect();
    dated.sort_by_key(|(_, step)| step.date.map(|date| date.at));
    repeated_steps(flag, &dated, report);
    let is_enabled_later = dated.iter().any(|(_, step)| {
        step.disable == Some(false) && step.date.is_some_and(|date| date.at > now)
    });
    let mut due = dated
        .iter()
        .filter(|(_, step)| step.date.is_some_and(|date| date.at <= now));
    if let Some((index, step)) = due.rfind(|(_, step)| step.disable.is_some())
        && step.disable == Some(true)
        && !is_enabled_later
        && step
            .date
            .is_some_and(|date| now.unix_seconds().saturating_sub(date.at.unix_seconds()) > LONG)
    {
        let path = [&step_path(*index)[..], &[Step::Member("disable")]].concat();
        let message = "a scheduled step has disabled the flag more than 30 days ago";
        report.warn(LintCode::DisabledByStep, &path, message);
    }
}

const LONG: i64 = 30 * 86_400;

/// Steps in the order of their dates that change nothing.
fn repeated_steps(
    flag: &FlagDefinition<'_>,
    dated: &[(usize, &FlagDefinition<'_>)],
    report: &mut Report<'_>,
) {
    let mut disable = flag.disable.unwrap_or(false);
    let fixed = |rule: &Option<RuleDefinition<'_>>| {
        rule.as_ref()
            .and_then(|rule| rule.variation.as_deref().map(str::to_owned))
    };
    let mut variation = fixed(&flag.default_rule);
    let mut before: Option<FlagDefinition<'_>> = None;
    for (index, step) in dated {
        let is_simple = step.targeting.is_none()
            && step.variations.is_none()
            && step.experimentation.is_none()
            && step
                .default_rule
                .as_ref()
                .is_none_or(|rule| rule.percentage.is_none() && rule.progressive_rollout.is_none());
        let served = fixed(&step.default_rule);
        let is_same = is_simple
            && step.disable.is_none_or(|value| value == disable)
            && (served.is_none() || served == variation);
        let this = FlagDefinition {
            date: None,
            ..(*step).clone()
        };
        let message = if is_same {
            Some("the scheduled step changes nothing that it can change")
        } else if before.as_ref() == Some(&this) {
            Some("the scheduled step repeats the one before it")
        } else {
            None
        };
        if let Some(message) = message {
            report.warn(LintCode::RepeatedStep, &step_path(*index), message);
        }
        disable = step.disable.unwrap_or(disable);
        variation = served.or(variation);
        before = Some(this);
    }
}

fn bucketing(flag: &FlagDefinition<'_>, steps: &[FlagDefinition<'_>], report: &mut Report<'_>) {
    let key = flag.bucketing_key.as_deref().unwrap_or_default();
    if key.is_empty() || key == "targetingKey" {
        return;
    }
    let path = [Step::Member("bucketingKey")];
    let all = || std::iter::once(flag).chain(steps);
    let needs = all()
        .flat_map(FlagDefinition::rules)
        .any(RuleDefinition::needs_bucketing);
    if !needs {
        let message =
            format!("nothing is split by `{key}`, and contexts without it end in an error");
        report.warn(LintCode::BucketingKeyUnused, &path, &message);
        return;
    }
    let root = key.split('.').next().unwrap_or_default();
    let queries = all().flat_map(|flag| flag.targeting.iter().flatten());
    let queries: Vec<&str> = queries.filter_map(|rule| rule.query.as_deref()).collect();
    if !queries.is_empty() && !queries.iter().any(|query| mentions(query, root)) {
        let message =
            format!("no query mentions `{root}`, and contexts without it end in an error");
        report.warn(LintCode::BucketingKeyUnmentioned, &path, &message);
    }
}

/// Whether a query has an attribute's name as a whole: outside of texts in the rule language, as or
/// at the beginning of a text in JSONLogic.
fn mentions(query: &str, name: &str) -> bool {
    let is_logic = query.trim_start().starts_with('{');
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    query.match_indices(name).any(|(at, _)| {
        let before = query.get(..at).unwrap_or_default();
        let after = query.get(at + name.len()..).unwrap_or_default();
        let ends = !after.starts_with(is_part);
        match is_logic {
            true => ends && before.ends_with('"'),
            false => ends && !before.ends_with(|char| is_part(char) || char == '.' || char == '"'),
        }
    })
}
