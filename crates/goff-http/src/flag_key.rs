//! Writes a flag key into a request path.
//!
//! The relay proxy decodes the key only where the whole path is escaped exactly as Go escapes it, so
//! one byte too many or too few makes it look for another flag (docs/relay-protocol.md 5).

use goff_core::__internal::shown_flag_key;
use goff_core::RelayError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Appends `flag_key` to `path`, escaped as Go escapes a path segment (docs/python-parity.md C6).
///
/// # Errors
/// A key that a path cannot carry: empty, `.`, `..`, or one that contains a `/`.
pub(crate) fn write_escaped(flag_key: &str, path: &mut String) -> Result<(), RelayError> {
    let reason = match flag_key {
        "" => "is empty",
        "." | ".." => "is a dot segment, which gateways remove",
        key if key.contains('/') => "contains a `/`",
        _ => {
            path.extend(utf8_percent_encode(flag_key, ESCAPED));
            return Ok(());
        }
    };
    Err(unreachable(flag_key, reason))
}

pub(crate) fn unreachable(flag_key: &str, reason: &'static str) -> RelayError {
    RelayError::UnreachableFlagKey {
        flag_key: shown_flag_key(flag_key).into(),
        reason,
    }
}

/// The characters that Go's `url.PathEscape` escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn escaped(key: &str) -> String {
        let mut path = String::new();
        write_escaped(key, &mut path).unwrap();
        path
    }

    /// The table in docs/relay-protocol.md 5, row by row, and the characters in its text.
    #[test]
    fn keys_are_escaped_as_go_does() {
        for (key, expected) in [
            ("my-flag_v1.2~x", "my-flag_v1.2~x"),
            ("my flag", "my%20flag"),
            ("team:x", "team:x"),
            ("a+b", "a+b"),
            ("flag!", "flag%21"),
            ("my flag!", "my%20flag%21"),
            ("é", "%C3%A9"),
            ("a%b", "a%25b"),
            ("a?b", "a%3Fb"),
            ("a#b", "a%23b"),
            ("a'b", "a%27b"),
            ("a(b)*", "a%28b%29%2A"),
            ("$&+,:;=@", "$&+,:;=@"),
            ("a|[b]", "a%7C%5Bb%5D"),
            ("a%2Fb", "a%252Fb"),
            ("\\\"<>^`{}", "%5C%22%3C%3E%5E%60%7B%7D"),
            ("a\r\nb\0", "a%0D%0Ab%00"),
            ("...", "..."),
            (".a", ".a"),
        ] {
            assert_eq!(escaped(key), expected, "`{key}`");
        }
    }

    #[test]
    fn unreachable_keys_are_refused_with_the_reason() {
        for (key, part) in [
            ("", "is empty"),
            (".", "dot segment"),
            ("..", "dot segment"),
            ("a/b", "contains a `/`"),
            ("/", "contains a `/`"),
            ("../admin", "contains a `/`"),
        ] {
            let mut path = String::new();
            let error = write_escaped(key, &mut path).unwrap_err();
            assert!(error.to_string().contains(part), "`{key}`: {error}");
            assert!(error.to_string().contains("in-process"), "{error}");
            assert_eq!(error.code(), goff_core::ErrorCode::FlagNotFound);
            assert_eq!(path, "", "`{key}`");
        }
    }

    fn decoded(escaped: &str) -> Vec<u8> {
        for escape in escaped.split('%').skip(1) {
            let digits = escape.bytes().take(2);
            let is_digit = |digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F');
            assert_eq!(
                digits.filter(|digit| is_digit(*digit)).count(),
                2,
                "{escaped}"
            );
        }
        percent_decode_str(escaped).collect()
    }

    proptest! {
        #[test]
        fn decoding_gives_the_key_back(key in "[^/]{1,24}") {
            prop_assume!(key != "." && key != "..");
            prop_assert_eq!(decoded(&escaped(&key)), key.as_bytes());
        }

        #[test]
        fn only_other_bytes_are_escaped(key in "[^/]{1,24}") {
            prop_assume!(key != "." && key != "..");
            // What Go's `url.PathEscape` leaves as it is.
            let literal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~$&+,:;=@".contains(byte);
            let escaped = escaped(&key);
            prop_assert!(escaped.bytes().all(|byte| byte == b'%' || literal(&byte)));
            let others = key.bytes().filter(|byte| !literal(byte)).count();
            prop_assert_eq!(escaped.matches('%').count(), others);
            let kept: Vec<u8> = key.bytes().filter(literal).collect();
            let unescaped: Vec<u8> = decoded(&escaped).into_iter().filter(literal).collect();
            prop_assert_eq!(kept, unescaped);
        }
    }
}
