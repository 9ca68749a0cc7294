//! The API key: a secret that is validated once and never printed.

use std::fmt;

/// An API key of the relay proxy. It selects the flag set there, so data that was fetched with one
/// key is never shared with another.
///
/// `Debug` does not show the key, and the type has no `Display`.
///
/// ```
/// # use goff_core::ApiKey;
/// let key = ApiKey::new("team-a").unwrap();
/// assert_eq!(format!("{key:?}"), "ApiKey(redacted)");
/// assert!(ApiKey::new("a\r\nx-injected: 1").is_err());
/// ```
///
/// *Specification*: GOFF-AUTH-001.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Box<str>);

impl ApiKey {
    /// Validates a key.
    ///
    /// # Errors
    /// An empty key, and a key that an HTTP header would change: with control characters (line
    /// breaks would inject headers) or white space at either end (HTTP strips it).
    pub fn new(key: impl Into<String>) -> Result<Self, ApiKeyError> {
        let key = key.into();
        if key.is_empty() {
            return Err(ApiKeyError("is empty"));
        }
        if key.chars().any(char::is_control) {
            return Err(ApiKeyError("contains a control character"));
        }
        if key.trim() != key {
            return Err(ApiKeyError("starts or ends with white space"));
        }
        Ok(Self(key.into()))
    }

    /// The key, for the code that writes it to the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ApiKey {
    type Error = ApiKeyError;

    fn try_from(key: String) -> Result<Self, ApiKeyError> {
        Self::new(key)
    }
}

impl TryFrom<&str> for ApiKey {
    type Error = ApiKeyError;

    fn try_from(key: &str) -> Result<Self, ApiKeyError> {
        Self::new(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

/// Why a text cannot be an API key. The message never contains the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ApiKeyError(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_gives_the_reason_without_the_key() {
        for (key, reason) in [
            ("", "is empty"),
            ("secret\r\nx: y", "contains a control character"),
            ("secret\n", "contains a control character"),
            ("secret\0", "contains a control character"),
            (" secret", "starts or ends with white space"),
            ("secret ", "starts or ends with white space"),
        ] {
            let error = ApiKey::new(key).unwrap_err();
            assert_eq!(error.to_string(), reason);
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn key_is_kept_unchanged() {
        for key in ["a+b&c d#e=%", "ключ", "x"] {
            assert_eq!(ApiKey::new(key).unwrap().expose(), key);
        }
    }
}
