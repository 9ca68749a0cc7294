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
#[inline]
pub(super) fn equal(text: &str, literal: &str) -> bool {
    // Equal bytes outside ASCII are equal characters, and the literal's are lower-case.
    same_bytes(text.as_bytes(), literal.as_bytes()) || equal_beyond_ascii(text, literal)
}

#[inline(never)]
fn equal_beyond_ascii(text: &str, literal: &str) -> bool {
    !text.is_ascii() && characters(text).eq(literal.chars())
}

pub(super) fn compare(text: &str, literal: &str) -> Ordering {
    characters(text).cmp(literal.chars())
}

pub(super) fn starts_with(text: &str, literal: &str) -> bool {
    if text.is_ascii() {
        return text
            .as_bytes()
            .get(..literal.len())
            .is_some_and(|start| same_bytes(start, literal.as_bytes()));
    }
    let mut characters = characters(text);
    literal.chars().all(|char| characters.next() == Some(char))
}

pub(super) fn ends_with(text: &str, literal: &str) -> bool {
    if text.is_ascii() {
        return text
            .len()
            .checked_sub(literal.len())
            .and_then(|from| text.as_bytes().get(from..))
            .is_some_and(|end| same_bytes(end, literal.as_bytes()));
    }
    let mut characters = characters(text).rev();
    literal
        .chars()
        .rev()
        .all(|char| characters.next() == Some(char))
}

pub(super) fn contains(text: &str, literal: &str) -> bool {
    // A naive search allocates nothing but is quadratic, so it is for short texts only.
    if text.is_ascii() && text.len().saturating_mul(literal.len()) <= 4096 {
        return literal.is_empty()
            || text
                .as_bytes()
                .windows(literal.len())
                .any(|window| same_bytes(window, literal.as_bytes()));
    }
    lowered(text).contains(literal)
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
                    assert_eq!(contains(text, literal), reference.contains(literal));
                    assert_eq!(compare(text, literal), reference.as_str().cmp(literal));
                }
            }
        }
    }

    #[test]
    fn long_texts_are_searched_too() {
        let text = format!("{}Needle", "a".repeat(5000));
        assert!(contains(&text, "needle"));
        assert!(!contains(&text, "needles"));
    }
}
