//! Tokens of the rule language.

/// The kinds of tokens (docs/engine-semantics.md 17.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Close,
    Dot,
    Minus,
    OpenList,
    CloseList,
    Present,
    Not,
    Logic,
    Bool,
    Null,
    Operator(Operator),
    Name,
    Version,
    Text,
    Double,
    Int,
    Exponent,
    NewLine,
    Comma,
    Space,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    In,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Co,
    Sw,
    Ew,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'q> {
    pub(super) kind: Kind,
    pub(super) text: &'q str,
}

/// The tokens of a query, read one by one: the list of all of them would take many times the
/// memory of the query.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'q> {
    rest: &'q str,
}

impl<'q> Tokens<'q> {
    pub(super) fn of(query: &'q str) -> Self {
        Self { rest: query }
    }
}

impl<'q> Iterator for Tokens<'q> {
    type Item = Token<'q>;

    /// The next token; text that belongs to no token is dropped.
    fn next(&mut self) -> Option<Token<'q>> {
        while !self.rest.is_empty() {
            let (kind, length) = match token(self.rest.as_bytes()) {
                Scan::Token(kind, length) => (Some(kind), length),
                Scan::Dropped(length) => (None, length),
            };
            // The character that does not fit is dropped with what was read before it.
            let length = (length..self.rest.len())
                .find(|at| self.rest.is_char_boundary(*at))
                .unwrap_or(self.rest.len());
            let (text, after) = self.rest.split_at(length);
            self.rest = after;
            if let Some(kind) = kind {
                return Some(Token { kind, text });
            }
        }
        None
    }
}

enum Scan {
    Token(Kind, usize),
    /// Text that fits no token, and the first byte of the character that does not fit.
    Dropped(usize),
}

fn token(text: &[u8]) -> Scan {
    let Some(first) = text.first() else {
        return Scan::Dropped(0);
    };
    let one = |kind| Scan::Token(kind, 1);
    match first {
        b'(' => one(Kind::Open),
        b')' => one(Kind::Close),
        b'.' => one(Kind::Dot),
        b'[' => one(Kind::OpenList),
        b']' => one(Kind::CloseList),
        b'\n' => one(Kind::NewLine),
        b',' => Scan::Token(Kind::Comma, 1 + run(text, 1, |byte| byte == b' ')),
        b' ' => Scan::Token(Kind::Space, 1 + run(text, 1, |byte| byte == b'\n')),
        b'=' | b'!' | b'>' | b'<' => {
            let or_equal = text.get(1) == Some(&b'=');
            let operator = match (first, or_equal) {
                (b'=', true) => Operator::Eq,
                (b'!', true) => Operator::Ne,
                (b'>', true) => Operator::Ge,
                (b'<', true) => Operator::Le,
                (b'>', false) => Operator::Gt,
                (b'<', false) => Operator::Lt,
                _ => return Scan::Dropped(2),
            };
            Scan::Token(Kind::Operator(operator), 1 + usize::from(or_equal))
        }
        b'"' => string(text),
        b'-' => match double(text, 1) {
            Some(length) => Scan::Token(Kind::Double, length),
            None => one(Kind::Minus),
        },
        b'0'..=b'9' => number(text),
        b'a'..=b'z' | b'A'..=b'Z' => word(text),
        _ => Scan::Dropped(1),
    }
}

fn run(text: &[u8], from: usize, matching: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .skip(from)
        .take_while(|byte| matching(**byte))
        .count()
}

fn word(text: &[u8]) -> Scan {
    let length = run(text, 0, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':')
    });
    if length == 1
        && matches!(text, [b'e' | b'E', b'+', ..])
        && let Some(digits) = num(text, 2)
    {
        return Scan::Token(Kind::Exponent, 2 + digits);
    }
    let kind = match text.get(..length).unwrap_or_default() {
        b"pr" => Kind::Present,
        b"not" | b"NOT" => Kind::Not,
        b"and" | b"or" => Kind::Logic,
        b"true" | b"false" => Kind::Bool,
        b"null" => Kind::Null,
        b"in" | b"IN" => Kind::Operator(Operator::In),
        b"eq" | b"EQ" => Kind::Operator(Operator::Eq),
        b"ne" | b"NE" => Kind::Operator(Operator::Ne),
        b"gt" | b"GT" => Kind::Operator(Operator::Gt),
        b"lt" | b"LT" => Kind::Operator(Operator::Lt),
        b"ge" | b"GE" => Kind::Operator(Operator::Ge),
        b"le" | b"LE" => Kind::Operator(Operator::Le),
        b"co" | b"CO" => Kind::Operator(Operator::Co),
        b"sw" | b"SW" => Kind::Operator(Operator::Sw),
        b"ew" | b"EW" => Kind::Operator(Operator::Ew),
        _ => Kind::Name,
    };
    Scan::Token(kind, length)
}

fn string(text: &[u8]) -> Scan {
    let mut at = 1;
    loop {
        match text.get(at) {
            None => return Scan::Dropped(at),
            Some(b'"') => return Scan::Token(Kind::Text, at + 1),
            Some(b'\\') => match text.get(at + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                Some(b'u') => {
                    let digits = run(text, at + 2, |byte| byte.is_ascii_hexdigit()).min(4);
                    at += 2 + digits;
                    if digits < 4 {
                        return Scan::Dropped((at + 1).min(text.len()));
                    }
                }
                _ => return Scan::Dropped((at + 2).min(text.len())),
            },
            Some(_) => at += 1,
        }
    }
}

/// Length of a number without leading zeros at `from`.
fn num(text: &[u8], from: usize) -> Option<usize> {
    match text.get(from)? {
        b'0' => Some(1),
        b'1'..=b'9' => Some(run(text, from, |byte| byte.is_ascii_digit())),
        _ => None,
    }
}

/// Length of a decimal number whose whole part begins at `from`.
fn double(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from + num(text, from)?;
    if text.get(at) != Some(&b'.') {
        return None;
    }
    let digits = run(text, at + 1, |byte| byte.is_ascii_digit());
    if digits == 0 {
        return None;
    }
    at += 1 + digits;
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        if let Some(digits) = num(text, at + 1 + sign) {
            at += 1 + sign + digits;
        }
    }
    Some(at)
}

fn number(text: &[u8]) -> Scan {
    if let Some(length) = version(text) {
        return Scan::Token(Kind::Version, length);
    }
    if let Some(length) = double(text, 0) {
        return Scan::Token(Kind::Double, length);
    }
    Scan::Token(Kind::Int, num(text, 0).unwrap_or(1))
}

fn version(text: &[u8]) -> Option<usize> {
    let mut at = num(text, 0)?;
    for _ in 0..2 {
        if text.get(at) != Some(&b'.') {
            return None;
        }
        at += 1 + num(text, at + 1)?;
    }
    at = identifiers(text, at, b'-', prerelease_identifier);
    Some(identifiers(text, at, b'+', build_identifier))
}

/// Where a list of identifiers after `mark` ends; `at` if there is none.
fn identifiers(text: &[u8], at: usize, mark: u8, one: fn(&[u8], usize) -> usize) -> usize {
    let mut end = at;
    let mut separator = mark;
    while text.get(end) == Some(&separator) {
        let length = one(text, end + 1);
        if length == 0 {
            break;
        }
        end += 1 + length;
        separator = b'.';
    }
    end
}

/// Longest run that is a number without leading zeros or contains a non-digit.
fn prerelease_identifier(text: &[u8], from: usize) -> usize {
    let length = build_identifier(text, from);
    let digits = run(text, from, |byte| byte.is_ascii_digit());
    if digits < length {
        length
    } else {
        num(text, from).unwrap_or(0)
    }
}

fn build_identifier(text: &[u8], from: usize) -> usize {
    run(text, from, |byte| {
        byte.is_ascii_alphanumeric() || byte == b'-'
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(query: &str) -> Vec<&str> {
        Tokens::of(query).map(|token| token.text).collect()
    }

    #[test]
    fn the_longest_token_wins() {
        assert_eq!(lex("007"), ["0", "0", "7"]);
        assert_eq!(lex("1e5"), ["1", "e5"]);
        assert_eq!(lex("1e+5"), ["1", "e+5"]);
        assert_eq!(lex("1.5e3 -1.5 -1"), ["1.5e3", " ", "-1.5", " ", "-", "1"]);
        assert_eq!(lex("1.2.3.4"), ["1.2.3", ".", "4"]);
        assert_eq!(lex("1.2.3-01"), ["1.2.3-0", "1"]);
        assert_eq!(lex("1.2.3-alpha..1"), ["1.2.3-alpha", ".", ".", "1"]);
        assert_eq!(lex("1.2.3-a.1+b.007"), ["1.2.3-a.1+b.007"]);
        assert_eq!(lex("a  ,  b"), ["a", " ", " ", ",  ", "b"]);
    }

    #[test]
    fn unlexable_text_is_dropped_with_the_character_that_did_not_fit() {
        assert_eq!(lex("x =1"), ["x", " "]);
        assert_eq!(lex("=é1"), ["1"]);
        assert_eq!(lex("'_é;\tx"), ["x"]);
        assert_eq!(lex(r#""a\qb""#), ["b"]);
        assert_eq!(lex(r#""a\u12Gb"#), ["b"]);
        assert_eq!(lex(r#"x "abc"#), ["x", " "]);
        assert_eq!(lex(r#""a\"b""#), [r#""a\"b""#]);
    }

    #[test]
    fn keywords_are_spelled_as_listed() {
        let kinds = |query| {
            Tokens::of(query)
                .map(|token| token.kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds("and"), [Kind::Logic]);
        assert_eq!(kinds("AND"), [Kind::Name]);
        assert_eq!(kinds("NOT"), [Kind::Not]);
        assert_eq!(kinds("Eq"), [Kind::Name]);
        assert_eq!(kinds("index"), [Kind::Name]);
    }
}
