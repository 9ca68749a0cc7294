//! JSON as Go reads it, with Go's words for what is wrong.

use super::{BodyError, Kind, Node};

/// The first value of a body.
pub(in super::super) fn read(body: &[u8]) -> Result<Node, BodyError> {
    let mut reader = Reader {
        bytes: body,
        at: 0,
        depth: 0,
    };
    reader.white_space();
    if reader.peek().is_none() {
        return Err(ended("EOF"));
    }
    reader.value()
}

fn ended(what: &str) -> BodyError {
    BodyError::Json {
        says: what.to_owned(),
        cause: what.to_owned(),
    }
}

/// Deepest nesting that Go reads.
const MAX_DEPTH: usize = 10_000;

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The byte at hand is not what the syntax wants there.
    fn unexpected(&self, context: &str) -> BodyError {
        let Some(byte) = self.peek() else {
            return ended("unexpected EOF");
        };
        let quoted = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            b'\\' => r"'\\'".to_owned(),
            b'\n' => r"'\n'".to_owned(),
            b'\r' => r"'\r'".to_owned(),
            b'\t' => r"'\t'".to_owned(),
            byte @ (0..=0x1f | 0x7f) => format!("'\\x{byte:02x}'"),
            byte => format!("'{}'", char::from(byte)),
        };
        self.syntax_error(format!("invalid character {quoted} {context}"))
    }

    fn syntax_error(&self, cause: String) -> BodyError {
        BodyError::Json {
            says: format!("Syntax error: offset={}, error={cause}", self.at + 1),
            cause,
        }
    }

    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Node, BodyError> {
        self.white_space();
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.nested(Self::members)?,
            Some(b'[') => self.nested(Self::elements)?,
            Some(b'"') => Kind::Text(self.text()?),
            Some(b't') => self.literal("true", Kind::Bool(true))?,
            Some(b'f') => self.literal("false", Kind::Bool(false))?,
            Some(b'n') => self.literal("null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            _ => return Err(self.unexpected("looking for beginning of value")),
        };
        let offset = match kind {
            Kind::List(_) | Kind::Object(_) => start + 1,
            _ => self.at,
        };
        Ok(Node { offset, kind })
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Kind, BodyError>,
    ) -> Result<Kind, BodyError> {
        if self.depth >= MAX_DEPTH {
            return Err(self.syntax_error("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        self.at += 1;
        let kind = read(self)?;
        self.depth -= 1;
        Ok(kind)
    }

    fn members(&mut self) -> Result<Kind, BodyError> {
        let mut members = Vec::new();
        self.white_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Kind::Object(members));
        }
        loop {
            self.white_space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let name = self.text()?;
            self.white_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            members.push((name, self.value()?));
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Kind::Object(members));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn elements(&mut self) -> Result<Kind, BodyError> {
        let mut elements = Vec::new();
        self.white_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Kind::List(elements));
        }
        loop {
            elements.push(self.value()?);
            self.white_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Kind::List(elements));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    fn literal(&mut self, word: &str, kind: Kind) -> Result<Kind, BodyError> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let expected = char::from(expected);
                let context = format!("in literal {word} (expecting '{expected}')");
                return Err(self.unexpected(&context));
            }
            self.at += 1;
        }
        Ok(kind)
    }

    fn digits(&mut self, context: &str) -> Result<(), BodyError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.unexpected(context));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<String, BodyError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let digits = self.bytes.get(start..self.at).unwrap_or_default();
        Ok(String::from_utf8_lossy(digits).into_owned())
    }

    fn text(&mut self) -> Result<String, BodyError> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let mut buffer = [0; 4];
                    text.extend(self.escape()?.encode_utf8(&mut buffer).bytes());
                }
                Some(byte @ 0x20..) => {
                    text.push(byte);
                    self.at += 1;
                }
                Some(_) | None => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, BodyError> {
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
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, BodyError> {
        let first = self.hex4()?;
        let follows = self.bytes.get(self.at..self.at + 2) == Some(br"\u");
        if (0xd800..0xdc00).contains(&first) && follows {
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

    fn hex4(&mut self) -> Result<u32, BodyError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded() {
        let body = "[".repeat(MAX_DEPTH + 1);
        let reading = std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn(move || read(body.as_bytes()).unwrap_err().message().to_owned());
        let says = reading.unwrap().join().unwrap();
        assert_eq!(says, "Syntax error: offset=10001, error=exceeded max depth");
    }
}
