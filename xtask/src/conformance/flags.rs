//! Random flags.

use super::{
    context::{self, MEMBERS, NAMES, TEXTS},
    json_logic,
    random::Random,
    rule_language,
    tree::Tree,
};

/// Dates around which everything happens; at least a second apart, or the same instant.
pub(super) const DATES: &[&str] = &[
    "2024-01-01T00:00:00Z",
    "2024-01-01T01:00:00+01:00",
    "2024-01-15T1:00:00Z",
    "2024-01-15T00:00:00,5Z",
    "2024-02-29T23:59:59.999999999Z",
    "2024-03-01T00:00:00-23:59",
    "2024-03-01T12:00:00.25Z",
    "2024-06-30T12:00:00Z",
    "2024-07-01T00:00:00+00:60",
    "2023-12-31T23:59:59Z",
    "2030-01-01T00:00:00Z",
    "1999-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
];

const BAD_DATES: &[&str] = &[
    "2024-01-15",
    "2024-01-15T24:00:00Z",
    "2024-02-30T00:00:00Z",
    "tomorrow",
    "",
    "2024-01-15t00:00:00z",
];

/// Zone offsets that the official engine cannot copy; only in flags without steps.
const UNCOPYABLE_DATES: &[&str] = &["2024-01-15T00:00:00+24:00", "2024-01-15T00:00:00-23:60"];

const VARIANTS: &[&str] = &[
    "A", "B", "C", "on", "off", "True", "False", "Default", "é", "a", "Z", "", "10", "9",
];

const RULE_NAMES: &[&str] = &["r1", "r2", "r3", "", "vip"];

struct Shape {
    variants: Vec<&'static str>,
    /// Percentages whose sum does not depend on the order of addition, even after merges.
    exact: bool,
    scheduled: bool,
    removals: bool,
}

/// A flag. Removals are negative percentages in steps, which must not come to stand alone.
pub(super) fn flag(random: &mut Random, removals: bool) -> Tree {
    let mut variants: Vec<&str> = (0..random.between(1, 4))
        .map(|_| random.pick(VARIANTS))
        .collect();
    variants.dedup();
    let scheduled = random.percent(25);
    let shape = Shape {
        variants,
        exact: scheduled,
        scheduled,
        removals,
    };
    let mut members: Vec<(String, Tree)> = Vec::new();
    if random.percent(97) {
        members.push(("variations".into(), variations(random, &shape)));
    }
    if random.percent(80) {
        let length = random.below(4);
        members.push((
            "targeting".into(),
            Tree::List((0..length).map(|_| rule(random, &shape)).collect()),
        ));
    }
    let has_default = random.percent(94);
    if has_default {
        members.push(("defaultRule".into(), rule(random, &shape)));
    }
    if random.percent(12) {
        members.push(("bucketingKey".into(), bucketing_key(random)));
    }
    if random.percent(10) {
        members.push(("experimentation".into(), window(random, &shape)));
    }
    if scheduled {
        let names: Vec<String> = rule_names(&members);
        let length = random.below(4);
        let steps = (0..length)
            .map(|_| step(random, &shape, &names, has_default))
            .collect();
        members.push(("scheduledRollout".into(), Tree::List(steps)));
    }
    if random.percent(20) {
        members.push(("trackEvents".into(), Tree::plain(random.percent(50))));
    }
    if random.percent(12) {
        members.push(("disable".into(), Tree::plain(random.percent(40))));
    }
    if random.percent(20) {
        members.push(("version".into(), Tree::text(random.pick(TEXTS))));
    }
    if random.percent(20) {
        members.push(("metadata".into(), metadata(random)));
    }
    Tree::Object(members)
}

fn rule_names(members: &[(String, Tree)]) -> Vec<String> {
    let mut names = Vec::new();
    for (member, value) in members {
        if let ("targeting", Tree::List(rules)) = (member.as_str(), value) {
            for rule in rules {
                let Tree::Object(members) = rule else {
                    continue;
                };
                let name = members.iter().rev().find(|(member, _)| member == "name");
                names.push(match name {
                    Some((_, Tree::Text(name))) => name.clone(),
                    _ => String::new(),
                });
            }
        }
    }
    names
}

fn metadata(random: &mut Random) -> Tree {
    let length = random.below(3);
    Tree::object((0..length).map(|_| {
        let name = random.pick(&["owner", "evaluatedRuleName", "issue", "é"]);
        (name, context::value(random, 2))
    }))
}

fn variations(random: &mut Random, shape: &Shape) -> Tree {
    let kind = random.below(6);
    Tree::object(shape.variants.iter().enumerate().map(|(index, name)| {
        let value = match kind {
            0 => Tree::plain(index % 2 == 0),
            1 => Tree::plain(index),
            2 => Tree::text(*name),
            _ => context::value(random, 3),
        };
        (*name, value)
    }))
}

fn variant(random: &mut Random, shape: &Shape) -> Tree {
    if random.percent(4) {
        Tree::text(random.pick(VARIANTS))
    } else {
        let index = random.below(shape.variants.len());
        Tree::text(shape.variants.get(index).copied().unwrap_or("A"))
    }
}

pub(super) fn query(random: &mut Random) -> String {
    let mut query = match random.below(20) {
        0 => random
            .pick(&[
                "",
                " ",
                "null",
                "[]",
                "{}",
                "{",
                "true",
                "\n",
                "{\"a\":1e400}",
                " {\"==\":[1,1]}",
                "\t",
            ])
            .to_owned(),
        1..=7 => json_logic::rule(random).to_text(),
        _ => rule_language::query(random),
    };
    if random.percent(4) {
        query = query.replace(' ', random.pick(&["\n", " \n", "\n  "]));
    }
    query
}

fn rule(random: &mut Random, shape: &Shape) -> Tree {
    let mut members: Vec<(String, Tree)> = Vec::new();
    if random.percent(50) {
        members.push(("name".into(), Tree::text(random.pick(RULE_NAMES))));
    }
    if random.percent(85) {
        members.push(("query".into(), Tree::text(query(random))));
    }
    if random.percent(65) {
        members.push(("variation".into(), variant(random, shape)));
    }
    if random.percent(25) {
        members.push(("percentage".into(), percentage(random, shape, false)));
    }
    if random.percent(12) {
        members.push(("progressiveRollout".into(), ramp(random, shape)));
    }
    if random.percent(10) {
        members.push(("disable".into(), Tree::plain(random.percent(50))));
    }
    Tree::Object(members)
}

fn percentage(random: &mut Random, shape: &Shape, removals: bool) -> Tree {
    let mut entries: Vec<(&str, f64)> = Vec::new();
    for name in &shape.variants {
        if random.percent(85) {
            let share = match random.below(8) {
                0 => 0.0,
                1 => 100.0,
                2 if !shape.exact => {
                    f64::from(u32::try_from(random.below(1000)).unwrap_or(0)) / 10.0
                }
                3 if removals && shape.removals => -1.0,
                4 => f64::from(u32::try_from(random.below(800)).unwrap_or(0)) / 8.0,
                5 if !shape.exact => {
                    f64::from(u32::try_from(random.below(100_000)).unwrap_or(0)) / 1000.0
                }
                _ => f64::from(u32::try_from(random.below(101)).unwrap_or(0)),
            };
            entries.retain(|(entry, _)| entry != name);
            entries.push((name, share));
        }
    }
    if !sum_is_certain(&entries) {
        for (_, share) in &mut entries {
            *share = share.trunc();
        }
    }
    Tree::object(
        entries
            .into_iter()
            .map(|(name, share)| (name, Tree::plain(share))),
    )
}

/// Whether every order of addition gives the same number of buckets.
fn sum_is_certain(entries: &[(&str, f64)]) -> bool {
    fn sums(left: &[f64], sum: f64, found: &mut Vec<u32>) {
        if left.is_empty() {
            // As the engine truncates it.
            found.push((sum * 1000.0) as u32);
        }
        for index in 0..left.len() {
            let mut rest = left.to_vec();
            let next = rest.remove(index);
            sums(&rest, sum + next, found);
        }
    }
    let mut found = Vec::new();
    sums(
        &entries.iter().map(|(_, share)| *share).collect::<Vec<_>>(),
        0.0,
        &mut found,
    );
    found.windows(2).all(|pair| pair.first() == pair.last())
}

fn date(random: &mut Random, shape: &Shape) -> Tree {
    if random.percent(1) {
        return Tree::text(random.pick(BAD_DATES));
    }
    if random.percent(3) && !shape.scheduled {
        return Tree::text(random.pick(UNCOPYABLE_DATES));
    }
    Tree::text(random.pick(DATES))
}

fn ramp(random: &mut Random, shape: &Shape) -> Tree {
    let mut ends: Vec<(String, Tree)> = Vec::new();
    for name in ["initial", "end"] {
        if random.percent(97) {
            ends.push((name.into(), ramp_end(random, shape, 95)));
        }
    }
    Tree::Object(ends)
}

fn ramp_end(random: &mut Random, shape: &Shape, chance: usize) -> Tree {
    let mut members: Vec<(String, Tree)> = Vec::new();
    if random.percent(chance) {
        members.push(("variation".into(), variant(random, shape)));
    }
    if random.percent(70) {
        members.push((
            "percentage".into(),
            Tree::plain(random.pick(&[
                "0", "10", "33.3", "50", "99.999", "100", "150", "0.001", "7.25", "null",
            ])),
        ));
    }
    if random.percent(chance) {
        members.push(("date".into(), date(random, shape)));
    }
    Tree::Object(members)
}

fn window(random: &mut Random, shape: &Shape) -> Tree {
    let mut members: Vec<(String, Tree)> = Vec::new();
    for name in ["start", "end"] {
        if random.percent(70) {
            members.push((name.into(), date(random, shape)));
        }
    }
    Tree::Object(members)
}

fn bucketing_key(random: &mut Random) -> Tree {
    let key = match random.below(6) {
        0 => String::new(),
        1 => "targetingKey".to_owned(),
        2 => format!("{}.{}", random.pick(NAMES), random.pick(MEMBERS)),
        3 => random
            .pick(&["a..b", ".", "o.", "company.name.x", "o.list.0"])
            .to_owned(),
        _ => random.pick(NAMES).to_owned(),
    };
    Tree::text(key)
}

fn step(random: &mut Random, shape: &Shape, names: &[String], has_default: bool) -> Tree {
    let mut members: Vec<(String, Tree)> = Vec::new();
    if random.percent(95) {
        members.push(("date".into(), date(random, shape)));
    }
    if random.percent(55) {
        let length = random.below(3);
        let rules = (0..length).map(|_| update(random, shape, names)).collect();
        members.push(("targeting".into(), Tree::List(rules)));
    }
    if random.percent(40) && (has_default || random.percent(20)) {
        members.push((
            "defaultRule".into(),
            rule_update(random, shape, None, has_default),
        ));
    }
    if random.percent(20) {
        members.push(("disable".into(), Tree::plain(random.percent(40))));
    }
    if random.percent(20) {
        members.push(("variations".into(), variations(random, shape)));
    }
    if random.percent(15) {
        members.push(("experimentation".into(), window(random, shape)));
    }
    if random.percent(10) {
        members.push(("version".into(), Tree::text("step")));
    }
    if random.percent(5) {
        members.push(("trackEvents".into(), Tree::plain(false)));
    }
    Tree::Object(members)
}

/// A rule of a step: named like one that exists, new, or unnamed.
fn update(random: &mut Random, shape: &Shape, names: &[String]) -> Tree {
    match names.get(random.below(names.len().max(1))) {
        Some(name) if random.percent(60) => rule_update(random, shape, Some(name), true),
        _ => rule(random, shape),
    }
}

/// Some members of a rule; percentages may remove variations only where they are merged.
fn rule_update(random: &mut Random, shape: &Shape, name: Option<&str>, merged: bool) -> Tree {
    let mut members: Vec<(String, Tree)> = Vec::new();
    if let Some(name) = name {
        members.push(("name".into(), Tree::text(name)));
    }
    if random.percent(25) {
        members.push(("query".into(), Tree::text(query(random))));
    }
    if random.percent(35) {
        members.push(("variation".into(), variant(random, shape)));
    }
    if random.percent(40) {
        members.push(("percentage".into(), percentage(random, shape, merged)));
    }
    if random.percent(12) {
        let mut ends: Vec<(String, Tree)> = Vec::new();
        for name in ["initial", "end"] {
            if random.percent(70) {
                ends.push((name.into(), ramp_end(random, shape, 40)));
            }
        }
        members.push(("progressiveRollout".into(), Tree::Object(ends)));
    }
    if random.percent(15) {
        members.push(("disable".into(), Tree::plain(random.percent(50))));
    }
    Tree::Object(members)
}
