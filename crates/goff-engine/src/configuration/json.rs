//! A JSON reader that accepts what the official decoder accepts.
//!
//! `serde_json` differs from that decoder: it refuses lone surrogates and
//! repeated members, and a number that does not fit a double is an error even
//! where the official decoder skips it (docs/engine-semantics.md 3; upstream
//! decodes with Go's `encoding/json`).

mod reader;

use std::{borrow::Cow, fmt};

use serde_json::Number;

#[cfg(any(feature = "document", feature = "file"))]
pub(crate) use self::reader::Reader;
pub(crate) use self::reader::{MemberText, for_each_member};

/// One JSON value, borrowing from the text it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'t> {
    Null,
    Bool(bool),
    /// In JSON every number is a double. Integers of flag files in YAML and TOML are exact.
    /// `None` is a number that does not fit a double, which is an error only where it is used.
    Number(Option<Number>),
    String(Cow<'t, str>),
    // Boxed slices keep a node within 24 bytes; a list of digits has a node for two bytes of text.
    Array(Box<[Node<'t>]>),
    /// Members in the order of the text, repeated names included.
    Object(Box<[Member<'t>]>),
}

pub(crate) type Member<'t> = (Cow<'t, str>, Node<'t>);

/// How deep a flag and the values in it may be nested. It is counted, because parts of the engine
/// recurse; the official engine stops at 10,000.
pub(crate) const MAX_NESTING: usize = 1_000;

/// Why a text is not a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Byte offset at which reading stopped.
    pub(crate) offset: usize,
    pub(crate) what: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// What is wrong with a text that is nested too deeply.
pub(crate) const TOO_DEEP: &str = "nested too deeply";

/// A number in the text does not fit a double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberOverflow;

/// A double as a JSON number: whole values as integers, so that they print without a fraction.
/// `None` if it is not finite.
pub(crate) fn number(value: f64) -> Option<Number> {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
    let whole = value.fract() == 0.0 && !(value == 0.0 && value.is_sign_negative());
    if whole && (-TWO_POW_63..TWO_POW_63).contains(&value) {
        Some(Number::from(value as i64))
    } else if whole && (0.0..TWO_POW_64).contains(&value) {
        Some(Number::from(value as u64))
    } else {
        Number::from_f64(value)
    }
}

/// The text with every byte that is not UTF-8 replaced by U+FFFD, one for each byte.
pub(crate) fn utf8_lossy(mut bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    while !bytes.is_empty() {
        match std::str::from_utf8(bytes) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, invalid) = bytes.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = invalid.get(1..).unwrap_or_default();
            }
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::configuration::compact_json::CompactJson;

    fn value(text: &str) -> Value {
        let node = Node::parse(text, 10).unwrap();
        CompactJson::from_node(&node).unwrap().to_value()
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        assert_eq!(value(r#""a\ud800b""#), "a\u{fffd}b");
        assert_eq!(value(r#""\udc00\ud83d\ude00""#), "\u{fffd}\u{1f600}");
        assert_eq!(value(r#""\ud800\u0041""#), "\u{fffd}A");
    }

    #[test]
    fn each_invalid_byte_becomes_one_replacement_character() {
        assert_eq!(utf8_lossy(b"\"\xe2\x82\""), "\"\u{fffd}\u{fffd}\"");
        assert_eq!(utf8_lossy("é".as_bytes()), "é");
    }

    #[test]
    fn whole_doubles_print_as_integers() {
        assert_eq!(
            value("[1.0,1e3,-0.0,1.5,9007199254740993]").to_string(),
            "[1,1000,-0.0,1.5,9007199254740992]"
        );
    }

    #[test]
    fn a_number_too_large_is_an_error_only_where_it_is_used() {
        let node = Node::parse("[1e400]", 10).unwrap();
        assert_eq!(CompactJson::from_node(&node), Err(NumberOverflow));
    }

    #[test]
    fn a_node_takes_three_words() {
        assert_eq!(size_of::<Node<'_>>(), 3 * size_of::<usize>());
    }

    #[test]
    fn malformed_texts_are_rejected() {
        for text in [
            "",
            "{",
            "[1,]",
            "01",
            "1.",
            "+1",
            "nul",
            "\"\t\"",
            "\"\\x\"",
            "{}x",
            "{\"a\":1,}",
            "[[[[[[[[[[[1]]]]]]]]]]]",
        ] {
            assert!(Node::parse(text, 10).is_err(), "{text}");
        }
    }

    #[test]
    fn member_extents_survive_a_malformed_neighbor() {
        let text = r#" {"a" : {"x":tru}, "b":[1,"}"] , "c":1} "#;
        let mut found = Vec::new();
        let unknown = |_: &str, _: &[u8]| None::<(usize, ())>;
        for_each_member(text, unknown, |member, _| {
            let value = text.get(member.at..).unwrap();
            assert!(value.starts_with(member.value));
            found.push((member.name, member.value.trim()));
        })
        .unwrap();
        let expected = [("a", "{\"x\":tru}"), ("b", "[1,\"}\"]"), ("c", "1")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value)));
    }
}
