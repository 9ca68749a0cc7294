//! JSONLogic rules.

use proptest::prelude::*;

use crate::context::{member, name, number, scalar, text, value};
use crate::json::{Text, list, list_of, list_with, mostly, one_of, quoted, string, word};

/// A JSONLogic rule, as an object: usual conditions, or any operation on anything.
pub fn json_logic_rules() -> impl Strategy<Value = String> + Clone {
    rule()
}

pub(crate) fn rule() -> Text {
    let one = operation(&Operands::new(None));
    let two = operation(&Operands::new(Some(&one)));
    let three = operation(&Operands::new(Some(&two)));
    let any = prop_oneof![one, two, three].boxed();
    mostly(35, &conditions(2), &any)
}

/// What people write: comparisons of attributes with literals, joined.
fn conditions(depth: usize) -> Text {
    let literals = mostly(80, &list(&scalar(), 0..5), &scalar());
    let operators = word("== != === !== < <= > >=");
    let comparison = prop_oneof![
        8 => pair(&operators, &variable(), &scalar()),
        2 => pair(&word("in"), &variable(), &literals),
        2 => pair(&operators, &scalar(), &variable()),
    ]
    .boxed();
    if depth == 0 {
        return comparison;
    }
    let inner = conditions(depth - 1);
    let negated = mostly(50, &list_with([&inner]), &inner);
    let nested = prop_oneof![
        1 => apply(&word("! !!"), &negated),
        4 => apply(&word("and or"), &list(&inner, 0..4)),
    ];
    mostly(45, &comparison, &nested.boxed())
}

/// An operator with its argument.
fn apply(operator: &Text, argument: &Text) -> Text {
    (operator.clone(), argument.clone())
        .prop_map(|(operator, argument)| format!("{{{}:{argument}}}", quoted(&operator)))
        .boxed()
}

fn pair(operator: &Text, one: &Text, other: &Text) -> Text {
    apply(operator, &list_with([one, other]))
}

fn variable() -> Text {
    let (path, scalar) = (string(&path()), scalar());
    let argument = prop_oneof![
        8 => path.clone(),
        1 => list_with([&path]),
        2 => list_with([&path, &scalar]),
        1 => list_with([&path, &scalar, &scalar]),
    ];
    apply(&word("var"), &argument.boxed())
}

/// An attribute, sometimes a member or an element of it.
fn path() -> Text {
    let index = word("0 1 -1 1.5 2 01 1e0  -0.5 inf 0x1p0");
    let inside = mostly(40, &index, &member());
    let inside = |length| prop::collection::vec(inside.clone(), length);
    let path = prop_oneof![
        2 => (word("o company tags list"), inside(0..4)),
        7 => (name(), inside(0..1)),
        1 => (name(), inside(1..3)),
    ];
    let path = path.prop_map(|(name, inside)| [vec![name], inside].concat().join("."));
    let path = path.boxed();
    let dotted = path.clone().prop_map(|path| format!(".{path}")).boxed();
    mostly(96, &path, &dotted)
}

/// What operators work on, at one depth.
struct Operands {
    any: Text,
    /// Numbers, and what can be read as a number.
    numeric: Text,
    /// What list operators work on.
    subject: Text,
    /// What a list operator evaluates for each element.
    predicate: Text,
    leaf: Text,
}

impl Operands {
    fn new(operation: Option<&Text>) -> Self {
        let leaf = mostly(45, &variable(), &value(2));
        let operation = operation.unwrap_or(&leaf);
        let any = mostly(40, &leaf, operation);
        let numeric = prop_oneof![
            string(&text()),
            operation.clone(),
            variable(),
            number(),
            number()
        ];
        let lists = string(&word("tags list o.list company.list ghost"));
        let subject = prop_oneof![
            1 => apply(&word("var"), &lists),
            1 => any.clone(),
            2 => list(&value(2), 0..5),
        ];
        let element = one_of(&["", "", ".x", "x", "id", "name", "current", "accumulator"]);
        let element = apply(&word("var"), &string(&element));
        let predicate = pair(&word("== > <= in != +"), &element, &leaf);
        Self {
            numeric: numeric.boxed(),
            subject: subject.boxed(),
            predicate: mostly(50, &predicate, &any),
            any,
            leaf,
        }
    }
}

fn operation(inner: &Operands) -> Text {
    let any = &inner.any;
    let several = |length| list(any, length);
    let paths = list(&string(&path()), 0..4);
    let anything = prop_oneof![value(2), any.clone(), several(0..5), several(0..5)].boxed();
    let in_value = mostly(50, &value(3), any);
    prop_oneof![
        // Anything for anything, to meet every mistake.
        13 => apply(&one_of(OPERATORS), &anything),
        14 => apply(&word("== != === !=="), &several(2..3)),
        7 => apply(&word("< <= > >="), &several(2..5)),
        7 => apply(&word("and or if ?: if"), &several(0..6)),
        7 => apply(&word("! !!"), &several(1..2)),
        7 => apply(&word("+ - * / % max min abs"), &list(&inner.numeric, 0..4)),
        7 => pair(&word("in"), any, &in_value),
        7 => variable_of(any),
        4 => apply(&word("missing"), &paths),
        3 => pair(&word("missing_some"), &inner.numeric, &paths),
        14 => list_operation(inner),
        7 => text_operation(inner),
        2 => apply(&word("merge"), &several(0..4)),
        2 => apply(&word("set"), &list_with([any, &string(&member()), any])),
        4 => pair(&word("contains_all contains_any contains_none"), &inner.subject, &inner.subject),
    ]
    .boxed()
}

fn variable_of(any: &Text) -> Text {
    let argument = prop_oneof![any.clone(), Just("\"\"".to_owned()), word("0 1 2")].boxed();
    mostly(40, &variable(), &apply(&word("var"), &argument))
}

fn list_operation(inner: &Operands) -> Text {
    let reducer = word("+ * cat max and").prop_map(|operator| {
        format!("{{\"{operator}\":[{{\"var\":\"current\"}},{{\"var\":\"accumulator\"}}]}}")
    });
    let reducer = mostly(60, &reducer.boxed(), &inner.predicate);
    let operators = word("map filter all some none");
    prop_oneof![
        20 => pair(&operators, &inner.subject, &inner.predicate),
        4 => apply(&word("reduce"), &list_with([&inner.subject, &reducer, &inner.leaf])),
        1 => apply(&word("map filter all reduce"), &list_with([&inner.subject])),
        1 => pair(&word("reduce"), &inner.subject, &reducer),
    ]
    .boxed()
}

fn text_operation(inner: &Operands) -> Text {
    let text = mostly(60, &string(&text()), &inner.any);
    let length = prop::option::of(word("0 1 2 -1 -2 100 1.9"));
    let substring = (text, inner.numeric.clone(), length).prop_map(|(text, start, length)| {
        let parts: Vec<String> = [text, start].into_iter().chain(length).collect();
        format!("{{\"substr\":{}}}", list_of(&parts))
    });
    let joined = apply(&word("cat"), &list(&inner.any, 0..4));
    mostly(50, &joined, &substring.boxed())
}

#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "==", "!=", "===", "!==", "<", "<=", ">", ">=", "and", "or", "!", "!!", "if", "?:", "+", "-", "*", "/", "%", "max",
    "min", "abs", "var", "missing", "missing_some", "in", "set", "contains_all", "contains_any", "contains_none",
    "map", "filter", "reduce", "all", "some", "none", "merge", "cat", "substr", "log", "method", "", "VAR", "unknown",
];
