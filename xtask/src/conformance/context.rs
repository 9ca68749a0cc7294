//! Random evaluation contexts and JSON values.

use super::{random::Random, tree::Tree};

/// Attribute names that contexts hold and queries mention.
pub(super) const NAMES: &[&str] = &[
    "x",
    "y",
    "age",
    "score",
    "ratio",
    "country",
    "email",
    "plan",
    "version",
    "beta",
    "tags",
    "o",
    "company",
    "anonymous",
    "key",
    "targetingKey",
    "ns:attr",
    "a-b",
    "list",
    "ghost",
    "Age",
    "gofeatureflag",
    "_u",
    "é",
];

/// Members of nested objects.
pub(super) const MEMBERS: &[&str] = &["x", "id", "name", "plan", "z", "inner", "key", "list"];

pub(super) const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "ab",
    "abc",
    "FR",
    "fr",
    "Straße",
    "STRASSE",
    "İstanbul",
    "istanbul",
    "ΑΣ",
    "ας",
    "ασ",
    "1",
    "1.0",
    "01",
    "10",
    "9",
    "1e3",
    "0x10",
    "0x1p4",
    "1_0",
    "inf",
    "NaN",
    " 1 ",
    " ",
    "true",
    "null",
    "ada@example.com",
    "Example",
    "user-1",
    "2.0.0",
    "1.2.3",
    "1.2.3-alpha.1",
    "1.2.3-alpha",
    "1.2.3+build",
    "1.2.3-10",
    "1.2.3-9",
    "10.2.3",
    "1.2",
    "v1.2.3",
    "a\\\"b",
    "a b",
    "日本",
    "\u{212a}",
    "ﬁ",
    "ǅ",
    "99999999999999999999.0.0",
    "1.2.3-99999999999999999999",
    "-1",
    "+1",
    ".5",
    "1.",
    "x.id",
    "x",
    "tags",
    "age",
    "o.x",
    "\t",
    "line\nbreak",
    "<&>",
    "\u{1f600}",
];

pub(super) const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "10",
    "18",
    "42",
    "100",
    "1.0",
    "2.50",
    "1.5",
    "1.9",
    "-1.5",
    "0.1",
    "1e3",
    "1E-7",
    "-0",
    "-0.0",
    "1e21",
    "1e20",
    "2147483648",
    "-2147483649",
    "9007199254740993",
    "1700000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "1e300",
    "5e-324",
    "0.30000000000000004",
    "123456789.125",
    "1e19",
    "18446744073709551615",
];

const FRACTIONS: &[&str] = &[
    "0.5", "1.5", "1.9", "2.5", "-0.5", "-1.5", "2.999", "3.0", "4.75",
];

pub(super) fn number(random: &mut Random) -> Tree {
    match random.below(20) {
        0..=8 => Tree::plain(random.between(0, 5)),
        9..=13 => Tree::plain(random.pick(FRACTIONS)),
        _ => Tree::plain(random.pick(NUMBERS)),
    }
}

pub(super) fn scalar(random: &mut Random) -> Tree {
    match random.below(10) {
        0 => Tree::null(),
        1 | 2 => Tree::plain(random.percent(50)),
        3..=5 => number(random),
        _ => Tree::text(random.pick_hot(TEXTS)),
    }
}

/// Any value, nested at most `depth` deep.
pub(super) fn value(random: &mut Random, depth: usize) -> Tree {
    if depth == 0 || random.percent(65) {
        return scalar(random);
    }
    if random.percent(50) {
        list(random, depth)
    } else {
        object(random, depth)
    }
}

fn list(random: &mut Random, depth: usize) -> Tree {
    let length = random.below(5);
    if random.percent(50) {
        let number = random.percent(50);
        return Tree::List(
            (0..length)
                .map(|_| {
                    if number {
                        self::number(random)
                    } else {
                        Tree::text(random.pick_hot(TEXTS))
                    }
                })
                .collect(),
        );
    }
    Tree::List((0..length).map(|_| value(random, depth - 1)).collect())
}

pub(super) fn object(random: &mut Random, depth: usize) -> Tree {
    let length = random.below(4);
    Tree::object((0..length).map(|_| {
        let name = if random.percent(3) {
            "var"
        } else {
            random.pick_hot(MEMBERS)
        };
        (name, value(random, depth - 1))
    }))
}

fn attribute(random: &mut Random, name: &str) -> Tree {
    let typed = random.percent(70);
    match name {
        "x" | "y" | "age" if typed => number(random),
        "score" | "ratio" if typed => {
            Tree::plain(random.pick(&["0.5", "1.5", "2.0", "99.9", "-3.25"]))
        }
        "country" | "email" | "plan" if typed => Tree::text(random.pick_hot(TEXTS)),
        "version" if typed => Tree::text(random.pick(&[
            "1.2.3",
            "1.2.3-alpha.1",
            "2.0.0+b",
            "1.2.3-9",
            "1.2",
            "10.0.0",
            "1.2.3-99999999999999999999",
        ])),
        "beta" | "anonymous" if typed => Tree::plain(random.percent(50)),
        "tags" | "list" if typed => list(random, 2),
        "o" | "company" if typed => object(random, 3),
        _ => value(random, 3),
    }
}

/// Attributes of a context or an enrichment.
pub(super) fn attributes(random: &mut Random, most: usize) -> Vec<(String, Tree)> {
    // Either most names or a few of them.
    let chance = if random.percent(70) { 75 } else { most * 3 };
    let names: Vec<&str> = NAMES
        .iter()
        .copied()
        .filter(|_| random.percent(chance))
        .collect();
    names
        .into_iter()
        .map(|name| (name, attribute(random, name)))
        // These would make the clock, or another user, decide.
        .filter(|(name, _)| *name != "gofeatureflag" && *name != "targetingKey")
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
