//! The user's key in an event, kept in place.

use std::fmt;

/// Whose evaluation an event tells of. A key of up to 39 bytes, as a UUID is, lies in the event
/// itself: a buffer at its cap frees one for each that it takes, and a heap that has not been
/// touched since is slow.
#[derive(Clone)]
pub struct UserKey {
    /// The key in place; the last byte is its length.
    bytes: [u8; SIZE],
    /// The key that does not fit.
    long: Option<Box<Long>>,
}

#[derive(Clone)]
struct Long(Box<str>);

impl UserKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if let Some(Long(key)) = self.long.as_deref() {
            return key;
        }
        let [.., length] = self.bytes;
        self.bytes
            .get(..usize::from(length))
            .and_then(|bytes| str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl From<&str> for UserKey {
    #[inline]
    fn from(key: &str) -> Self {
        let text = key.as_bytes();
        let mut bytes = [0; SIZE];
        if text.len() >= SIZE {
            let long = Some(Box::new(Long(key.into())));
            return Self { bytes, long };
        }
        // By words that the processor holds on to until the event is where it stays. What is copied
        // piece by piece and then moved as a whole has to wait, each time, for the pieces to arrive.
        let (words, _) = bytes.as_chunks_mut::<WORD>();
        for (n, place) in words.iter_mut().enumerate() {
            let mut word = word_at(text, n * WORD);
            if n == SIZE / WORD - 1 {
                word |= (text.len() as u64) << (u64::BITS - u8::BITS);
            }
            *place = word.to_le_bytes();
        }
        Self { bytes, long: None }
    }
}

/// The eight bytes from `at`; zero where there are none.
#[inline]
fn word_at(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    match (rest.first_chunk(), text.last_chunk()) {
        (Some(whole), _) => u64::from_le_bytes(*whole),
        (None, _) if rest.is_empty() => 0,
        // The last eight bytes without those before the rest.
        (None, Some(last)) => u64::from_le_bytes(*last) >> (8 * (WORD - rest.len())),
        (None, None) => rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

impl PartialEq for UserKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for UserKey {}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

const SIZE: usize = 40;
const WORD: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uuid_lies_in_place() {
        let key = UserKey::from("d45e303a-38c2-11ed-a261-0242ac120002");
        assert!(key.long.is_none());
        assert_eq!(size_of::<UserKey>(), 48);
    }

    #[test]
    fn length_decides_where_a_key_lies_and_nothing_else() {
        for length in (0..50).chain([255, 256, 294, 1_000]) {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let key = UserKey::from(text.as_str());
            assert_eq!(key.as_str(), text);
            assert_eq!(key.long.is_some(), length > 39);
        }
    }

    proptest! {
        #[test]
        fn key_is_the_text_it_was_made_from(text: String, other: String) {
            let key = UserKey::from(text.as_str());
            prop_assert_eq!(key.as_str(), &text);
            prop_assert_eq!(format!("{key:?}"), format!("{text:?}"));
            prop_assert_eq!(key == UserKey::from(other.as_str()), text == other);
        }
    }
}
