//! The reader beside the crate `toml`: it accepts the same texts, and reads the same values.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::*;

const NO_INTEGER: &str = "beyond 64 bits";

/// What the crate reads.
fn expected(table: &DeTable<'_>) -> Value {
    let member = |(name, value): (&toml::Spanned<Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        (name.get_ref().to_string(), expected_value(value.get_ref()))
    };
    table.iter().map(member).collect()
}

fn expected_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Boolean(value) => json!(value),
        DeValue::Integer(value) => {
            let digits = value.as_str().replace('_', "");
            i64::from_str_radix(&digits, value.radix()).map_or(json!(NO_INTEGER), Value::from)
        }
        DeValue::Float(value) => {
            json!(
                value
                    .as_str()
                    .replace('_', "")
                    .parse()
                    .ok()
                    .and_then(number)
            )
        }
        DeValue::Datetime(date) => json!({"date": date.to_string()}),
        DeValue::Array(elements) => {
            let elements = elements
                .iter()
                .map(|element| expected_value(element.get_ref()));
            elements.collect()
        }
        DeValue::Table(table) => expected(table),
    }
}

fn read(tree: &Tree<'_>) -> Value {
    match &tree.content {
        Content::Text(text) => json!(text),
        Content::OwnText(text) => json!(**text),
        Content::Bool(value) => json!(value),
        Content::Number(number) => json!(number),
        Content::Unusable(_) => Value::Null,
        Content::Date(date) => json!({"date": **date}),
        Content::List(elements) => elements.iter().map(read).collect(),
        Content::Object(object) => {
            let member = |(name, value): &(Tree<'_>, Tree<'_>)| {
                (name.spelling().unwrap().to_owned(), read(value))
            };
            object.members.iter().map(member).collect()
        }
        _ => panic!("not a value of TOML"),
    }
}

/// The dates of the crate's values, as the server reads them.
fn with_dates(value: &mut Value) {
    match value {
        Value::Object(members) if members.len() == 1 && members.contains_key("date") => {
            if let Some(Value::String(spelled)) = members.get_mut("date")
                && let Ok(date) = date(spelled, 0)
            {
                *spelled = date;
            }
        }
        Value::Object(members) => members.values_mut().for_each(with_dates),
        Value::Array(elements) => elements.iter_mut().for_each(with_dates),
        _ => {}
    }
}

fn check(text: &str) -> Result<bool, TestCaseError> {
    match (parse(text), DeTable::parse(text)) {
        (Ok(tree), Ok(table)) => {
            let mut expected = expected(table.get_ref());
            with_dates(&mut expected);
            prop_assert_eq!(read(&tree), expected, "{}", text);
            Ok(true)
        }
        (Err(_), Err(_)) => Ok(false),
        // The crate leaves integers as they are spelled.
        (Err(_), Ok(table)) if expected(table.get_ref()).to_string().contains(NO_INTEGER) => {
            Ok(false)
        }
        (ours, theirs) => {
            let ours = ours.map(|tree| read(&tree));
            let theirs = theirs.map(|table| expected(table.get_ref()));
            Err(TestCaseError::fail(format!(
                "{text}\nhere: {ours:?}\nthere: {theirs:?}"
            )))
        }
    }
}

/// Few names, so that statements meet.
fn key() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => "[abc]",
        1 => Just("\"a\"".to_owned()),
        1 => Just("'b'".to_owned()),
        1 => "[0-9a-c_-]{1,3}",
        1 => Just("\"\\u0061\"".to_owned()),
    ];
    vec(name, 1..4).prop_map(|parts| parts.join("."))
}

fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "[0-9]{1,3}",
        "[+-]?[0-9]{1,2}(\\.[0-9]{1,2})?(e[0-9])?",
        "0[xob][01]{1,4}",
        "1_[0-9]{1,2}",
        "true|false|inf|nan|-inf",
        "\"[a-c =#,\\[\\]{}]{0,6}\"",
        "'[a-c =#,\\[\\]{}\"]{0,6}'",
        Just("\"\\n\\t\\\"\\u00e9\"".to_owned()),
        Just("\"\"\"\na\\\n  b\"\"\"".to_owned()),
        Just("'''\na\nb'''".to_owned()),
        "20[0-2][0-9]-0[1-9]-[0-3][0-9]",
        "2024-02-2[89][T ]1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,3})?(Z|[+-]0[0-9]:30)?",
        "0[0-9]:[0-5][0-9](:[0-5][0-9])?",
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        let blank =
            || prop_oneof![5 => Just(""), 1 => Just(" "), 1 => Just("\n"), 1 => Just(" # c\n")];
        let list = (vec(inner.clone(), 0..4), blank(), blank()).prop_map(|(items, blank, end)| {
            format!("[{blank}{}{end}]", items.join(&format!("{blank},{end}")))
        });
        let member = (key(), inner).prop_map(|(key, value)| format!("{key} = {value}"));
        let table = (vec(member, 0..4), blank(), blank()).prop_map(|(members, blank, end)| {
            format!(
                "{{{blank}{}{end}}}",
                members.join(&format!("{blank},{end}"))
            )
        });
        prop_oneof![list, table]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| format!("{key} = {value}")),
        3 => key().prop_map(|key| format!("[{key}]")),
        2 => key().prop_map(|key| format!("[[{key}]]")),
        1 => Just("  # comment".to_owned()),
        1 => Just(String::new()),
    ]
}

/// Most of these texts are no TOML.
fn damaged() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        statement(),
        "[\\[\\]{}=.,#\"'\\n\\r\\t a-c0-9\\\\é\u{1}-]{1,3}",
    ];
    vec(pieces, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn statements_mean_what_the_crate_reads(statements in vec(statement(), 0..8)) {
        check(&statements.join("\n"))?;
    }

    #[test]
    fn damaged_texts_are_refused_as_the_crate_refuses_them(text in damaged()) {
        check(&text)?;
    }
}

#[test]
fn random_statements_are_often_toml() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut accepted = 0;
    for _ in 0..200 {
        let statements = vec(statement(), 0..8)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        accepted += usize::from(check(&statements.join("\n")).unwrap());
    }
    assert!((40..160).contains(&accepted), "{accepted}");
}

#[test]
fn tables_are_limited_by_the_size_of_the_file() {
    let keys = |count: usize| -> String {
        (0..count)
            .map(|n| format!("k{n}.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1\n"))
            .collect()
    };
    assert!(parse(&keys(60)).is_ok());
    let error = parse(&keys(2_000)).unwrap_err();
    assert!(
        format!("{error:?}").contains("too many tables"),
        "{error:?}"
    );
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let deep = |depth: usize| format!("a={}1{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(&deep(100)).is_ok());
        for depth in [300, 100_000] {
            assert!(parse(&deep(depth)).is_err());
        }
    }
    assert!(parse(&format!("a{} = 1", ".a".repeat(300))).is_err());
    assert!(parse(&format!("[a{}]\nb.c = [[1]]", ".a".repeat(254))).is_err());
}

/// What the server reads (BurntSushi/toml 1.6.0) where dotted keys meet tables. It also adds to
/// tables that TOML calls complete; such a file is refused here, as by the crate.
#[test]
fn dotted_keys_add_to_tables_as_in_the_server() {
    for (text, is_toml, served) in [
        (
            "[[a.b]]\nx=1\n[a]\nb.c.y=2",
            true,
            json!({"a": {"b": [{"c": {"y": 2}, "x": 1}]}}),
        ),
        (
            "[[a.b]]\nx=1\n[[a.b]]\n[a]\nb.c.y=2",
            true,
            json!({"a": {"b": [{"x": 1}, {"c": {"y": 2}}]}}),
        ),
        (
            "[[a.b.c]]\nx=1\n[a]\nb.y=2",
            true,
            json!({"a": {"b": {"c": [{"x": 1}], "y": 2}}}),
        ),
        (
            "[a.b.c]\nx=1\n[a]\nb.y=2",
            true,
            json!({"a": {"b": {"c": {"x": 1}, "y": 2}}}),
        ),
        (
            "[a]\nb.c=1\n[[a.b.d]]\ny=2",
            true,
            json!({"a": {"b": {"c": 1, "d": [{"y": 2}]}}}),
        ),
        (
            "[[a.b]]\nx=1\n[a]\nb.y=2",
            false,
            json!({"a": {"b": [{"x": 1, "y": 2}]}}),
        ),
        (
            "[a.b]\nx=1\n[a]\nb.y=2",
            false,
            json!({"a": {"b": {"x": 1, "y": 2}}}),
        ),
        ("a.b=[{x=1}]\na.b.c=2", false, json!({"a": {"b": {"c": 2}}})),
    ] {
        assert_eq!(check(text).unwrap(), is_toml, "{text}");
        if is_toml {
            assert_eq!(read(&parse(text).unwrap()), served, "{text}");
        }
    }
}
