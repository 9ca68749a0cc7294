//! The two addresses of the stream. The URL contains the API key, so it is a secret.

use std::fmt;

use goff_core::{ApiKey, Endpoint};
use http::Uri;
use http::uri::{Authority, InvalidUri, PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// An address of the stream. Both have the same handler (docs/relay-protocol.md 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// Relay proxies since 1.53.0.
    Current,
    /// All relay proxies; deprecated.
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

/// The targets of the request line, and the host.
#[derive(Clone)]
pub(crate) struct StreamTarget {
    authority: Authority,
    current: PathAndQuery,
    legacy: PathAndQuery,
}

impl StreamTarget {
    /// Appends the addresses to `endpoint` and its prefix. The key is the only query parameter,
    /// because the relay proxy does not read headers here (docs/relay-protocol.md 3).
    ///
    /// # Errors
    /// The result is longer than a URL can be.
    pub(crate) fn new(endpoint: &Endpoint, api_key: Option<&ApiKey>) -> Result<Self, InvalidUri> {
        let query = api_key.map_or_else(String::new, |key| {
            format!("?apiKey={}", escaped(key.expose()))
        });
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

    /// The path of the target, without the key.
    pub(crate) fn path(&self, address: Address) -> String {
        self.expose(address).path().to_owned()
    }

    /// The target of the request, including the key.
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

fn escaped(value: &str) -> impl fmt::Display {
    utf8_percent_encode(value, QUERY_VALUE)
}

/// Every character but the unreserved ones of RFC 3986. An unescaped `+` would arrive as a space, and
/// `&` or `#` would cut the key (docs/python-parity.md C14).
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn target(endpoint: &str, key: &str) -> StreamTarget {
        let key = ApiKey::new(key).ok();
        StreamTarget::new(&endpoint.parse().unwrap(), key.as_ref()).unwrap()
    }

    /// docs/python-parity.md C8, C14; docs/python-parity.md A45.
    #[test]
    fn addresses_keep_the_prefix_and_escape_the_key() {
        let all = "?apiKey=http%2B%26%20%23%C3%A9%3D%25~";
        let one = "?apiKey=k";
        for (endpoint, key, host, prefix, query) in [
            (
                "http://my-http-proxy:1031",
                "",
                "my-http-proxy:1031",
                "",
                "",
            ),
            ("https://h/https/x/", "", "h", "/https/x", ""),
            ("http://h", "http+& #é=%~", "h", "", all),
            ("http://[::1]:8080/ff", "k", "[::1]:8080", "/ff", one),
            ("unix:///run/relay.sock", "k", "localhost", "", one),
        ] {
            let target = target(endpoint, key);
            assert_eq!(target.host(), host);
            let expected = |path: &str| format!("{prefix}{path}/flag/change{query}");
            let (current, legacy) = (expected("/stream/v1/ws"), expected("/ws/v1"));
            assert_eq!(target.expose(Address::Current), *current);
            assert_eq!(target.expose(Address::Legacy), *legacy);
        }
    }

    #[test]
    fn debug_text_does_not_contain_the_key() {
        assert!(!format!("{:?}", target("http://h", "secret")).contains("secret"));
    }

    #[test]
    fn key_longer_than_a_url_is_refused() {
        let key = ApiKey::new("k".repeat(70_000)).unwrap();
        assert!(StreamTarget::new(&"http://h".parse().unwrap(), Some(&key)).is_err());
    }

    proptest! {
        #[test]
        fn decoding_gives_the_value_back(value in ".{0,40}") {
            let escaped = escaped(&value).to_string();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
            prop_assert!(escaped.bytes().all(plain), "{}", escaped);
            prop_assert_eq!(percent_decode_str(&escaped).decode_utf8().unwrap(), value);
        }
    }
}
