//! The user's key in an event, kept in place.

use std::fmt;

/// Whose evaluation an event tells of. A key of up to 38 bytes, as a UUID is, lies in the event
/// itself: a buffer at its cap frees one for each that it takes, and a heap that has not been
/// touched since is slow.
#[derive(Clone)]
pub struct UserKey(Repr);

#[derive(Clone)]
enum Repr {
    InPlace { length: u8, bytes: [u8; IN_PLACE] },
    Long(Box<str>),
}

impl UserKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::InPlace { length, bytes } => bytes
                .get(..usize::from(*length))
                .and_then(|bytes| str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            Repr::Long(key) => key,
        }
    }
}

impl From<&str> for UserKey {
    #[inline]
    fn from(key: &str) -> Self {
        let mut bytes = [0; IN_PLACE];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(key.as_bytes());
                Self(Repr::InPlace { length, bytes })
            }
            _ => Self(Repr::Long(key.into())),
        }
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

const IN_PLACE: usize = 38;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uuid_lies_in_place() {
        let key = UserKey::from("d45e303a-38c2-11ed-a261-0242ac120002");
        assert!(matches!(key.0, Repr::InPlace { .. }));
        assert_eq!(size_of::<UserKey>(), 40);
    }

    #[test]
    fn length_decides_where_a_key_lies_and_nothing_else() {
        for length in [0, 1, 37, 38, 39, 255, 256, 294, 1_000] {
            let text = "k".repeat(length);
            let key = UserKey::from(text.as_str());
            assert_eq!(key.as_str(), text);
            assert_eq!(matches!(key.0, Repr::Long(_)), length > 38);
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
