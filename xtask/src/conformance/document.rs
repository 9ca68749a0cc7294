//! Random input documents.

use std::fmt;

use super::{context, flags, random::Random, tree::Tree};

/// What a document is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Area {
    Flags,
    RuleLanguage,
    JsonLogic,
    Decoding,
}

/// How many documents of each area were compared.
#[derive(Debug, Default)]
pub(super) struct Areas([usize; 4]);

impl Areas {
    pub(super) fn count(&mut self, area: Area) {
        if let Some(count) = self.0.get_mut(area as usize) {
            *count += 1;
        }
    }
}

impl fmt::Display for Areas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [flags, rules, logic, decoding] = self.0;
        write!(
            f,
            "{flags} flags, {rules} rule-language queries, {logic} JSONLogic rules, {decoding} decoding quirks"
        )
    }
}

pub(super) fn generate(random: &mut Random) -> (Tree, Area) {
    let area = match random.below(20) {
        0..=6 => Area::Flags,
        7..=12 => Area::RuleLanguage,
        13..=17 => Area::JsonLogic,
        _ => Area::Decoding,
    };
    let flag = match area {
        // A quirk may take away the rule that a removal is merged into.
        Area::Flags | Area::Decoding => flags::flag(random, area == Area::Flags),
        Area::RuleLanguage => queries(random, super::rule_language::query),
        Area::JsonLogic => queries(random, |random| super::json_logic::rule(random).to_text()),
    };
    let mut members = vec![
        ("flagKey".to_owned(), Tree::text(random.pick(FLAG_KEYS))),
        ("flag".to_owned(), flag),
        ("evalContext".to_owned(), eval_context(random)),
        ("flagContext".to_owned(), flag_context(random)),
    ];
    if random.percent(3) {
        members.retain(|(name, _)| name != "flagKey");
    }
    let mut tree = Tree::Object(members);
    if area == Area::Decoding {
        let plain = tree.clone();
        for _ in 0..random.between(1, 3) {
            quirk(random, &mut tree, 0);
        }
        if has_negative_percentage(&tree) {
            tree = plain;
        }
    }
    (tree, area)
}

/// Whether a percentage is below zero, on which the official builds differ.
fn has_negative_percentage(tree: &Tree) -> bool {
    let negative = |value: &Tree| matches!(value, Tree::Plain(text) if text.starts_with('-'));
    match tree {
        Tree::Plain(_) | Tree::Text(_) => false,
        Tree::List(elements) => elements.iter().any(has_negative_percentage),
        Tree::Object(members) => members.iter().any(|(name, value)| {
            let inside = match value {
                Tree::Object(entries) => entries.iter().any(|(_, value)| negative(value)),
                value => negative(value),
            };
            (name.eq_ignore_ascii_case("percentage") && inside) || has_negative_percentage(value)
        }),
    }
}

const FLAG_KEYS: &[&str] = &["flag", "my-flag", "", "ключ", "new_checkout", "a/b"];

/// A flag whose answer says which of its queries is the first to match.
fn queries(random: &mut Random, query: impl Fn(&mut Random) -> String) -> Tree {
    let count = random.between(1, 6);
    let rules = (0..count).map(|index| {
        Tree::object([
            ("query", Tree::text(query(random))),
            ("variation", Tree::text(format!("T{index}"))),
        ])
    });
    Tree::object([
        ("targeting", Tree::List(rules.collect())),
        (
            "defaultRule",
            Tree::object([("variation", Tree::text("F"))]),
        ),
    ])
}

fn now(random: &mut Random) -> Tree {
    Tree::object([("currentDateTime", Tree::text(random.pick(flags::DATES)))])
}

fn eval_context(random: &mut Random) -> Tree {
    let mut members = context::attributes(random, 12);
    if random.percent(93) {
        let key = if random.percent(90) {
            Tree::text(format!("user-{}", random.below(1000)))
        } else {
            context::scalar(random)
        };
        members.push(("targetingKey".to_owned(), key));
    }
    members.push(("gofeatureflag".to_owned(), now(random)));
    Tree::Object(members)
}

fn flag_context(random: &mut Random) -> Tree {
    let mut members = Vec::new();
    if random.percent(60) {
        members.push(("defaultSdkValue".to_owned(), context::value(random, 3)));
    }
    if random.percent(25) {
        let mut enrichment = context::attributes(random, 5);
        if random.percent(10) {
            enrichment.push(("gofeatureflag".to_owned(), now(random)));
        }
        if random.percent(10) {
            enrichment.push(("targetingKey".to_owned(), context::scalar(random)));
        }
        members.push((
            "evaluationContextEnrichment".to_owned(),
            Tree::Object(enrichment),
        ));
    }
    Tree::Object(members)
}

/// Changes one thing that the decoder sees and the evaluation mostly does not.
fn quirk(random: &mut Random, tree: &mut Tree, depth: usize) {
    let descend = depth == 0 || (depth < 6 && random.percent(65));
    match tree {
        Tree::Object(members) if !members.is_empty() => {
            let index = random.below(members.len());
            let Some((name, value)) = members.get_mut(index) else {
                return;
            };
            // The date stays: without it the clock decides. Free objects keep the names that queries know.
            if name == "gofeatureflag" {
                return;
            }
            if descend {
                return quirk(random, value, depth + 1);
            }
            match random.below(7) {
                0 | 1 => *name = respelled(random, name),
                2 => {
                    let repeated = (respelled(random, name), value.clone());
                    members.push(repeated);
                }
                3 => {
                    let repeated = (name.clone(), context::value(random, 2));
                    members.push(repeated);
                }
                4 => *value = Tree::null(),
                5 => *value = context::value(random, 2),
                _ => members.push(("unknown".to_owned(), Tree::plain("1e400"))),
            }
        }
        Tree::List(elements) if !elements.is_empty() => {
            let index = random.below(elements.len());
            let Some(element) = elements.get_mut(index) else {
                return;
            };
            if descend {
                quirk(random, element, depth + 1);
            } else {
                *element = if random.percent(50) {
                    Tree::null()
                } else {
                    context::scalar(random)
                };
            }
        }
        other => {
            *other = if random.percent(50) {
                Tree::plain(random.pick(&[
                    "\"\\ud800\"",
                    "\"\\ud83d\\ude00\"",
                    "\"\\u0041\\/\"",
                    "1e400",
                    "[1,]",
                    "\"\\x\"",
                    "01",
                    "nul",
                    "null",
                ]))
            } else {
                context::scalar(random)
            };
        }
    }
}

/// The name in another letter case, with letters from beyond ASCII where they fold.
fn respelled(random: &mut Random, name: &str) -> String {
    name.chars()
        .map(|char| match (random.below(4), char) {
            (0, char) => char.to_ascii_uppercase(),
            (1, 's') if random.percent(30) => 'ſ',
            (1, 'k') if random.percent(30) => '\u{212a}',
            (_, char) => char,
        })
        .collect()
}
