//! The wording of the error of a flag that does not exist, in both modes.

use std::borrow::Cow;

/// The message of `FLAG_NOT_FOUND`.
#[must_use]
pub fn flag_not_found(flag_key: &str) -> String {
    format!("flag `{}` was not found", shown_flag_key(flag_key))
}

/// A flag key on one line, and cut if it is long.
#[must_use]
pub fn shown_flag_key(flag_key: &str) -> Cow<'_, str> {
    let is_shown = |char: char| !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}');
    let end = flag_key.char_indices().nth(LONGEST).map(|(at, _)| at);
    if end.is_none() && flag_key.chars().all(is_shown) {
        return Cow::Borrowed(flag_key);
    }
    let start = flag_key.get(..end.unwrap_or(flag_key.len()));
    let shown = start.unwrap_or_default().chars();
    let shown = shown.map(|char| if is_shown(char) { char } else { ' ' });
    Cow::Owned(shown.chain(end.map(|_| '…')).collect())
}

const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_flag_on_one_short_line() {
        assert_eq!(flag_not_found("a b"), "flag `a b` was not found");
        assert_eq!(flag_not_found("a\nb"), "flag `a b` was not found");
        let long = shown_flag_key(&"é".repeat(LONGEST + 1)).into_owned();
        assert_eq!(long, format!("{}…", "é".repeat(LONGEST)));
    }
}
