//! The types of YAML's scalars, as the server's decoder has them (upstream
//! `gopkg.in/yaml.v3`, `resolve.go`): those of YAML 1.2, and numbers of 1.1.

use std::borrow::Cow;

use serde_json::Number;

use crate::configuration::{date::Date, json::number};

/// What a scalar is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'s> {
    Null,
    Bool(bool),
    Number(Number),
    /// An infinity, or not a number.
    NotFinite,
    /// A date as Go writes it.
    Date(String),
    Text(Cow<'s, str>),
}

/// A tag of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    None,
    Null,
    Bool,
    Int,
    Float,
    Timestamp,
    Binary,
    Merge,
    /// Text, whatever it looks like.
    Other,
}

impl Tag {
    /// The tag of this name; `None` for the one of text.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.strip_prefix("tag:yaml.org,2002:").unwrap_or(name);
        Some(match name.strip_prefix("!!").unwrap_or(name) {
            "" | "!" => Self::None,
            "str" => return None,
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "timestamp" => Self::Timestamp,
            "binary" => Self::Binary,
            "merge" => Self::Merge,
            _ => Self::Other,
        })
    }
}

/// The scalar of an unquoted or tagged text; an error if it is not what its tag says.
pub(crate) fn resolve(tag: Tag, text: &str) -> Result<Scalar<'_>, &'static str> {
    match tag {
        Tag::Merge | Tag::Other => return Ok(Scalar::Text(text.into())),
        Tag::Binary => {
            let decoded = base64(text).ok_or("not the base64 that its tag says")?;
            let text = String::from_utf8_lossy(&decoded).into_owned();
            return Ok(Scalar::Text(text.into()));
        }
        _ => {}
    }
    let scalar = untagged(text, matches!(tag, Tag::None | Tag::Timestamp));
    let fits = match (tag, &scalar) {
        (Tag::None, _)
        | (Tag::Null, Scalar::Null)
        | (Tag::Bool, Scalar::Bool(_))
        | (Tag::Float, Scalar::NotFinite)
        | (Tag::Timestamp, Scalar::Date(_)) => true,
        (Tag::Int, Scalar::Number(_)) => integer(text).is_some(),
        (Tag::Float, Scalar::Number(number)) => {
            number.as_i64().is_some() || integer(text).is_none()
        }
        _ => false,
    };
    if fits {
        Ok(scalar)
    } else {
        Err("not what its tag says")
    }
}

fn untagged(text: &str, may_be_date: bool) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Scalar::NotFinite,
        _ => {}
    }
    let scalar = match text.as_bytes().first() {
        Some(b'.') => fraction(text).and_then(number).map(Scalar::Number),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            let date = may_be_date.then(|| timestamp(text)).flatten();
            match date {
                Some(date) => Some(Scalar::Date(date)),
                None => integer(text)
                    .or_else(|| float(&text.replace('_', "")).and_then(number))
                    .map(Scalar::Number),
            }
        }
        _ => None,
    };
    scalar.unwrap_or(Scalar::Text(text.into()))
}

/// The booleans of YAML 1.1, which count only where a boolean is expected.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// An integer of 64 bits in Go's notation, or in the octal one of YAML 1.2. Underscores do not
/// count.
fn integer(text: &str) -> Option<Number> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, &*text),
    };
    let lower = digits.get(..2).unwrap_or_default().to_ascii_lowercase();
    let (radix, digits) = match (&*lower, digits.len()) {
        ("0x", 3..) => (16, digits.get(2..)?),
        ("0o", 3..) => (8, digits.get(2..)?),
        ("0b", 3..) => (2, digits.get(2..)?),
        _ => match digits.strip_prefix('0') {
            Some("") => (10, "0"),
            Some(rest) => (8, rest),
            None => (10, digits),
        },
    };
    // The sign may also stand behind the prefix `0b` or `0o`.
    let inner = digits.strip_prefix(['-', '+']);
    if inner.is_some() && !text.starts_with("0b") && !text.starts_with("0o") {
        return None;
    }
    let negative = negative || digits.starts_with('-');
    let digits = inner.unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        let value = i64::try_from(-i128::from(magnitude)).ok()?;
        return Some(value.into());
    }
    // Beyond 63 bits a sign is not allowed.
    let signed = text.starts_with('+') && i64::try_from(magnitude).is_err();
    (!signed).then(|| magnitude.into())
}

/// A float that begins with its point; underscores may stand between digits.
fn fraction(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let misplaced = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'_' && !(is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)))
    });
    if misplaced {
        return None;
    }
    float(&text.replace('_', ""))
}

/// A finite float in decimal notation.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !rest.is_empty();
    let exponent = exponent.map(|text| text.strip_prefix(['-', '+']).unwrap_or(text));
    let is_float = has_digits
        && are_digits(whole)
        && are_digits(rest)
        && exponent.is_none_or(|digits| !digits.is_empty() && are_digits(digits));
    let value: f64 = if is_float {
        text.parse().ok()?
    } else {
        return None;
    };
    value.is_finite().then_some(value)
}

/// The date, as Go writes it, of a text that YAML takes for one: a day alone, or with a time that
/// has a zone after `T` or `t`, and none after spaces.
fn timestamp(text: &str) -> Option<String> {
    let (day, time) = match text.find(['T', 't', ' ']) {
        None => (text, None),
        Some(at) => (text.get(..at)?, Some(text.get(at..)?)),
    };
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let (time, zone) = match time {
        None => ("0:0:0", "Z"),
        Some(time) => match time.strip_prefix(['T', 't']) {
            Some(time) => time.split_at_checked(time.find(['Z', '+', '-'])?)?,
            None => (time.trim_start_matches(' '), "Z"),
        },
    };
    let (clock, fraction) = match time.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, fraction),
        None => (time, "0"),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let [month, day, hour, minute, second] = [month, day, hour, minute, second].map(|part| {
        let is_short = matches!(part.len(), 1 | 2);
        (is_short && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{part:0>2}"))
    });
    let (month, day, hour, minute, second) = (month?, day?, hour?, minute?, second?);
    let date = format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}{zone}");
    Date::parse(&date)?;
    Some(encoded(&date))
}

/// The bytes of a standard base64 text; line breaks do not count.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = text.get(..text.len().checked_sub(padding)?)?;
    if padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = (bits << 6) | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(decoded.get(..group.len() - 1)?);
    }
    Some(bytes)
}

/// A date as Go writes it: no zeros at the end of the fraction, `Z` for UTC.
pub(crate) fn encoded(date: &str) -> String {
    let Some((day, time)) = date.split_once('T') else {
        return date.to_owned();
    };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let time = time.replace(',', ".");
    let time = match time.split_once('.') {
        Some((whole, fraction)) => {
            // Digits after the nanoseconds are dropped.
            let fraction = fraction.get(..9).unwrap_or(fraction);
            format!("{whole}.{fraction}")
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned()
        }
        None => time,
    };
    let hour_digit = if time.find(':') == Some(1) { "0" } else { "" };
    let zone = match zone {
        "+00:00" | "-00:00" => "Z",
        zone => zone,
    };
    format!("{day}T{hour_digit}{time}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar<'_> {
        resolve(Tag::None, text).unwrap()
    }

    #[test]
    fn numbers_are_those_of_yaml_1_1_and_of_go() {
        for (texts, value) in [
            (
                "0755 0o755 0O755 +0755 0_755 0x1ed 0X1ED 0b111101101 493 493. 4.93e2",
                493.0,
            ),
            ("-0755 -0o755 -0x1_ed -0b111101101 -4_93 0o-755", -493.0),
            ("0 00 -0 0_ 0x0 0e0 .0 1e-400", 0.0),
            ("08 8 8.0 0b1000 +8 8_", 8.0),
            ("1_000.5 +1_000.5 1000.5 1__000.5", 1000.5),
            (".5 +.5 0.5 5e-1 .5_0 5E-1", 0.5),
        ] {
            for text in texts.split(' ') {
                let Scalar::Number(number) = plain(text) else {
                    panic!("{text} is no number");
                };
                assert_eq!(number.as_f64(), Some(value), "{text}");
            }
        }
        let texts = "0x 0b 0b2 0o8 _1 ._5 .5_ 1e 1e400 -1e400 + - . 1.2.3 0x1p-2 1:30 inf nan \
                     0xfffffffffffffffff 0b+ 0x-1 --1 1,0";
        for text in texts.split(' ').filter(|text| !text.is_empty()) {
            assert_eq!(plain(text), Scalar::Text(text.into()), "{text}");
        }
        for (text, value) in [
            ("18446744073709551615", Number::from(u64::MAX)),
            ("0xffffffffffffffff", Number::from(u64::MAX)),
            ("-9223372036854775808", Number::from(i64::MIN)),
            ("+9223372036854775807", Number::from(i64::MAX)),
        ] {
            assert_eq!(plain(text), Scalar::Number(value), "{text}");
        }
    }

    #[test]
    fn dates_may_be_short() {
        for (text, date) in [
            ("2024-1-2", "2024-01-02T00:00:00Z"),
            ("2024-01-02T1:2:3Z", "2024-01-02T01:02:03Z"),
            (
                "2024-01-02t01:02:03.50+02:00",
                "2024-01-02T01:02:03.5+02:00",
            ),
            ("2024-01-02   01:02:03", "2024-01-02T01:02:03Z"),
        ] {
            assert_eq!(plain(text), Scalar::Date(date.into()), "{text}");
        }
        for text in [
            "2024-02-30",
            "2024-01-02 01:02:03Z",
            "2024-01-02T01:02:03",
            "2024-01-02T01:02Z",
            "24-01-02",
            "2024-001-02",
        ] {
            assert_eq!(plain(text), Scalar::Text(text.into()), "{text}");
        }
    }

    #[test]
    fn a_tag_must_fit() {
        for (tag, text) in [
            (Tag::Int, "1.0"),
            (Tag::Int, "x"),
            (Tag::Bool, "yes"),
            (Tag::Null, "x"),
            (Tag::Timestamp, "2024"),
            (Tag::Int, "2024-01-01"),
            (Tag::Binary, "aGk"),
            (Tag::Float, "x"),
        ] {
            assert!(resolve(tag, text).is_err(), "{tag:?} {text}");
        }
        assert_eq!(resolve(Tag::Binary, "aGk="), Ok(Scalar::Text("hi".into())));
        assert_eq!(resolve(Tag::Float, "1"), Ok(Scalar::Number(1.into())));
        assert_eq!(resolve(Tag::Other, "1"), Ok(Scalar::Text("1".into())));
    }

    #[test]
    fn dates_are_written_as_in_go() {
        for (read, written) in [
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T1:00:00,500Z", "2024-01-01T01:00:00.5Z"),
            ("2024-01-01T00:00:00.000+00:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:10+02:00", "2024-01-01T00:00:10+02:00"),
            (
                "2024-01-01T00:00:00.1234567891-01:30",
                "2024-01-01T00:00:00.123456789-01:30",
            ),
        ] {
            assert_eq!(encoded(read), written);
        }
    }
}
