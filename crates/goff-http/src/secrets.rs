//! Removes credentials from messages, and shortens them.

use std::fmt;
use std::sync::Arc;

/// The texts that must not appear in an error or a log line. A server or gateway may quote what
/// it received.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    texts: Vec<Box<str>>,
    /// The sets of which this is the union.
    sets: Vec<Arc<Self>>,
}

impl Secrets {
    #[cfg(test)]
    pub(crate) const NONE: Self = Self {
        texts: Vec::new(),
        sets: Vec::new(),
    };

    /// Adds a secret. Ignores one shorter than [`SHORTEST`], which would match parts of words.
    pub(crate) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return;
        }
        self.texts.push(secret.into());
        // JSON errors quote texts in Rust's notation.
        let quoted = format!("{secret:?}");
        let quoted = quoted.trim_matches('"');
        if quoted != secret {
            self.texts.push(quoted.into());
        }
    }

    /// The secrets of all `sets`, none of which is a union.
    pub(crate) fn union(sets: impl IntoIterator<Item = Arc<Self>>) -> Self {
        Self {
            texts: Vec::new(),
            sets: sets.into_iter().collect(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let sets = self.sets.iter().flat_map(|set| &set.texts);
        self.texts.iter().chain(sets).map(|text| &**text)
    }

    /// Whether a text contains a secret.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.iter().any(|secret| text.contains(secret))
    }

    /// A server's text without secrets and control characters, cut at [`LONGEST`] characters.
    /// `None` when nothing is left.
    pub(crate) fn presentable(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for secret in self.iter() {
            if text.contains(secret) {
                text = text.replace(secret, "[redacted]");
            }
        }
        let words = text.split(|c: char| c.is_control() || c.is_whitespace());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let mut shown = words.join(" ");
        if let Some((end, _)) = shown.char_indices().nth(LONGEST) {
            shown.truncate(end);
            shown.push('…');
        }
        (!shown.is_empty()).then_some(shown)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

const SHORTEST: usize = 4;
const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_control_characters_are_removed_and_long_texts_cut() {
        let mut secrets = Secrets::default();
        secrets.add("s3cret");
        secrets.add("abc");
        let shown = |text: &str| secrets.presentable(text);
        let redacted = shown("invalid key\r\n s3cret\u{1b}[31m abc").unwrap();
        assert_eq!(redacted, "invalid key [redacted] [31m abc");
        assert_eq!(shown(" \n\t"), None);
        assert_eq!(shown(""), None);
        let long = shown(&"é".repeat(1000)).unwrap();
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
        let exact = "x".repeat(LONGEST);
        assert_eq!(shown(&exact), Some(exact.clone()));
        assert_eq!(shown(&format!("{exact} x")), Some(format!("{exact}…")));
        assert!(!format!("{secrets:?}").contains("s3cret"));
        assert!(secrets.are_in("a s3cret.") && !secrets.are_in("abc"));
    }

    #[test]
    fn quoted_secrets_are_removed() {
        let mut secrets = Secrets::default();
        secrets.add("quo\"te\\d");
        let quoted = format!("invalid type: string {:?}", "my quo\"te\\d");
        let shown = secrets.presentable(&quoted).unwrap();
        assert_eq!(shown, "invalid type: string \"my [redacted]\"");
    }
}
