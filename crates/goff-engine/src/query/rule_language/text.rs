//! Comparison of texts without regard to letter case.

use std::cmp::Ordering;

/// The simple lower-case mapping of a character: one character for one.
pub(super) fn lower(char: char) -> char {
    if char.is_ascii() {
        return char.to_ascii_lowercase();
    }
    if char == 'İ' {
        return 'i';
    }
    let mut mapped = char.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => char,
    }
}

pub(super) fn lowered(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn characters(text: &str) -> impl DoubleEndedIterator<Item = char> + '_ {
    text.chars().map(lower)
}

/// Whether `text`, lower-cased, equals `literal`, which is lower-cased already.
///
/// This and the next three take time that is bounded by the literal, however long the text is.
#[inline]
pub(super) fn equal(text: &str, literal: &str) -> bool {
    // Equal bytes outside ASCII are equal characters, and the literal's are lower-case.
    same_bytes(text.as_bytes(), literal.as_bytes()) || equal_beyond_ascii(text, literal)
}

#[inline(never)]
fn equal_beyond_ascii(text: &str, literal: &str) -> bool {
    // A character and its lower-case form take between one and three bytes each.
    text.len() <= literal.len().saturating_mul(3)
        && !text.is_ascii()
        && characters(text).eq(literal.chars())
}

pub(super) fn compare(text: &str, literal: &str) -> Ordering {
    characters(text).cmp(literal.chars())
}

pub(super) fn starts_with(text: &str, literal: &str) -> bool {
    let start = text.as_bytes().get(..literal.len());
    if start.is_some_and(|start| same_bytes(start, literal.as_bytes())) {
        return true;
    }
    let mut characters = characters(text);
    literal.chars().all(|char| characters.next() == Some(char))
}

pub(super) fn ends_with(text: &str, literal: &str) -> bool {
    let from = text.len().checked_sub(literal.len());
    let end = from.and_then(|from| text.as_bytes().get(from..));
    if end.is_some_and(|end| same_bytes(end, literal.as_bytes())) {
        return true;
    }
    let mut characters = characters(text).rev();
    literal
        .chars()
        .rev()
        .all(|char| characters.next() == Some(char))
}

/// A text to search for, prepared so that a search takes time that is linear in the text and
/// allocates nothing (Knuth, Morris, Pratt).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needle {
    /// Each character with the number of characters before it that are still matched if it is not:
    /// the longest end of those characters that is their beginning, too.
    characters: Box<[(char, u32)]>,
}

impl Needle {
    /// Bytes at least.
    #[cfg(feature = "lint")]
    pub(super) fn size(&self) -> usize {
        self.characters.len()
    }

    /// The literal is lower-cased already.
    pub(super) fn new(literal: &str) -> Self {
        let mut characters: Vec<(char, u32)> = Vec::with_capacity(literal.len());
        let mut matched = 0;
        for (index, char) in literal.chars().enumerate() {
            characters.push((char, matched));
            if index > 0 {
                matched = next(&characters, matched, char);
            }
        }
        Self {
            characters: characters.into(),
        }
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        let length = self.characters.len();
        let mut matched = 0;
        length == 0
            || characters(text).any(|char| {
                matched = next(&self.characters, matched, char);
                matched as usize == length
            })
    }
}

/// How many characters match after one more character of the text.
fn next(characters: &[(char, u32)], mut matched: u32, char: char) -> u32 {
    while let Some((wanted, fallback)) = characters.get(matched as usize) {
        if *wanted == char {
            return matched + 1;
        }
        if matched == 0 {
            break;
        }
        matched = *fallback;
    }
    0
}

#[inline]
fn same_bytes(text: &[u8], literal: &[u8]) -> bool {
    text.len() == literal.len()
        && text
            .iter()
            .zip(literal)
            .all(|(byte, wanted)| byte.to_ascii_lowercase() == *wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_mapped_one_by_one() {
        assert!(equal("ΑΣ", "ασ"));
        assert!(!equal("ΑΣ", "ας"));
        assert!(equal("İ", "i"));
        assert!(!equal("SS", "ß"));
        assert!(equal("\u{212a}", "k"));
    }

    #[test]
    fn ascii_and_other_texts_agree() {
        for (text, other) in [("Hello", "Hellö"), ("", "é"), ("aXb", "aXbÉ")] {
            for literal in [
                "", "h", "hel", "lo", "x", "xb", "hello", "é", "lö", "b", "bé",
            ] {
                let reference = lowered(text);
                for (text, reference) in [(text, reference), (other, lowered(other))] {
                    assert_eq!(equal(text, literal), reference == literal);
                    assert_eq!(starts_with(text, literal), reference.starts_with(literal));
                    assert_eq!(ends_with(text, literal), reference.ends_with(literal));
                    let found = Needle::new(literal).is_in(text);
                    assert_eq!(found, reference.contains(literal));
                    assert_eq!(compare(text, literal), reference.as_str().cmp(literal));
                }
            }
        }
    }

    #[test]
    fn needles_that_repeat_themselves_are_found() {
        let texts = [
            "",
            "a",
            "ab",
            "aab",
            "aabaab",
            "aaaab",
            "abababac",
            "éaéaéb",
        ];
        for literal in texts {
            for (before, after) in [
                ("", ""),
                ("aa", "b"),
                ("aabaa", ""),
                ("abab", "ab"),
                ("éa", "é"),
            ] {
                for text in texts.map(|text| format!("{before}{text}{after}")) {
                    let found = Needle::new(literal).is_in(&text);
                    assert_eq!(found, text.contains(literal), "{literal} in {text}");
                }
            }
        }
    }
}
