//! Bounds the memory that a JSON text takes once it is read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How many values a text of at most `max_size` bytes may hold.
///
/// A value takes up to 80 bytes beside its text, so that a response takes at most about ten times
/// `max_size` of memory. `[{"":0},{"":0}` without this limit takes 90 times its text.
pub(crate) fn max_values(max_size: usize) -> usize {
    max_size / 8
}

/// Whether a text holds at most `max_values` values, an object counting as [`OBJECT`]. A text that
/// is not JSON counts up to its error.
pub(crate) fn holds_at_most(max_values: usize, text: &[u8]) -> bool {
    // The densest text, `[{},{}]`, has 8 values in 3 bytes.
    if text.len() <= max_values / 3 {
        return true;
    }
    let mut left = Some(max_values);
    let mut reader = serde_json::Deserializer::from_slice(text);
    // An error of the text is reported by those who read its contents.
    let _ = Counter(&mut left).deserialize(&mut reader);
    left.is_some()
}

/// Counts down for each value, to `None` where there are too many.
struct Counter<'a>(&'a mut Option<usize>);

impl Counter<'_> {
    fn count<E: Error>(&mut self, values: usize) -> Result<(), E> {
        *self.0 = self.0.and_then(|left| left.checked_sub(values));
        match self.0 {
            Some(_) => Ok(()),
            None => Err(E::custom("too many values")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.count(1)
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.count(1)
    }

    fn visit_i64<E: Error>(mut self, _: i64) -> Result<(), E> {
        self.count(1)
    }

    fn visit_u64<E: Error>(mut self, _: u64) -> Result<(), E> {
        self.count(1)
    }

    fn visit_f64<E: Error>(mut self, _: f64) -> Result<(), E> {
        self.count(1)
    }

    fn visit_str<E: Error>(mut self, _: &str) -> Result<(), E> {
        self.count(1)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        self.count(1)?;
        while sequence.next_element_seed(Counter(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.count(OBJECT)?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Counter(self.0))?;
        }
        Ok(())
    }
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
        let unclosed = "[".repeat(100_000);
        assert!(
            holds_at_most(1000, unclosed.as_bytes()),
            "the depth is limited"
        );
    }
}
