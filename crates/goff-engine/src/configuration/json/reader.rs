//! [`Reader`]: reads JSON from its text.

use std::borrow::Cow;

use super::{Member, Node, SyntaxError, TOO_DEEP, number};

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

/// A member of a top-level object.
pub(crate) struct MemberText<'t> {
    pub(crate) name: Cow<'t, str>,
    /// Byte offset of the value.
    pub(crate) at: usize,
    pub(crate) value: &'t str,
}

/// Visits the members of a top-level object: each name with the text of its value.
///
/// Values are delimited by brackets and quotes only, so that a malformed one
/// does not hide those after it. `known` gets the name of each member and the text from its value
/// on. Where it knows the value, an object, it gives its length, and what `visit` needs of it.
pub(crate) fn for_each_member<'t, K>(
    text: &'t str,
    mut known: impl FnMut(&str, &[u8]) -> Option<(usize, K)>,
    mut visit: impl FnMut(MemberText<'t>, Option<K>),
) -> Result<(), SyntaxError> {
    let mut reader = Reader::new(text);
    reader.white_space();
    if reader.peek() != Some(b'{') {
        return Err(reader.error("expected an object of flags"));
    }
    reader.members(|reader, name| {
        reader.white_space();
        let at = reader.at;
        let known = known(&name, reader.rest());
        let known = match known {
            Some((length, known)) => {
                reader.at += length;
                Some(known)
            }
            None => {
                reader.skip_extent()?;
                None
            }
        };
        let value = text.get(at..reader.at).unwrap_or_default();
        visit(MemberText { name, at, value }, known);
        Ok(())
    })?;
    reader.end()
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

    pub(crate) fn rest(&self) -> &'t [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn error(&self, what: &'static str) -> SyntaxError {
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
        let whole = self.at;
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
            let signed = text.parse::<i64>().map(serde_json::Number::from);
            if let Ok(exact) = signed.or_else(|_| text.parse::<u64>().map(serde_json::Number::from))
            {
                return Ok(Node::Number(Some(exact)));
            }
        }
        // A short integer is exact as a double; -0 is none.
        if self.at == whole
            && text.len() <= 15
            && let Ok(integer) = text.parse::<u64>()
        {
            return Ok(Node::Number(Some(integer.into())));
        }
        match text.parse() {
            Ok(value) => Ok(Node::Number(number(value))),
            Err(_) => Err(self.error("expected a number")),
        }
    }

    /// Reads a string whose opening quote has been read.
    fn string(&mut self) -> Result<Cow<'t, str>, SyntaxError> {
        let mut text = Cow::Borrowed("");
        loop {
            let plain = self.plain();
            match text.is_empty() {
                true => text = Cow::Borrowed(plain),
                false => text.to_mut().push_str(plain),
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.to_mut().push(self.escape()?);
                }
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("string without an end")),
            }
        }
    }

    /// Skips what needs no decoding in a string.
    fn plain(&mut self) -> &'t str {
        let start = self.at;
        let rest = self.rest();
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        self.at += rest.iter().position(special).unwrap_or(rest.len());
        self.text.get(start..self.at).unwrap_or_default()
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
