//! A keyed checksum: HMAC-SHA-256 (RFC 2104).

use std::fmt;

use sha2::{Digest, Sha256};

/// Seals texts with a key that was derived from a secret, or from something that is none.
#[derive(Clone)]
pub(crate) struct Seal {
    key: [u8; BLOCK],
}

impl Seal {
    /// The key is a hash, from which the secret cannot be had back.
    pub(crate) fn from_secret(secret: &[u8]) -> Self {
        Self::with_key(&Sha256::digest(secret))
    }

    fn with_key(hash: &[u8]) -> Self {
        let mut key = [0; BLOCK];
        for (byte, hash) in key.iter_mut().zip(hash) {
            *byte = *hash;
        }
        Self { key }
    }

    /// The checksum of the parts as if they were one, in 64 hexadecimal digits.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> String {
        let mut inner = Sha256::new_with_prefix(self.key.map(|byte| byte ^ 0x36));
        for part in parts {
            inner.update(part);
        }
        let mut outer = Sha256::new_with_prefix(self.key.map(|byte| byte ^ 0x5c));
        outer.update(inner.finalize());
        let digest = outer.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// The block size of SHA-256.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1 to 3.
    #[test]
    fn it_is_the_standard_one() {
        let check = |key: &[u8], parts: &[&[u8]], hmac: &str| {
            assert_eq!(Seal::with_key(key).of(parts), hmac);
        };
        check(
            &[0x0b; 20],
            &[b"Hi ", b"There"],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
        check(
            b"Jefe",
            &[b"what do ya want for nothing?"],
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(
            &[0xaa; 20],
            &[&[0xdd; 50]],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        );
    }

    #[test]
    fn each_secret_makes_a_seal_of_its_own() {
        let of = |secret: &[u8]| Seal::from_secret(secret).of(&[b"text"]);
        assert_eq!(of(b"one"), of(b"one"));
        assert_ne!(of(b"one"), of(b"two"));
    }
}
