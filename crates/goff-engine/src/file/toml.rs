//! Flag files in TOML.
//!
//! The text is read token by token: a list of all tokens, or a tree with a map for each table, would
//! take far more memory than the file.

mod tables;

use std::{borrow::Cow, rc::Rc};

use toml_datetime::Datetime;
use toml_parser::{
    ParseError, Source, Span,
    decoder::{Encoding, ScalarKind},
    lexer::{Lexer, Token, TokenKind},
};

use self::tables::{ROOT, Tables, check_depth};
use super::{
    error::Malformed,
    scalar::encoded,
    tree::{Content, Tree},
};
use crate::configuration::{date::Date, json::number};

pub(super) fn parse(text: &str) -> Result<Tree<'_>, Malformed> {
    let source = Source::new(text);
    let mut lexer = source.lex();
    let tables = Tables::new(text.len());
    let Some(next) = lexer.next() else {
        return Ok(Tree::new(0, Content::Null));
    };
    let mut reader = Reader {
        source,
        lexer,
        next,
        tables,
    };
    reader.document()?;
    Ok(Tree::new(0, reader.tables.end(ROOT)))
}

struct Reader<'t> {
    source: Source<'t>,
    lexer: Lexer<'t>,
    /// The next token; at the end of the file, its last one.
    next: Token,
    tables: Tables<'t>,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<(), Malformed> {
        // The table of the last header, and how deeply it is nested.
        let (mut table, mut depth) = (ROOT, 0);
        loop {
            self.skip_blanks()?;
            match self.peek() {
                TokenKind::Eof => return Ok(()),
                TokenKind::LeftSquareBracket => {
                    let offset = self.next().span().start();
                    let is_element = self.take(TokenKind::LeftSquareBracket);
                    let path = self.path(0)?;
                    self.expect(TokenKind::RightSquareBracket, "expected `]`")?;
                    if is_element {
                        self.expect(TokenKind::RightSquareBracket, "expected `]]`")?;
                    }
                    depth = path.len();
                    table = self.tables.open(path, is_element, offset)?;
                }
                _ => self.key_and_value(table, depth)?,
            }
            self.skip_whitespace();
            if self.peek() == TokenKind::Comment {
                self.skip_comment()?;
            }
            match self.peek() {
                TokenKind::Newline => self.skip_blanks()?,
                TokenKind::Eof => {}
                _ => return Err(self.unexpected("expected the end of the line")),
            }
        }
    }

    /// A line `key = value`, or a member of an inline table.
    fn key_and_value(&mut self, table: usize, depth: usize) -> Result<(), Malformed> {
        let path = self.path(depth)?;
        let depth = depth + path.len();
        self.expect(TokenKind::Equals, "expected `=` after a key")?;
        self.skip_whitespace();
        let value = self.value(depth)?;
        self.tables.set(table, path, value)
    }

    /// A key with its parts, and the whitespace after it.
    fn path(&mut self, depth: usize) -> Result<Vec<Tree<'t>>, Malformed> {
        let mut path = Vec::new();
        loop {
            self.skip_whitespace();
            let token = self.next();
            if !is_text(token.kind()) && token.kind() != TokenKind::Atom {
                return Err(Malformed::new(token.span().start(), "expected a key"));
            }
            let mut name = Cow::Borrowed("");
            let mut error = None;
            if let Some(raw) = self.source.get(token) {
                raw.decode_key(&mut name, &mut error);
            }
            refused(error, token.span())?;
            path.push(Tree::new(token.span().start(), text(name)));
            check_depth(depth + path.len(), token.span().start())?;
            self.skip_whitespace();
            if !self.take(TokenKind::Dot) {
                return Ok(path);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Tree<'t>, Malformed> {
        let token = self.next();
        let offset = token.span().start();
        check_depth(depth, offset)?;
        let content = match token.kind() {
            TokenKind::LeftSquareBracket => self.list(depth + 1)?,
            TokenKind::LeftCurlyBracket => self.inline_table(offset, depth + 1)?,
            TokenKind::Atom | TokenKind::Dot => {
                let span = self.unquoted(token.span());
                self.scalar(span, None)?
            }
            kind if is_text(kind) => self.scalar(token.span(), kind.encoding())?,
            _ => return Err(Malformed::new(offset, "expected a value")),
        };
        Ok(Tree::new(offset, content))
    }

    fn list(&mut self, depth: usize) -> Result<Content<'t>, Malformed> {
        let mut elements = Vec::new();
        loop {
            self.skip_blanks()?;
            if self.take(TokenKind::RightSquareBracket) {
                break;
            }
            elements.push(self.value(depth)?);
            self.skip_blanks()?;
            if !self.take(TokenKind::Comma) {
                self.expect(TokenKind::RightSquareBracket, "expected `,` or `]`")?;
                break;
            }
        }
        elements.shrink_to_fit();
        Ok(Content::List(Rc::new(elements)))
    }

    fn inline_table(&mut self, offset: usize, depth: usize) -> Result<Content<'t>, Malformed> {
        let table = self.tables.begin(offset);
        loop {
            self.skip_blanks()?;
            if self.take(TokenKind::RightCurlyBracket) {
                break;
            }
            self.key_and_value(table, depth)?;
            self.skip_blanks()?;
            if !self.take(TokenKind::Comma) {
                self.expect(TokenKind::RightCurlyBracket, "expected `,` or `}`")?;
                break;
            }
        }
        Ok(self.tables.end(table))
    }

    /// The extent of a value without quotes, which may contain dots, and a space in a date.
    fn unquoted(&mut self, mut span: Span) -> Span {
        loop {
            match self.peek() {
                TokenKind::Atom | TokenKind::Dot => span = span.append(self.next().span()),
                TokenKind::Whitespace => {
                    self.next();
                    if self.peek() != TokenKind::Atom {
                        return span;
                    }
                }
                _ => return span,
            }
        }
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>) -> Result<Content<'t>, Malformed> {
        let offset = span.start();
        let (mut decoded, mut error) = (Cow::Borrowed(""), None);
        let spelled = self
            .source
            .input()
            .get(offset..span.end())
            .unwrap_or_default();
        let raw = toml_parser::Raw::new_unchecked(spelled, encoding, span);
        let kind = raw.decode_scalar(&mut decoded, &mut error);
        refused(error, span)?;
        Ok(match kind {
            ScalarKind::String => text(decoded),
            ScalarKind::Boolean(value) => Content::Bool(value),
            ScalarKind::Integer(radix) => {
                let number = i64::from_str_radix(&decoded.replace('_', ""), radix.value())
                    .map_err(|_| Malformed::new(offset, "integer beyond 64 bits"))?;
                Content::Number(Some(number.into()))
            }
            ScalarKind::Float => {
                let digits = decoded.replace('_', "");
                let is_word = digits.ends_with("inf") || digits.ends_with("nan");
                match digits.parse().ok().and_then(number) {
                    Some(number) => Content::Number(Some(number)),
                    None if is_word => {
                        Content::Unusable("an infinity, and not a number, have no JSON form")
                    }
                    None => {
                        let what = "number beyond the range of a double";
                        return Err(Malformed::new(offset, what));
                    }
                }
            }
            ScalarKind::DateTime => {
                let value: Datetime = decoded
                    .parse()
                    .map_err(|_| Malformed::new(offset, "not a date"))?;
                Content::Date(date(&value.to_string(), offset)?.into())
            }
        })
    }

    fn peek(&self) -> TokenKind {
        self.next.kind()
    }

    fn next(&mut self) -> Token {
        let after = self.lexer.next().unwrap_or(self.next);
        std::mem::replace(&mut self.next, after)
    }

    fn take(&mut self, kind: TokenKind) -> bool {
        let is_next = self.peek() == kind;
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, kind: TokenKind, what: &'static str) -> Result<(), Malformed> {
        match self.take(kind) {
            true => Ok(()),
            false => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&self, what: &'static str) -> Malformed {
        Malformed::new(self.next.span().start(), what)
    }

    fn skip_whitespace(&mut self) {
        self.take(TokenKind::Whitespace);
    }

    /// Skips whitespace, line breaks and comments.
    fn skip_blanks(&mut self) -> Result<(), Malformed> {
        loop {
            match self.peek() {
                TokenKind::Whitespace => self.skip_whitespace(),
                TokenKind::Comment => self.skip_comment()?,
                TokenKind::Newline => {
                    let (token, mut error) = (self.next(), None);
                    if let Some(raw) = self.source.get(token) {
                        raw.decode_newline(&mut error);
                    }
                    refused(error, token.span())?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), Malformed> {
        let (token, mut error) = (self.next(), None);
        if let Some(raw) = self.source.get(token) {
            raw.decode_comment(&mut error);
        }
        refused(error, token.span())
    }
}

fn is_text(kind: TokenKind) -> bool {
    kind.encoding().is_some()
}

fn refused(error: Option<ParseError>, span: Span) -> Result<(), Malformed> {
    match error {
        None => Ok(()),
        Some(error) => {
            let at = error.unexpected().unwrap_or(span).start();
            Err(Malformed::new(at, error.description().to_owned()))
        }
    }
}

/// A date as the server reads it: in UTC without a zone, midnight without a time, in year 0 without
/// a day.
fn date(text: &str, offset: usize) -> Result<String, Malformed> {
    let text = text.to_ascii_uppercase().replace(' ', "T");
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, time),
        None if text.contains(':') => ("0000-01-01", &*text),
        None => (&*text, "00:00:00"),
    };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let seconds = if time.len() == 5 { ":00" } else { "" };
    let zone = if zone.is_empty() { "Z" } else { zone };
    let date = format!("{day}T{time}{seconds}{zone}");
    match Date::parse(&date) {
        Some(_) => Ok(encoded(&date)),
        None => Err(Malformed::new(offset, "not a date")),
    }
}

fn text(text: Cow<'_, str>) -> Content<'_> {
    match text {
        Cow::Borrowed(text) => Content::Text(text),
        Cow::Owned(text) => Content::OwnText(text.into()),
    }
}

#[cfg(test)]
mod tests;
