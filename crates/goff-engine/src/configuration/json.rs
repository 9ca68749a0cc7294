//! A JSON reader that accepts what the official decoder accepts.
//!
//! `serde_json` differs from that decoder: it refuses lone surrogates and
//! repeated members, and a number that does not fit a double is an error even
//! where the official decoder skips it (docs/engine-semantics.md 3; upstream
//! decodes with Go's `encoding/json`).

use std::{borrow::Cow, fmt};

use serde_json::Number;

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

impl<'t> Node<'t> {
    /// Reads a text that holds one value and white space only, nested at most `max_depth` deep.
    pub(crate) fn parse(text: &'t str, max_depth: usize) -> Result<Self, SyntaxError> {
        let mut reader = Reader::new(text);
        let node = reader.value(max_depth)?;
        reader.end()?;
        Ok(node)
    }

    /// As [`parse`](Self::parse), with exact integers of 64 bits.
    #[cfg(feature = "file")]
    pub(crate) fn parse_exact(text: &'t str, max_depth: usize) -> Result<Self, SyntaxError> {
        let mut reader = Reader::new(text);
        reader.exact = true;
        let node = reader.value(max_depth)?;
        reader.end()?;
        Ok(node)
    }
}

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

/// Visits the members of a top-level object: each name with the text of its value.
///
/// Values are delimited by brackets and quotes only, so that a malformed one
/// does not hide those after it.
pub(crate) fn for_each_member<'t>(
    text: &'t str,
    mut visit: impl FnMut(Cow<'t, str>, &'t str),
) -> Result<(), SyntaxError> {
    let mut reader = Reader::new(text);
    reader.white_space();
    if reader.peek() != Some(b'{') {
        return Err(reader.error("expected an object of flags"));
    }
    reader.members(|reader, name| {
        reader.white_space();
        let start = reader.at;
        reader.skip_extent()?;
        visit(name, text.get(start..reader.at).unwrap_or_default());
        Ok(())
    })?;
    reader.end()
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

/// An array or an object whose end has not been read.
enum Open<'t> {
    Array(Vec<Node<'t>>),
    /// The name is that of the member whose value comes next.
    Object(Vec<Member<'t>>, Cow<'t, str>),
}

impl<'t> Open<'t> {
    fn close(self) -> Node<'t> {
        match self {
            Self::Array(elements) => Node::Array(elements.into()),
            Self::Object(members, _) => Node::Object(members.into()),
        }
    }
}

/// Reads a text from its beginning to its end.
pub(crate) struct Reader<'t> {
    text: &'t str,
    /// Byte offset of what is read next.
    pub(crate) at: usize,
    /// Byte offset of the last member name.
    #[cfg(feature = "file")]
    pub(crate) name_at: usize,
    /// Whether integers of 64 bits stay exact, unlike the official decoder's doubles.
    #[cfg(feature = "file")]
    exact: bool,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            #[cfg(feature = "file")]
            name_at: 0,
            #[cfg(feature = "file")]
            exact: false,
        }
    }

    fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError {
            offset: self.at,
            what,
        }
    }

    fn take_if(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), SyntaxError> {
        if self.take_if(byte) {
            Ok(())
        } else {
            Err(self.error(what))
        }
    }

    pub(crate) fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Reads a value that is nested at most `depth` deep, without recursion.
    pub(crate) fn value(&mut self, depth: usize) -> Result<Node<'t>, SyntaxError> {
        let mut open = Vec::new();
        loop {
            self.white_space();
            let mut node = match self.peek() {
                Some(b'{' | b'[') if open.len() >= depth => {
                    return Err(self.error(TOO_DEEP));
                }
                Some(b'{') => {
                    self.at += 1;
                    self.white_space();
                    if !self.take_if(b'}') {
                        open.push(Open::Object(Vec::new(), self.member_name()?));
                        continue;
                    }
                    Node::Object(Box::default())
                }
                Some(b'[') => {
                    self.at += 1;
                    self.white_space();
                    if !self.take_if(b']') {
                        open.push(Open::Array(Vec::new()));
                        continue;
                    }
                    Node::Array(Box::default())
                }
                _ => self.scalar()?,
            };
            // The value may be the last one of what it stands in, which then is a value, too.
            loop {
                let ended = match open.last_mut() {
                    None => return Ok(node),
                    Some(Open::Array(elements)) => {
                        elements.push(node);
                        self.ended(b']', "expected `,` or `]`")?
                    }
                    Some(Open::Object(members, name)) => {
                        members.push((std::mem::take(name), node));
                        let ended = self.ended(b'}', "expected `,` or `}`")?;
                        if !ended {
                            *name = self.member_name()?;
                        }
                        ended
                    }
                };
                if !ended {
                    break;
                }
                node = open.pop().map_or(Node::Null, Open::close);
            }
        }
    }

    /// Whether a sequence is over after a value; if not, its next value follows.
    fn ended(&mut self, close: u8, expected: &'static str) -> Result<bool, SyntaxError> {
        self.white_space();
        if self.take_if(close) {
            return Ok(true);
        }
        self.expect(b',', expected)?;
        Ok(false)
    }

    fn scalar(&mut self) -> Result<Node<'t>, SyntaxError> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Node::String(self.string()?))
            }
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("expected a value")),
        }
    }

    fn member_name(&mut self) -> Result<Cow<'t, str>, SyntaxError> {
        self.white_space();
        #[cfg(feature = "file")]
        {
            self.name_at = self.at;
        }
        self.expect(b'"', "expected a member name")?;
        let name = self.string()?;
        self.white_space();
        self.expect(b':', "expected `:`")?;
        Ok(name)
    }

    fn word(&mut self, word: &str, node: Node<'t>) -> Result<Node<'t>, SyntaxError> {
        if self.rest().starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(node)
        } else {
            Err(self.error("expected a value"))
        }
    }

    /// Reads an object; `value` reads the value of each member.
    pub(crate) fn members(
        &mut self,
        mut value: impl FnMut(&mut Self, Cow<'t, str>) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        self.sequence(b'}', "expected `,` or `}`", |reader| {
            let name = reader.member_name()?;
            value(reader, name)
        })
    }

    /// Reads an array; `value` reads each element.
    #[cfg(feature = "file")]
    pub(crate) fn elements(
        &mut self,
        value: impl FnMut(&mut Self) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        self.sequence(b']', "expected `,` or `]`", value)
    }

    fn sequence(
        &mut self,
        close: u8,
        expected: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(), SyntaxError>,
    ) -> Result<(), SyntaxError> {
        self.at += 1;
        self.white_space();
        if self.take_if(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.ended(close, expected)? {
                return Ok(());
            }
        }
    }

    /// Checks that only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), SyntaxError> {
        self.white_space();
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.error("text after the value"))
        }
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Result<Node<'t>, SyntaxError> {
        let start = self.at;
        self.take_if(b'-');
        if !self.take_if(b'0') && !self.digits() {
            return Err(self.error("expected a digit"));
        }
        if self.take_if(b'.') && !self.digits() {
            return Err(self.error("expected a digit"));
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.digits() {
                return Err(self.error("expected a digit"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        #[cfg(feature = "file")]
        if self.exact {
            let signed = text.parse::<i64>().map(Number::from);
            if let Ok(exact) = signed.or_else(|_| text.parse::<u64>().map(Number::from)) {
                return Ok(Node::Number(Some(exact)));
            }
        }
        match text.parse() {
            Ok(value) => Ok(Node::Number(number(value))),
            Err(_) => Err(self.error("expected a number")),
        }
    }

    /// Reads a string whose opening quote has been read.
    fn string(&mut self) -> Result<Cow<'t, str>, SyntaxError> {
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = self.text.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => break,
                Some(0..=0x1f) => return Err(self.error("control character in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.error("string without an end")),
            }
        }
        let mut text = self.text.get(start..self.at).unwrap_or_default().to_owned();
        loop {
            let run = self.at;
            while !matches!(self.peek(), Some(b'"' | b'\\' | 0..=0x1f) | None) {
                self.at += 1;
            }
            text.push_str(self.text.get(run..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("string without an end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let escaped = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.error("unknown escape in a string")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or(self.error("expected a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }

    /// Skips one value, delimited by brackets and quotes only.
    pub(crate) fn skip_extent(&mut self) -> Result<(), SyntaxError> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                None => return Err(self.error("value without an end")),
                Some(b'"') => {
                    self.at += 1;
                    self.skip_string()?;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']' | b',') if depth == 0 => return Ok(()),
                Some(b'}' | b']') => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.peek() {
                None => return Err(self.error("string without an end")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
    }
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
        for_each_member(text, |name, value| found.push((name, value.trim()))).unwrap();
        let expected = [("a", "{\"x\":tru}"), ("b", "[1,\"}\"]"), ("c", "1")];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value)));
    }
}
