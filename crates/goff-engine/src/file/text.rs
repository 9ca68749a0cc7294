//! The bytes of a flag file as text.

use std::borrow::Cow;

use super::{FlagFileFormat, error::Malformed};
use crate::configuration::json::utf8_lossy;

/// Decodes a file as the server does: YAML with a byte order mark may be UTF-16, and JSON may hold
/// bytes that are not UTF-8, which become U+FFFD.
pub(crate) fn decode(bytes: &[u8], format: FlagFileFormat) -> Result<Cow<'_, str>, Malformed> {
    match (format, bytes) {
        (FlagFileFormat::Json, _) => Ok(utf8_lossy(bytes)),
        (FlagFileFormat::Yaml, [0xff, 0xfe, rest @ ..]) => utf16(rest, u16::from_le_bytes),
        (FlagFileFormat::Yaml, [0xfe, 0xff, rest @ ..]) => utf16(rest, u16::from_be_bytes),
        (_, [0xef, 0xbb, 0xbf, rest @ ..]) => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let what = "not UTF-8; save it in that encoding";
        Malformed::new(error.valid_up_to(), what)
    })?;
    Ok(Cow::Borrowed(text))
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Result<Cow<'static, str>, Malformed> {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [first, second] => unit([*first, *second]),
        _ => 0,
    });
    let mut text = String::with_capacity(bytes.len());
    for char in char::decode_utf16(units) {
        match char {
            Ok(char) => text.push(char),
            Err(_) => return Err(Malformed::new(text.len(), "not UTF-16")),
        }
    }
    if !bytes.len().is_multiple_of(2) {
        return Err(Malformed::new(text.len(), "not UTF-16"));
    }
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_the_server() {
        let [little, big]: [Vec<u8>; 2] = [u16::to_le_bytes, u16::to_be_bytes]
            .map(|bytes| "\u{feff}é😀".encode_utf16().flat_map(bytes).collect());
        for bytes in [&*little, &big, "é😀".as_bytes(), "\u{feff}é😀".as_bytes()] {
            assert_eq!(decode(bytes, FlagFileFormat::Yaml).unwrap(), "é😀");
        }
        for bytes in [&b"\xff\xfe\x00\xd8"[..], b"\xff\xfea", b"a\xff"] {
            assert!(decode(bytes, FlagFileFormat::Yaml).is_err());
        }
        for bytes in [&*little, b"a\xff"] {
            assert!(decode(bytes, FlagFileFormat::Toml).is_err());
        }
        assert_eq!(decode(b"a\xff", FlagFileFormat::Json).unwrap(), "a\u{fffd}");
    }
}
