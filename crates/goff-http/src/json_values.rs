//! Bounds the memory that a JSON text takes once it is read.

/// How many values a text of at most `max_size` bytes may hold.
///
/// A value takes up to 80 bytes beside its text, so that a response takes at most about ten times
/// `max_size` of memory. `[{"":0},{"":0}` without this limit takes 90 times its text.
pub(crate) fn max_values(max_size: usize) -> usize {
    max_size / 8
}

/// Whether a text holds at most `max_values` values, an object counting as [`OBJECT`]. It counts
/// tokens, because a reader skips what a parser refuses in members that it does not need.
pub(crate) fn holds_at_most(max_values: usize, text: &[u8]) -> bool {
    // The densest text, `[{},{}]`, has 8 values in 3 bytes.
    if text.len() <= max_values / 3 {
        return true;
    }
    let mut count = 0_usize;
    let mut bytes = text.iter();
    let mut in_literal = false;
    while let Some(byte) = bytes.next() {
        let is_literal = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        count += match byte {
            b'{' => OBJECT,
            b'[' => 1,
            b'"' => {
                while let Some(byte) = bytes.next()
                    && *byte != b'"'
                {
                    if *byte == b'\\' {
                        bytes.next();
                    }
                }
                1
            }
            _ => usize::from(is_literal && !in_literal),
        };
        // The string before it was a name.
        count -= usize::from(*byte == b':' && count > 0);
        if count > max_values {
            return false;
        }
        in_literal = is_literal;
    }
    true
}

/// An object reserves room for eleven members.
const OBJECT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_and_objects_count_more() {
        let row = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
        for (item, values) in [
            ("0", 1),
            ("-1", 1),
            ("1.5", 1),
            ("null", 1),
            ("true", 1),
            (r#""a\"b""#, 1),
            ("[]", 1),
            ("[[]]", 2),
            ("{}", 8),
            (r#"{"":0}"#, 9),
            (r#"{"a":{"b":[1,2]}}"#, 19),
        ] {
            let text = row(item, 100);
            let exact = 1 + 100 * values;
            assert!(holds_at_most(exact, text.as_bytes()), "{item}");
            assert!(!holds_at_most(exact - 1, text.as_bytes()), "{item}");
        }
    }

    #[test]
    fn short_and_broken_texts_are_left_to_the_reader() {
        for text in ["", "[", "{}", "[1,2,3", "\u{feff}[]", "nonsense"] {
            assert!(holds_at_most(100, text.as_bytes()), "{text}");
        }
    }

    /// Readers skip them in members that they do not need.
    #[test]
    fn texts_that_a_parser_refuses_are_counted() {
        let dense = vec![r#"{"":0}"#; 1_000].join(",");
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for odd in ["1e999", r#""\ud800""#, &deep] {
            let text = format!(r#"{{"x":{odd},"value":[{dense}]}}"#);
            assert!(!holds_at_most(8_000, text.as_bytes()), "{odd}");
            assert!(holds_at_most(10_000, text.as_bytes()), "{odd}");
        }
        assert!(!holds_at_most(1_000, "[".repeat(100_000).as_bytes()));
    }
}
