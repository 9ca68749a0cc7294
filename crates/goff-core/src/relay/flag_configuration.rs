//! The relay proxy's flag configuration for in-process evaluation.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Map, Value};

/// The answer to `POST /v1/flag/configuration` (GOFF-IP-001, GOFF-IP-004).
///
/// Flags, enrichment and ETag belong together and are stored together.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct FlagConfiguration {
    /// The JSON object of flags by key, verbatim (GOFF-IP-016, GOFF-IP-017). `None` if it is absent
    /// or null in the answer: the relay proxy leaves out an empty map, so the configuration is
    /// either empty or missing (GOFF-IP-009).
    pub flags: Option<Arc<str>>,
    /// Attributes that are merged into every evaluation context and replace those of the same name
    /// (GOFF-CTX-005).
    pub enrichment: Map<String, Value>,
    /// Identifies this configuration in the next request.
    pub etag: Option<Etag>,
}

impl FlagConfiguration {
    /// Creates a configuration of flags, a JSON object by key, without enrichment and ETag.
    pub fn new(flags: impl Into<Arc<str>>) -> Self {
        Self {
            flags: Some(flags.into()),
            ..Self::default()
        }
    }

    /// Sets the flags.
    #[must_use]
    pub fn with_flags(mut self, flags: impl Into<Arc<str>>) -> Self {
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

/// The answer to a request for the configuration. "Not modified" comes without one (GOFF-IP-007).
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigurationUpdate {
    /// The configuration that the request identified is still current.
    NotModified,
    /// The current configuration.
    Loaded(FlagConfiguration),
}

/// An entity tag, verbatim with quotes and weakness marks (GOFF-IP-005), compared byte by byte.
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
