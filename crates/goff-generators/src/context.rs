//! Evaluation contexts and JSON values.

use proptest::prelude::*;

use crate::json::{Member, Text, bool, hot, list, mostly, object, object_of, string, word};

/// Any JSON value: a scalar, or lists and objects, nested at most three deep.
pub fn values() -> impl Strategy<Value = String> + Clone {
    value(3)
}

/// An object of attributes, whose names the generated queries mention.
pub fn contexts() -> impl Strategy<Value = String> + Clone {
    object(attributes(75), false)
}

/// Members of nested objects.
pub(crate) const MEMBERS: &[&str] = &["x", "id", "name", "plan", "z", "inner", "key", "list"];

/// Attribute names that contexts hold and queries mention.
pub(crate) fn name() -> Text {
    word(
        "x y age score ratio country email plan version beta tags o company anonymous key targetingKey \
         ns:attr a-b list ghost Age gofeatureflag _u é",
    )
}

pub(crate) fn member() -> Text {
    hot(MEMBERS)
}

pub(crate) fn text() -> Text {
    hot(TEXTS)
}

/// Most numbers are small or halves, so that they meet each other.
pub(crate) fn number() -> Text {
    prop_oneof![
        9 => word("0 1 2 3 4 5"),
        5 => word("0.5 1.5 1.9 2.5 -0.5 -1.5 2.999 3.0 4.75"),
        6 => word(NUMBERS),
    ]
    .boxed()
}

pub(crate) fn scalar() -> Text {
    prop_oneof![
        1 => Just("null".to_owned()),
        2 => bool(50),
        3 => number(),
        4 => string(&text()),
    ]
    .boxed()
}

/// Any value, nested at most `depth` deep.
pub(crate) fn value(depth: usize) -> Text {
    if depth == 0 {
        return scalar();
    }
    let nested = mostly(50, &any_list(depth), &any_object(depth));
    mostly(65, &scalar(), &nested)
}

/// A list of numbers, of texts, or of anything.
fn any_list(depth: usize) -> Text {
    prop_oneof![
        1 => list(&number(), 0..5),
        1 => list(&string(&text()), 0..5),
        2 => list(&value(depth - 1), 0..5),
    ]
    .boxed()
}

fn any_object(depth: usize) -> Text {
    let name = mostly(97, &member(), &word("var"));
    prop::collection::vec((name, value(depth - 1)), 0..4)
        .prop_map(|members| object_of(&members))
        .boxed()
}

/// Attributes of a context or an enrichment, each with that chance.
///
/// Not among them are `gofeatureflag` and `targetingKey`, which decide the time and the user.
pub(crate) fn attributes(percent: u8) -> Vec<Member> {
    let version = word("1.2.3 1.2.3-alpha.1 2.0.0+b 1.2.3-9 1.2 10.0.0 1.2.3-99999999999999999999");
    let (number, text) = (number(), string(&text()));
    let (list, object) = (any_list(2), any_object(3));
    let (any, bool) = (value(3), bool(50));
    let typed = [
        ("x", &number),
        ("y", &number),
        ("age", &number),
        ("score", &word("0.5 1.5 2.0 99.9 -3.25")),
        ("ratio", &word("0.5 1.5 2.0 99.9 -3.25")),
        ("country", &text),
        ("email", &text),
        ("plan", &text),
        ("version", &string(&version)),
        ("beta", &bool),
        ("anonymous", &bool),
        ("tags", &list),
        ("list", &list),
        ("o", &object),
        ("company", &object),
    ];
    let untyped = ["key", "ns:attr", "a-b", "ghost", "Age", "_u", "é"];
    let typed = typed.map(|(name, usual)| (percent, name, mostly(70, usual, &any)));
    let untyped = untyped.map(|name| (percent, name, any.clone()));
    typed.into_iter().chain(untyped).collect()
}

const NUMBERS: &str = "0 1 2 3 -1 10 18 42 100 1.0 2.50 1.5 1.9 -1.5 0.1 1e3 1E-7 -0 -0.0 1e21 1e20 2147483648 \
    -2147483649 9007199254740993 1700000000000 9223372036854775807 -9223372036854775808 1e300 5e-324 \
    0.30000000000000004 123456789.125 1e19 18446744073709551615";

#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "", "a", "A", "ab", "abc", "FR", "fr", "Straße", "STRASSE", "İstanbul", "istanbul", "ΑΣ", "ας", "ασ", "1", "1.0",
    "01", "10", "9", "1e3", "0x10", "0x1p4", "1_0", "inf", "NaN", " 1 ", " ", "true", "null", "ada@example.com",
    "Example", "user-1", "2.0.0", "1.2.3", "1.2.3-alpha.1", "1.2.3-alpha", "1.2.3+build", "1.2.3-10", "1.2.3-9",
    "10.2.3", "1.2", "v1.2.3", "a\\\"b", "a b", "日本", "\u{212a}", "ﬁ", "ǅ", "99999999999999999999.0.0",
    "1.2.3-99999999999999999999", "-1", "+1", ".5", "1.", "x.id", "x", "tags", "age", "o.x", "\t", "line\nbreak",
    "<&>", "\u{1f600}",
];
