//! Texts that flags contain, in messages.

use std::borrow::Cow;

/// The text on one line, without control characters, and cut if it is long.
pub(crate) fn presentable(text: &str) -> Cow<'_, str> {
    let is_shown = |char: char| !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}');
    let end = text.char_indices().nth(MOST_CHARACTERS).map(|(at, _)| at);
    if end.is_none() && text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let shown = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    let shown = shown
        .chars()
        .map(|char| if is_shown(char) { char } else { ' ' });
    let cut = end.map(|_| '…');
    Cow::Owned(shown.chain(cut).collect())
}

const MOST_CHARACTERS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_and_control_characters_change() {
        for text in ["", "a `b` é", &"é".repeat(MOST_CHARACTERS)] {
            assert_eq!(presentable(text), text);
        }
        assert_eq!(presentable("a\r\nb\u{1b}[0m\u{85}c\u{2028}"), "a  b [0m c ");
        let shown = presentable(&"é".repeat(MOST_CHARACTERS + 1)).into_owned();
        assert_eq!(shown, format!("{}…", "é".repeat(MOST_CHARACTERS)));
    }
}
