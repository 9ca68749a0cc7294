//! Comparing the names of attributes.

/// Whether two names are the same. Names are short, and a context is gone through for each that is
/// looked up: by words, most of the time goes that a call to compare bytes takes.
#[inline]
pub(crate) fn is_name(own: &str, name: &str) -> bool {
    let (own, name) = (own.as_bytes(), name.as_bytes());
    if own.len() != name.len() {
        return false;
    }
    // Two words that may overlap are the whole of a name that is no longer than both.
    match name.len() {
        WORD..=TWO_WORDS => ends::<WORD>(own) == ends::<WORD>(name),
        HALF..WORD => ends::<HALF>(own) == ends::<HALF>(name),
        _ => own == name,
    }
}

#[inline]
fn ends<const N: usize>(name: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (name.first_chunk(), name.last_chunk())
}

const HALF: usize = 4;
const WORD: usize = 8;
const TWO_WORDS: usize = 2 * WORD;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_counts() {
        for length in 0..40 {
            let name = "a".repeat(length);
            assert!(is_name(&name.clone(), &name));
            assert!(!is_name(&name, &"a".repeat(length + 1)));
            for at in 0..length {
                let mut other = name.clone();
                other.replace_range(at..=at, "b");
                assert!(!is_name(&name, &other), "{length}, {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn names_are_the_same_if_they_are_equal(one in ".{0,20}", other in ".{0,20}") {
            prop_assert_eq!(is_name(&one, &other), one == other);
            prop_assert!(is_name(&one.clone(), &one));
        }
    }
}
