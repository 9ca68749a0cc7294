//! Texts that flags contain, in messages.

use std::{borrow::Cow, fmt};

/// The text on one line, cut if it is long, with the characters escaped that are not to be seen.
pub(crate) fn presentable(text: &str) -> Cow<'_, str> {
    let is_short = text.char_indices().nth(MOST_CHARACTERS).is_none();
    match is_short && !text.chars().any(is_hidden) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(excerpt(MOST_CHARACTERS, |out| out.write_str(text))),
    }
}

const MOST_CHARACTERS: usize = 200;

/// The beginning of what `write` writes, on one line, with the characters escaped that are not to be
/// seen. Writing ends with the last character that is kept.
pub(crate) fn excerpt(
    most: usize,
    write: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
) -> String {
    struct Excerpt {
        text: String,
        left: usize,
    }

    impl Excerpt {
        fn push(&mut self, char: char) -> fmt::Result {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(char);
            Ok(())
        }
    }

    impl fmt::Write for Excerpt {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            text.chars().try_for_each(|char| match is_hidden(char) {
                false => self.push(char),
                true if char.is_whitespace() => self.push(' '),
                true => char.escape_unicode().try_for_each(|char| self.push(char)),
            })
        }
    }

    let mut excerpt = Excerpt {
        text: String::new(),
        left: most,
    };
    if write(&mut excerpt).is_err() {
        excerpt.text.push('…');
    }
    excerpt.text
}

/// Whether a character is not to be seen, or changes how others are shown: a control, a line
/// separator, what Unicode calls "default ignorable" (marks of direction and of joining, variation
/// selectors, fillers), what annotates, a blank pattern, or no character.
#[must_use]
pub fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_and_hidden_characters_change() {
        for text in ["", "a `b` é", &"é".repeat(MOST_CHARACTERS)] {
            assert_eq!(presentable(text), text);
        }
        assert_eq!(
            presentable("a\r\nb\u{1b}[0m\u{85}c\u{2028}"),
            "a  b\\u{1b}[0m c "
        );
        assert_eq!(
            presentable("a\u{202e}b\u{fe0f}\u{e0101}"),
            "a\\u{202e}b\\u{fe0f}\\u{e0101}"
        );
        let hidden = presentable(&"\u{202e}".repeat(MOST_CHARACTERS)).into_owned();
        assert_eq!(hidden.chars().count(), MOST_CHARACTERS + 1);
        let shown = presentable(&"é".repeat(MOST_CHARACTERS + 1)).into_owned();
        assert_eq!(shown, format!("{}…", "é".repeat(MOST_CHARACTERS)));
    }

    #[test]
    fn an_excerpt_ends_where_its_writer_would_go_on() {
        for (most, text) in [(3, "é\nb"), (4, "é\nb"), (2, "é\nb")] {
            let shown = excerpt(most, |out| out.write_str(text));
            assert_eq!(shown, ["é …", "é b", "é b"][most - 2]);
        }
    }
}
