//! Random queries of the rule language, well-formed and damaged.

use super::{
    context::{MEMBERS, NAMES, TEXTS},
    random::Random,
};

/// A query; about a third of them are damaged.
pub(super) fn query(random: &mut Random) -> String {
    let depth = random.below(4);
    let mut query = expression(random, depth);
    if random.percent(35) {
        for _ in 0..random.between(1, 4) {
            query = damaged(random, &query);
        }
    }
    query
}

fn expression(random: &mut Random, depth: usize) -> String {
    let mut text = primary(random, depth);
    while random.percent(if depth > 0 { 45 } else { 15 }) && text.len() < 600 {
        let logic = if random.percent(50) { "and" } else { "or" };
        text = format!("{text} {logic} {}", primary(random, depth));
    }
    text
}

fn primary(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.percent(55) {
        return condition(random);
    }
    let inner = expression(random, depth - 1);
    let space = |random: &mut Random| if random.percent(15) { " " } else { "" };
    let (open, close) = (space(random), space(random));
    match random.below(6) {
        0 => format!("not ({open}{inner}{close})"),
        1 => format!("NOT({open}{inner}{close})"),
        2 if random.percent(30) => format!("not {inner}"),
        _ => format!("({open}{inner}{close})"),
    }
}

fn path(random: &mut Random) -> String {
    let mut path = random.pick(NAMES).to_owned();
    if matches!(path.as_str(), "o" | "company" | "ghost") && random.percent(75)
        || random.percent(12)
    {
        for _ in 0..random.between(1, 3) {
            path.push('.');
            path.push_str(random.pick_hot(MEMBERS));
        }
    }
    path
}

fn condition(random: &mut Random) -> String {
    let path = path(random);
    if random.percent(12) {
        return format!("{path} pr");
    }
    let operator = random.pick(OPERATORS);
    let value = if matches!(operator, "in" | "IN") && random.percent(85) {
        list(random)
    } else {
        literal(random)
    };
    format!("{path} {operator} {value}")
}

fn literal(random: &mut Random) -> String {
    match random.below(14) {
        0..=3 => format!("\"{}\"", random.pick_hot(TEXTS)),
        4..=6 => random.pick_hot(INTEGERS).to_owned(),
        7..=8 => random.pick_hot(DOUBLES).to_owned(),
        9 => random.pick(&["true", "false"]).to_owned(),
        10 => "null".to_owned(),
        11..=12 => random.pick_hot(VERSIONS).to_owned(),
        _ => list(random),
    }
}

fn list(random: &mut Random) -> String {
    let kind = random.below(3);
    let length = random.between(1, 4);
    let elements: Vec<String> = (0..length)
        .map(|_| {
            match if random.percent(3) {
                random.below(3)
            } else {
                kind
            } {
                0 => random.pick_hot(INTEGERS).trim_start_matches('-').to_owned(),
                1 => random.pick_hot(DOUBLES).to_owned(),
                _ => format!("\"{}\"", random.pick_hot(TEXTS)),
            }
        })
        .collect();
    let comma = random.pick(&[",", ", ", ",  "]);
    format!("[{}]", elements.join(comma))
}

/// A query with one mistake more.
fn damaged(random: &mut Random, query: &str) -> String {
    let words: Vec<&str> = query.split(' ').collect();
    let word = random.below(words.len());
    let characters: Vec<char> = query.chars().collect();
    let place = random.below(characters.len() + 1);
    let (before, after) = characters.split_at(place);
    let (before, after): (String, String) = (before.iter().collect(), after.iter().collect());
    let mut rest = after.chars();
    match random.below(9) {
        // A fragment in the middle of anything.
        0..=2 => format!("{before}{}{after}", random.pick(FRAGMENTS)),
        // A character less.
        3 => {
            rest.next();
            format!("{before}{}", rest.as_str())
        }
        // A character twice.
        4 => match rest.next() {
            Some(char) => format!("{before}{char}{after}"),
            None => before,
        },
        // A word less, more, or at another place.
        5 => join(
            words
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != word)
                .map(|(_, word)| *word),
        ),
        6 => join(words.iter().enumerate().flat_map(|(index, other)| {
            let extra = (index == word).then_some(*other);
            std::iter::once(*other).chain(extra)
        })),
        7 => {
            let inserted = random.pick(FRAGMENTS);
            join(words.iter().enumerate().flat_map(|(index, other)| {
                let extra = (index == word).then_some(inserted);
                extra.into_iter().chain(std::iter::once(*other))
            }))
        }
        // The end is missing.
        _ => before,
    }
}

fn join<'w>(words: impl Iterator<Item = &'w str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

const OPERATORS: &[&str] = &[
    "eq", "EQ", "==", "ne", "NE", "!=", "gt", "GT", ">", "lt", "LT", "<", "ge", "GE", ">=", "le",
    "LE", "<=", "co", "CO", "sw", "SW", "ew", "EW", "in", "IN", "in", "eq", "eq",
];

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "5",
    "10",
    "18",
    "42",
    "-1",
    "-2",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1700000000000",
    "100",
];

const DOUBLES: &[&str] = &[
    "0.5", "1.0", "1.5", "1.9", "-1.5", "2.50", "99.9", "1.5e3", "1.5e-7", "1.5E+2", "1.5e999",
    "-1.5e999", "0.0", "-0.0", "2.0",
];

const VERSIONS: &[&str] = &[
    "1.2.3",
    "1.2.3-alpha.1",
    "1.2.3-alpha",
    "2.0.0",
    "1.2.3-10",
    "1.2.3-9",
    "1.2.3+b.007",
    "0.0.0",
    "10.2.3-x-y.0",
    "99999999999999999999.0.0",
    "1.2.3-99999999999999999999",
];

/// What gets into queries by mistake.
const FRAGMENTS: &[&str] = &[
    " ", "  ", "(", ")", "[", "]", ",", ".", "-", "\"", "'", "not", "NOT", "and", "or", "AND",
    "OR", "eq", "pr", "in", "null", "true", "1", "007", "1e5", "1e+5", "1.", ".5", "1.2.3",
    "1.2.3-01", "1.2.3.4", "=", "!", "==", "<>", "&&", "||", ";", "_", "\t", "\n", "\r", "é", "\\",
    "\\q", "\\u00e9", "x", "x eq 1", " and ", " or ", "not ", " not(", "x.y", "o.", "[1,", "[]",
    "[ 1]", "\"a\" ", "e+5", "E5", "--", "- 1", "x pr", "True", "()", "((", " )", "( ",
];
