//! The hash that assigns users to buckets.

/// FNV-1a, 32 bit, fed piece by piece (docs/engine-semantics.md 9.1; upstream
/// `modules/core/utils/hash.go`).
///
/// A flag stores the state after its own key, so that an evaluation hashes only
/// the bucketing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BucketingHash(u32);

impl BucketingHash {
    pub(crate) const fn new() -> Self {
        Self(2_166_136_261)
    }

    #[must_use]
    pub(crate) fn write(self, text: &str) -> Self {
        let mut hash = self.0;
        for byte in text.as_bytes() {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(16_777_619);
        }
        Self(hash)
    }

    /// The bucket among `count`; 0 if there are none.
    pub(crate) fn bucket(self, count: u32) -> u32 {
        self.0.checked_rem(count).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_the_official_engine() {
        for (flag_key, user, hash) in [
            ("flag", "user-1", 2_565_881_006),
            ("my-flag", "ключ", 6_722_328),
            ("", "x", 4_245_442_695),
        ] {
            let found = BucketingHash::new().write(flag_key).write(user);
            assert_eq!(found, BucketingHash(hash));
        }
    }

    #[test]
    fn no_buckets_means_bucket_zero() {
        assert_eq!(BucketingHash::new().bucket(0), 0);
    }
}
