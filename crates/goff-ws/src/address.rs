//! The two addresses of the stream. With an API key in it, the URL is a secret.

use std::fmt;

use goff_core::{ApiKey, Endpoint};
use http::Uri;
use http::uri::{Authority, InvalidUri, PathAndQuery};

/// One of the stream's addresses. Both are served by the same handler (relay-protocol 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// Relay proxies from 1.53.0 on.
    Current,
    /// Every relay proxy so far; deprecated.
    Legacy,
}

impl Address {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Current => "/stream/v1/ws/flag/change",
            Self::Legacy => "/ws/v1/flag/change",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Current => Self::Legacy,
            Self::Legacy => Self::Current,
        }
    }
}

/// Where the stream is: what goes into the request line, and the host.
#[derive(Clone)]
pub(crate) struct StreamTarget {
    authority: Authority,
    current: PathAndQuery,
    legacy: PathAndQuery,
}

impl StreamTarget {
    /// Joins the addresses to `endpoint`, keeping its prefix. The key is the query's only
    /// parameter, since streams do not read headers (relay-protocol 3).
    ///
    /// # Errors
    /// Only when the result is longer than a URL can be.
    pub(crate) fn new(endpoint: &Endpoint, api_key: Option<&ApiKey>) -> Result<Self, InvalidUri> {
        let query = api_key.map(|key| format!("?apiKey={}", escape(key.expose())));
        let query = query.as_deref().unwrap_or_default();
        let target = |address: Address| -> Result<(Authority, PathAndQuery), InvalidUri> {
            let url: Uri = format!("{}{query}", endpoint.join(address.path())).parse()?;
            let parts = url.into_parts();
            let authority = parts.authority.map_or_else(|| "localhost".parse(), Ok)?;
            let path = parts.path_and_query.map_or_else(|| "/".parse(), Ok)?;
            Ok((authority, path))
        };
        let (authority, current) = target(Address::Current)?;
        let (_, legacy) = target(Address::Legacy)?;
        Ok(Self {
            authority,
            current,
            legacy,
        })
    }

    /// The value of the header `Host`.
    pub(crate) fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// The request's target, with the key in it.
    pub(crate) fn expose(&self, address: Address) -> Uri {
        match address {
            Address::Current => self.current.clone().into(),
            Address::Legacy => self.legacy.clone().into(),
        }
    }
}

impl fmt::Debug for StreamTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamTarget(redacted)")
    }
}

/// Percent-encodes a query value: every byte but the unreserved ones (RFC 3986). A literal `+`
/// would arrive as a space, and `&` or `#` would cut the key (Python part C, C14).
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 0xf] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                escaped.push(digit.to_ascii_uppercase());
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(endpoint: &str, key: &str) -> StreamTarget {
        let key = ApiKey::new(key).ok();
        StreamTarget::new(&endpoint.parse().unwrap(), key.as_ref()).unwrap()
    }

    /// Python A45 and part C, C8 and C14.
    #[test]
    fn addresses_keep_the_prefix_and_escape_the_key() {
        for (endpoint, key, host, current) in [
            (
                "http://my-http-proxy:1031",
                "",
                "my-http-proxy:1031",
                "/stream/v1/ws/flag/change",
            ),
            (
                "https://h/https/x/",
                "",
                "h",
                "/https/x/stream/v1/ws/flag/change",
            ),
            (
                "http://h",
                "http+& #é=%~",
                "h",
                "/stream/v1/ws/flag/change?apiKey=http%2B%26%20%23%C3%A9%3D%25~",
            ),
            (
                "http://[::1]:8080/ff",
                "k",
                "[::1]:8080",
                "/ff/stream/v1/ws/flag/change?apiKey=k",
            ),
            (
                "unix:///run/relay.sock",
                "k",
                "localhost",
                "/stream/v1/ws/flag/change?apiKey=k",
            ),
        ] {
            let target = target(endpoint, key);
            assert_eq!(target.host(), host);
            assert_eq!(target.expose(Address::Current), current);
            let legacy = current.replace("/stream/v1/ws/", "/ws/v1/");
            assert_eq!(target.expose(Address::Legacy), *legacy);
        }
    }

    #[test]
    fn debug_text_is_redacted() {
        assert!(!format!("{:?}", target("http://h", "secret")).contains("secret"));
    }

    #[test]
    fn key_longer_than_a_url_is_refused() {
        let key = ApiKey::new("k".repeat(70_000)).unwrap();
        assert!(StreamTarget::new(&"http://h".parse().unwrap(), Some(&key)).is_err());
    }

    proptest! {
        #[test]
        fn escaping_can_be_undone(value in ".{0,40}") {
            let mut bytes = Vec::new();
            let escaped = escape(&value);
            let mut rest = escaped.as_bytes();
            while let [first, tail @ ..] = rest {
                if *first == b'%' {
                    let digits = std::str::from_utf8(&tail[..2]).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = &tail[2..];
                } else {
                    prop_assert!(first.is_ascii_alphanumeric() || b"-._~".contains(first));
                    bytes.push(*first);
                    rest = tail;
                }
            }
            prop_assert_eq!(bytes, value.as_bytes());
        }
    }
}
