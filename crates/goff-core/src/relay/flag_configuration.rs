//! The relay proxy's flag configuration for in-process evaluation.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Map, Value};

/// The answer to `POST /v1/flag/configuration`.
///
/// Flags, enrichment and ETag belong together and are stored together.
///
/// *Specification*: GOFF-IP-001, GOFF-IP-004, GOFF-IP-016, GOFF-IP-017, GOFF-IP-009, GOFF-CTX-005.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct FlagConfiguration {
    /// The JSON object of flags by key, verbatim. `None` if it is absent or null in the answer: the
    /// relay proxy leaves out an empty map, so the configuration is either empty or missing.
    pub flags: Option<FlagsJson>,
    /// Attributes that are merged into every evaluation context and replace those of the same name.
    pub enrichment: Map<String, Value>,
    /// Identifies this configuration in the next request.
    pub etag: Option<Etag>,
}

impl FlagConfiguration {
    /// Creates a configuration of flags, a JSON object by key, without enrichment and ETag.
    pub fn new(flags: impl Into<FlagsJson>) -> Self {
        Self {
            flags: Some(flags.into()),
            ..Self::default()
        }
    }

    /// Sets the flags.
    #[must_use]
    pub fn with_flags(mut self, flags: impl Into<FlagsJson>) -> Self {
        self.flags = Some(flags.into());
        self
    }

    /// Sets the enrichment.
    #[must_use]
    pub fn with_enrichment(mut self, enrichment: Map<String, Value>) -> Self {
        self.enrichment = enrichment;
        self
    }

    /// Sets the ETag.
    #[must_use]
    pub fn with_etag(mut self, etag: impl Into<Option<Etag>>) -> Self {
        self.etag = etag.into();
        self
    }
}

/// The flags of a configuration as they were received: a part of a shared text, so that they are
/// in memory once. Clones share the text, and the part is a `str`.
#[derive(Clone)]
pub struct FlagsJson {
    text: Arc<String>,
    part: Range<usize>,
}

impl FlagsJson {
    /// The part of a text that lies between two byte offsets; `None` if there is none.
    #[must_use]
    pub fn part_of(text: Arc<String>, part: Range<usize>) -> Option<Self> {
        text.get(part.clone())?;
        Some(Self { text, part })
    }

    /// The text, and which part of it this is.
    #[must_use]
    pub fn into_parts(self) -> (Arc<String>, Range<usize>) {
        (self.text, self.part)
    }
}

impl Deref for FlagsJson {
    type Target = str;

    fn deref(&self) -> &str {
        self.text.get(self.part.clone()).unwrap_or_default()
    }
}

impl<T: Into<String>> From<T> for FlagsJson {
    fn from(text: T) -> Self {
        let text = text.into();
        Self {
            part: 0..text.len(),
            text: Arc::new(text),
        }
    }
}

impl PartialEq for FlagsJson {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for FlagsJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The answer to a request for the configuration. "Not modified" comes without one.
///
/// *Specification*: GOFF-IP-007.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigurationUpdate {
    /// The configuration that the request identified is still current.
    NotModified,
    /// The current configuration.
    Loaded(FlagConfiguration),
}

/// An entity tag, verbatim with quotes and weakness marks, compared byte by byte.
///
/// *Specification*: GOFF-IP-005.
#[derive(Clone, PartialEq, Eq)]
pub struct Etag(HeaderValue);

impl Etag {
    /// Creates a tag from the received bytes; `None` if they are not a valid header value.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        HeaderValue::from_bytes(bytes).ok().map(Self)
    }

    /// The bytes of the tag.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<HeaderValue> for Etag {
    fn from(value: HeaderValue) -> Self {
        Self(value)
    }
}

impl From<Etag> for HeaderValue {
    fn from(etag: Etag) -> Self {
        etag.0
    }
}

impl fmt::Debug for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are the server's, and of any length.
        write!(f, "Etag({} bytes)", self.as_bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_a_part_of_a_text() {
        let text = Arc::new("é{}".to_owned());
        let flags = FlagsJson::part_of(Arc::clone(&text), 2..4).unwrap();
        assert_eq!(&*flags, "{}");
        assert_eq!(flags, FlagsJson::from("{}"));
        assert!(Arc::ptr_eq(&flags.into_parts().0, &text));
        for part in [1..4, 2..5] {
            assert_eq!(FlagsJson::part_of(Arc::clone(&text), part), None);
        }
    }

    /// GOFF-IP-005.
    #[test]
    fn tag_keeps_its_bytes() {
        let quoted: &[u8] = b"\"667-abc\"";
        for bytes in [quoted, b"W/\"1\"", b"", b"no quotes", b"\xe9\""] {
            assert_eq!(Etag::from_bytes(bytes).unwrap().as_bytes(), bytes);
        }
        assert_eq!(Etag::from_bytes(b"a\r\nX-Injected: 1"), None);
    }
}
