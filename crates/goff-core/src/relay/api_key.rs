//! The API key: a secret that is checked once and never printed.

use std::fmt;

/// An API key of the relay proxy. It selects the flag set there, so nothing that one key fetched
/// is ever shared with another (relay-proxy authentication, GOFF-AUTH-001).
///
/// `Debug` never shows the key, and the type has no `Display`.
///
/// ```
/// # use goff_core::ApiKey;
/// let key = ApiKey::new("team-a").unwrap();
/// assert_eq!(format!("{key:?}"), "ApiKey(redacted)");
/// assert!(ApiKey::new("a\r\nx-injected: 1").is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Box<str>);

impl ApiKey {
    /// Takes a key as the operator of the relay proxy wrote it.
    ///
    /// # Errors
    /// An empty key; a key that cannot travel in an HTTP header unchanged: control characters (line breaks
    /// would inject headers) or white space at either end (HTTP strips it).
    pub fn new(key: impl Into<String>) -> Result<Self, ApiKeyError> {
        let key = key.into();
        if key.is_empty() {
            return Err(ApiKeyError("is empty"));
        }
        if key.chars().any(char::is_control) {
            return Err(ApiKeyError("holds a control character"));
        }
        if key.trim() != key {
            return Err(ApiKeyError("begins or ends with white space"));
        }
        Ok(Self(key.into()))
    }

    /// The key itself, for the one place that puts it on the wire.
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

/// Why a text cannot be an API key. It never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyError(&'static str);

impl fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ApiKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_reason_and_never_the_key() {
        for (key, reason) in [
            ("", "is empty"),
            ("secret\r\nx: y", "holds a control character"),
            ("secret\n", "holds a control character"),
            ("secret\0", "holds a control character"),
            (" secret", "begins or ends with white space"),
            ("secret ", "begins or ends with white space"),
        ] {
            let error = ApiKey::new(key).unwrap_err();
            assert_eq!(error.to_string(), reason);
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn key_is_kept_as_written() {
        for key in ["a+b&c d#e=%", "ключ", "x"] {
            assert_eq!(ApiKey::new(key).unwrap().expose(), key);
        }
    }
}
