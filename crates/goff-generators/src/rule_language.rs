//! Queries of the rule language.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::context::{member, name, text};
use crate::json::{Text, mostly, sometimes, word};

/// A query of the rule language; about a third are damaged.
pub fn rule_language_queries() -> impl Strategy<Value = String> + Clone {
    query()
}

pub(crate) fn query() -> Text {
    let sound = prop_oneof![expression(0), expression(1), expression(2), expression(3)].boxed();
    let damages = prop::collection::vec(damage(), 1..5);
    let damaged = (sound.clone(), damages).prop_map(|(query, damages)| {
        let damages = damages.iter();
        damages.fold(query, |query, damage| damaged(&query, damage))
    });
    mostly(65, &sound, &damaged.boxed())
}

/// Conditions and parentheses, joined.
fn expression(depth: usize) -> Text {
    let more = if depth > 0 { 45 } else { 15 };
    let primary = primary(depth);
    let join = move |before: &Text| {
        let next = (word("and or"), primary.clone());
        let next = next.prop_map(|(logic, next)| format!(" {logic} {next}"));
        (before.clone(), sometimes(more, next))
            .prop_map(|(before, next)| before + &next.unwrap_or_default())
            .boxed()
    };
    let first = self::primary(depth);
    join(&join(&join(&first)))
}

fn primary(depth: usize) -> Text {
    if depth == 0 {
        return condition();
    }
    let space = || sometimes(15, Just(" ")).prop_map(Option::unwrap_or_default);
    let inner = (space(), expression(depth - 1), space());
    let nested = (0..20_u8, inner).prop_map(|(kind, (open, inner, close))| match kind {
        0..=2 => format!("not ({open}{inner}{close})"),
        3..=5 => format!("NOT({open}{inner}{close})"),
        6 => format!("not {inner}"),
        _ => format!("({open}{inner}{close})"),
    });
    mostly(55, &condition(), &nested.boxed())
}

/// An attribute, sometimes a member of it.
fn path() -> Text {
    let members = |fewest| prop::collection::vec(member(), fewest..4);
    let deep = (word("o company ghost"), members(1));
    let any = prop_oneof![
        88 => (name(), Just(Vec::new())),
        12 => (name(), members(1)),
    ];
    prop_oneof![1 => deep, 9 => any]
        .prop_map(|(name, members)| [vec![name], members].concat().join("."))
        .boxed()
}

fn condition() -> Text {
    let operators =
        "eq EQ == ne NE != gt GT > lt LT < ge GE >= le LE <= co CO sw SW ew EW in eq eq";
    let compared = (path(), word(operators), literal())
        .prop_map(|(path, operator, value)| format!("{path} {operator} {value}"));
    let among = (path(), word("in IN in"), list())
        .prop_map(|(path, operator, list)| format!("{path} {operator} {list}"));
    let present = path().prop_map(|path| format!("{path} pr"));
    prop_oneof![80 => compared, 8 => among, 12 => present].boxed()
}

fn in_quotes() -> Text {
    text().prop_map(|text| format!("\"{text}\"")).boxed()
}

fn literal() -> Text {
    prop_oneof![
        4 => in_quotes(),
        3 => mostly(50, &word("0 1 2 3 5 10"), &word(INTEGERS)),
        2 => mostly(50, &word("0.5 1.0 1.5 1.9 -1.5 2.50"), &word(DOUBLES)),
        1 => word("true false"),
        1 => word("null"),
        2 => word(VERSIONS),
        1 => list(),
    ]
    .boxed()
}

/// Elements of one kind, and seldom of several.
fn list() -> Text {
    let integer = word(INTEGERS).prop_map(|integer| integer.trim_start_matches('-').to_owned());
    let (integer, double, text) = (integer.boxed(), word(DOUBLES), in_quotes());
    let any = prop_oneof![integer.clone(), double.clone(), text.clone()].boxed();
    let of = |element: Text| prop::collection::vec(element, 1..5);
    let elements = prop_oneof![10 => of(integer), 10 => of(double), 10 => of(text), 1 => of(any)];
    let comma = prop_oneof![Just(","), Just(", "), Just(",  ")];
    (elements, comma)
        .prop_map(|(elements, comma)| format!("[{}]", elements.join(comma)))
        .boxed()
}

/// A mistake in a query: its kind, where it is among the characters and among the words, and what it brings in.
type Damage = (u8, Index, Index, &'static str);

fn damage() -> impl Strategy<Value = Damage> + Clone {
    let fragment = prop::sample::select(FRAGMENTS);
    (0..9_u8, any::<Index>(), any::<Index>(), fragment)
}

fn damaged(query: &str, (kind, character, word, fragment): &Damage) -> String {
    let mut characters: Vec<char> = query.chars().collect();
    let mut words: Vec<&str> = query.split(' ').collect();
    let place = character.index(characters.len() + 1);
    let word = word.index(words.len());
    match kind {
        5 => drop(words.remove(word)),
        6 => words.insert(word, words.get(word).copied().unwrap_or_default()),
        7 => words.insert(word, fragment),
        3 if place < characters.len() => drop(characters.drain(place..=place)),
        4 => characters.extend_from_within(place.saturating_sub(1)..place),
        8 => characters.truncate(place),
        _ => drop(characters.splice(place..place, fragment.chars())),
    }
    match kind {
        5..=7 => words.join(" "),
        _ => characters.into_iter().collect(),
    }
}

const INTEGERS: &str = "0 1 2 3 5 10 18 42 -1 -2 2147483648 9223372036854775807 9223372036854775808 \
    -9223372036854775808 1700000000000 100";

const DOUBLES: &str =
    "0.5 1.0 1.5 1.9 -1.5 2.50 99.9 1.5e3 1.5e-7 1.5E+2 1.5e999 -1.5e999 0.0 -0.0 2.0";

const VERSIONS: &str = "1.2.3 1.2.3-alpha.1 1.2.3-alpha 2.0.0 1.2.3-10 1.2.3-9 1.2.3+b.007 0.0.0 10.2.3-x-y.0 \
    99999999999999999999.0.0 1.2.3-99999999999999999999";

/// What gets into queries by mistake.
#[rustfmt::skip]
const FRAGMENTS: &[&str] = &[
    " ", "  ", "(", ")", "[", "]", ",", ".", "-", "\"", "'", "not", "NOT", "and", "or", "AND", "OR", "eq", "pr", "in",
    "null", "true", "1", "007", "1e5", "1e+5", "1.", ".5", "1.2.3", "1.2.3-01", "1.2.3.4", "=", "!", "==", "<>", "&&",
    "||", ";", "_", "\t", "\n", "\r", "é", "\\", "\\q", "\\u00e9", "x", "x eq 1", " and ", " or ", "not ", " not(",
    "x.y", "o.", "[1,", "[]", "[ 1]", "\"a\" ", "e+5", "E5", "--", "- 1", "x pr", "True", "()", "((", " )", "( ",
];
