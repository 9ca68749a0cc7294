//! Warnings about the queries of a flag.

use std::collections::{BTreeMap, HashSet};

use super::{code::LintCode, report::Report};
use crate::{
    configuration::definition::{FlagDefinition, RuleDefinition},
    evaluate::scope::NameTable,
    query::{
        Query,
        json_logic::{self, JsonLogic, ignored::Part},
        rule_language::{
            Program,
            reach::{self, Always},
            remarks::{self, Usage},
        },
        trim,
    },
    validation::Step,
};

/// What the search for rules that never match may still cost.
pub(super) struct Analysis {
    left: usize,
}

impl Analysis {
    pub(super) fn new(size: usize) -> Self {
        Self {
            left: size.saturating_add(100_000),
        }
    }
}

/// An attribute in a query of a flag, and how it is compared.
type Usages = BTreeMap<(String, Usage), (Vec<Step>, std::ops::Range<usize>, usize)>;

pub(super) fn check(flag: &FlagDefinition<'_>, analysis: &mut Analysis, report: &mut Report<'_>) {
    let mut usages = Usages::new();
    let steps = flag.scheduled_rollout.iter().flatten().enumerate();
    let lists = std::iter::once((Vec::new(), flag)).chain(steps.map(|(index, step)| {
        let path = vec![Step::Member("scheduledRollout"), Step::Index(index)];
        (path, step)
    }));
    for (path, flag) in lists {
        for (index, rule) in flag.targeting.iter().flatten().enumerate() {
            let mut path = path.clone();
            path.extend([
                Step::Member("targeting"),
                Step::Index(index),
                Step::Member("query"),
            ]);
            if let Some(query) = rule.query.as_deref() {
                remarks(query, &path, &mut usages, report);
            }
        }
    }
    mixed_usages(&usages, report);
    reached(flag, analysis, report);
}

/// What a query does that its text does not suggest.
fn remarks(query: &str, path: &[Step], usages: &mut Usages, report: &mut Report<'_>) {
    let trimmed = trim(query);
    if report.is_full() {
        return;
    }
    if is_json_logic(&trimmed) {
        parts_of_logic(&trimmed, path, report);
        return;
    }
    // The place in a query of several lines is not known.
    let skipped = (!query.contains('\n')).then(|| query.len() - trimmed.len());
    let found = remarks::find(&trimmed);
    for remark in found.remarks {
        match skipped {
            Some(skipped) => {
                let range = remark.range.start + skipped..remark.range.end + skipped;
                let what = (&*remark.message, remark.replacement);
                report.warn_within(remark.code, path, range, what);
            }
            None => report.warn(remark.code, path, &remark.message),
        }
    }
    for (name, usage, range) in found.usages {
        if let Some(skipped) = skipped {
            usages
                .entry((name, usage))
                .or_insert_with(|| (path.to_vec(), range, skipped));
        }
    }
}

/// Whether a trimmed query is read as JSONLogic, or was meant so.
fn is_json_logic(trimmed: &str) -> bool {
    trimmed.trim_start().starts_with('{')
}

/// What the engine ignores or cannot apply in a rule.
fn parts_of_logic(rule: &str, path: &[Step], report: &mut Report<'_>) {
    let (mut ignored, mut broken) = (Vec::new(), Vec::new());
    for part in json_logic::ignored::parts(rule) {
        match part {
            Part::Ignored(part) => ignored.push(part),
            Part::Broken(part) => broken.push(part),
        }
    }
    if !ignored.is_empty() {
        let message = format!("the engine ignores {}", ignored.join("; "));
        report.warn(LintCode::IgnoredText, path, &message);
    }
    if !broken.is_empty() {
        let message = format!(
            "{}; the query matches nothing once it is reached",
            broken.join("; ")
        );
        report.warn(LintCode::UnsupportedOperator, path, &message);
    }
}

/// Attributes that are compared in two ways.
fn mixed_usages(usages: &Usages, report: &mut Report<'_>) {
    for ((name, usage), (path, range, skipped)) in usages {
        let (other, code, message) = match usage {
            Usage::ExactCase => (
                Usage::AnyCase,
                LintCode::EqIgnoresCase,
                format!(
                    "`in` distinguishes the letter case of `{name}`; elsewhere the flag compares it with `eq` or `ne`, which ignore it"
                ),
            ),
            Usage::Integer => (
                Usage::Fraction,
                LintCode::FractionWithInteger,
                format!(
                    "`{name}` loses its decimals in a comparison with an integer; elsewhere the flag compares it with a fraction"
                ),
            ),
            Usage::AnyCase | Usage::Fraction => continue,
        };
        if usages.contains_key(&(name.clone(), other)) {
            let range = range.start + skipped..range.end + skipped;
            report.warn_within(code, path, range, (&message, None));
        }
    }
}

/// Rules that every context reaches, or none.
fn reached(flag: &FlagDefinition<'_>, analysis: &mut Analysis, report: &mut Report<'_>) {
    let mut names = NameTable::default();
    let always = Always::new(&mut names);
    let rules = flag.targeting.as_deref().unwrap_or_default();
    // A step can change the query of a rule, and disable it.
    let mut steps = flag.scheduled_rollout.iter().flatten();
    if steps.any(|step| step.targeting.is_some()) {
        return;
    }
    let mut earlier = Earlier::default();
    let mut texts = HashSet::new();
    let mut unconditional = None;
    for (index, rule) in rules.iter().enumerate().take(MOST_RULES) {
        if rule.disable == Some(true) || report.is_full() {
            continue;
        }
        let Some(query) = rule.query.as_deref() else {
            continue;
        };
        let path = [
            Step::Member("targeting"),
            Step::Index(index),
            Step::Member("query"),
        ];
        let rule = called(index, rule);
        if let Some(before) = &unconditional {
            let message = format!("{rule} is not reached: {before} matches every context");
            report.warn(LintCode::UnreachableRule, &path, &message);
            continue;
        }
        let trimmed = trim(query);
        let query = Query::compile(&trimmed, &mut names);
        if !texts.insert(trimmed) {
            let message = format!("an earlier rule has the query of {rule}");
            report.warn(LintCode::ShadowedRule, &path, &message);
            continue;
        }
        if let Query::Always = query {
            unconditional = Some(rule);
            continue;
        }
        let mut is_impossible = |wanted| match &query {
            Query::RuleLanguage(program) => {
                reach::is_impossible(&[(program, wanted)], &always, &mut analysis.left)
            }
            Query::JsonLogic(logic) => {
                json_logic::reach::is_impossible(&[(logic, wanted)], &always, &mut analysis.left)
            }
            _ => false,
        };
        if is_impossible(true) {
            let message = format!("{rule} matches no context");
            report.warn(LintCode::NeverMatches, &path, &message);
            continue;
        }
        if is_impossible(false) {
            let message = format!("{rule} matches every context");
            report.warn(LintCode::AlwaysMatches, &path, &message);
            unconditional = Some(rule);
            continue;
        }
        let left = &mut analysis.left;
        let is_shadowed = match &query {
            Query::RuleLanguage(program) => {
                let ends = ends(program, &earlier.programs);
                ends.len() > 1 && reach::is_impossible(&ends, &always, left)
            }
            Query::JsonLogic(logic) => {
                let ends = ends(logic, &earlier.logics);
                ends.len() > 1 && json_logic::reach::is_impossible(&ends, &always, left)
            }
            _ => false,
        };
        if is_shadowed {
            let message = format!("earlier rules match every context that {rule} matches");
            report.warn(LintCode::ShadowedRule, &path, &message);
            continue;
        }
        match query {
            Query::RuleLanguage(program) => earlier.programs.push(program),
            Query::JsonLogic(logic) => earlier.logics.push(logic),
            _ => {}
        }
    }
}

/// The queries of earlier rules, by language.
#[derive(Default)]
struct Earlier {
    programs: Vec<Program>,
    logics: Vec<JsonLogic>,
}

/// This query matches, and the last earlier ones do not.
fn ends<'q, Q>(query: &'q Q, earlier: &'q [Q]) -> Vec<(&'q Q, bool)> {
    let earlier = earlier.iter().rev().take(MOST_EARLIER);
    let earlier = earlier.map(|query| (query, false));
    std::iter::once((query, true)).chain(earlier).collect()
}

/// How many earlier rules are compared with one, and how many rules of a flag are looked at.
const MOST_EARLIER: usize = 16;
const MOST_RULES: usize = 1_000;

fn called(index: usize, rule: &RuleDefinition<'_>) -> String {
    let number = index + 1;
    match rule.name.as_deref() {
        Some(name) if !name.is_empty() => format!("rule {number} (`{name}`)"),
        _ => format!("rule {number}"),
    }
}
