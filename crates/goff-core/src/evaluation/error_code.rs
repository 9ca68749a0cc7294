//! [`ErrorCode`]: the OpenFeature code of an error.

use std::fmt;

/// An OpenFeature error code. An open set: a code that is not listed becomes [`ErrorCode::Other`];
/// in OpenFeature it is `GENERAL` with the raw code. A code consists of 1 to 64 characters out of
/// `A-Z`, `0-9` and `_`; any other text, which error messages and logs would show, becomes
/// [`ErrorCode::General`].
///
/// *Specification*: GOFF-ERR-001, GOFF-ERR-002.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The client is not initialized, or was shut down.
    ProviderNotReady,
    /// The flag does not exist.
    FlagNotFound,
    /// The answer could not be read.
    ParseError,
    /// The flag's value does not have the requested type.
    TypeMismatch,
    /// The flag requires a targeting key and the context has none.
    TargetingKeyMissing,
    /// The context cannot be used.
    InvalidContext,
    /// Any other failure.
    General,
    /// Any other code, verbatim, such as `FLAG_CONFIG`.
    Other(Box<str>),
}

impl ErrorCode {
    /// The code on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::ProviderNotReady => "PROVIDER_NOT_READY",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::ParseError => "PARSE_ERROR",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::General => "GENERAL",
            Self::Other(code) => code,
        }
    }
}

impl From<&str> for ErrorCode {
    fn from(code: &str) -> Self {
        match code {
            "PROVIDER_NOT_READY" => Self::ProviderNotReady,
            "FLAG_NOT_FOUND" => Self::FlagNotFound,
            "PARSE_ERROR" => Self::ParseError,
            "TYPE_MISMATCH" => Self::TypeMismatch,
            "TARGETING_KEY_MISSING" => Self::TargetingKeyMissing,
            "INVALID_CONTEXT" => Self::InvalidContext,
            "GENERAL" => Self::General,
            other if is_code(other) => Self::Other(other.into()),
            _ => Self::General,
        }
    }
}

fn is_code(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(is_allowed)
}

const LONGEST_CODE: usize = 64;

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GOFF-ERR-001, GOFF-ERR-002.
    #[test]
    fn known_codes_have_a_variant_and_others_pass_unchanged() {
        let known = "PROVIDER_NOT_READY FLAG_NOT_FOUND PARSE_ERROR TYPE_MISMATCH \
                     TARGETING_KEY_MISSING INVALID_CONTEXT GENERAL";
        for wire in known.split(' ') {
            assert_eq!(ErrorCode::from(wire).as_str(), wire);
            assert!(!matches!(ErrorCode::from(wire), ErrorCode::Other(_)));
        }
        let other = ErrorCode::from("FLAG_CONFIG");
        assert_eq!(other, ErrorCode::Other("FLAG_CONFIG".into()));
        assert_eq!(other.to_string(), "FLAG_CONFIG");
    }

    #[test]
    fn texts_that_are_no_code_are_general() {
        let longest = "X".repeat(LONGEST_CODE);
        assert_eq!(ErrorCode::from(&*longest).as_str(), longest);
        let too_long = format!("{longest}X");
        for text in [
            "",
            "flag_config",
            "FLAG CONFIG",
            "A\nB",
            "A\u{1b}[31m",
            "É",
            &too_long,
        ] {
            assert_eq!(ErrorCode::from(text), ErrorCode::General, "{text:?}");
        }
    }
}
