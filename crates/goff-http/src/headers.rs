//! The headers of a request, checked and built.

use goff_core::ApiKey;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::error::OptionError;
use crate::secrets::Secrets;

/// The headers of every request: content type, product, custom headers, and the API key
/// (GOFF-AUTH-001, GOFF-AUTH-003, GOFF-AUTH-004). Notes the secrets among them.
///
/// The key is the bearer token, unless a custom header holds a gateway's credentials in
/// `Authorization`: then it goes as `X-API-Key`, which the relay proxy prefers
/// (docs/relay-protocol.md 3).
///
/// # Errors
/// A header that cannot be sent or is reserved. The error names the header, never its value.
pub(crate) fn request_headers(
    custom: &[(String, String)],
    api_key: Option<&ApiKey>,
    secrets: &mut Secrets,
) -> Result<HeaderMap, OptionError> {
    let mut headers = HeaderMap::new();
    for (name, value) in custom {
        let (name, header) = custom_header(name, value)?;
        headers.append(name, header);
        secrets.add(value);
        // In `Bearer token` the token alone is a secret, too.
        if let Some((_, credential)) = value.split_once(' ') {
            secrets.add(credential);
        }
    }
    headers.insert(header::CONTENT_TYPE, JSON);
    #[cfg(feature = "gzip")]
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    // Some gateways refuse requests without a product name.
    headers.entry(header::USER_AGENT).or_insert(PRODUCT);
    if let Some(key) = api_key {
        secrets.add(key.expose());
        let (name, value) = if headers.contains_key(header::AUTHORIZATION) {
            (X_API_KEY, key.expose().to_owned())
        } else {
            // Another key there would win over the bearer token.
            headers.remove(X_API_KEY);
            (header::AUTHORIZATION, format!("Bearer {}", key.expose()))
        };
        let reason = "contains characters that an HTTP header cannot hold";
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| OptionError::new("api_key", reason))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn custom_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), OptionError> {
    let refused = |shown: &str, reason: &str| {
        OptionError::new("custom_header", format!("header `{shown}` {reason}"))
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        // A whole header line in place of the name contains the value.
        let end = name.find(|c: char| !c.is_ascii_graphic() || c == ':');
        let shown = end.map_or(name, |end| name.get(..end).unwrap_or_default());
        refused(shown, "does not have a valid HTTP header name")
    })?;
    if let Some((_, why)) = RESERVED_HEADERS.iter().find(|(name, _)| *name == parsed) {
        return Err(refused(parsed.as_str(), why));
    }
    let reason = "has a value that contains a line break or another control character";
    let mut value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused(parsed.as_str(), reason))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const PRODUCT: HeaderValue =
    HeaderValue::from_static(concat!("goff-rs/", env!("CARGO_PKG_VERSION")));

/// Headers that would contradict the message or its connection, with the reason.
const RESERVED_HEADERS: [(HeaderName, &str); 12] = [
    (header::ACCEPT_ENCODING, "follows from the feature `gzip`"),
    (header::CONNECTION, "belongs to the connection"),
    (header::CONTENT_ENCODING, "does not match the body"),
    (header::CONTENT_LENGTH, "follows from the body"),
    (header::CONTENT_TYPE, "is always `application/json`"),
    (header::EXPECT, "belongs to the connection"),
    (header::HOST, "follows from the option `endpoint`"),
    (header::IF_NONE_MATCH, "belongs to one request"),
    (header::TE, "belongs to the connection"),
    (header::TRAILER, "belongs to the connection"),
    (header::TRANSFER_ENCODING, "belongs to the connection"),
    (header::UPGRADE, "belongs to the connection"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(custom: &[(&str, &str)], key: Option<&str>) -> Result<HeaderMap, OptionError> {
        let owned = |(name, value): &(&str, &str)| (str::to_owned(name), str::to_owned(value));
        let custom: Vec<_> = custom.iter().map(owned).collect();
        let key = key.and_then(|key| ApiKey::new(key).ok());
        request_headers(&custom, key.as_ref(), &mut Secrets::default())
    }

    /// GOFF-AUTH-001, GOFF-AUTH-003.
    #[test]
    fn api_key_is_sent_as_bearer_token_and_omitted_without_a_key() {
        let with = headers(&[], Some("ключ+&=")).unwrap();
        let value = with.get("authorization").unwrap();
        assert_eq!(value.as_bytes(), "Bearer ключ+&=".as_bytes());
        assert!(value.is_sensitive());
        assert_eq!(with.get("content-type").unwrap(), "application/json");
        let without = headers(&[], None).unwrap();
        assert!(!without.contains_key("authorization"));
    }

    /// GOFF-AUTH-004: the relay proxy gets the key, whatever the custom headers, and a gateway its
    /// credentials.
    #[test]
    fn api_key_stands_beside_the_credentials_of_a_gateway() {
        let basic = ("Authorization", "Basic eHk6eg==");
        let (bearer, other) = (("authorization", "Bearer jwt"), ("X-API-Key", "other"));
        for (custom, authorization, x_api_key) in [
            (&[][..], "Bearer key", None),
            (&[other], "Bearer key", None),
            (&[basic], basic.1, Some("key")),
            (&[bearer], bearer.1, Some("key")),
            (&[basic, other], basic.1, Some("key")),
            (&[other, basic], basic.1, Some("key")),
        ] {
            let headers = headers(custom, Some("key")).unwrap();
            let only = |name: &str| {
                let values: Vec<_> = headers.get_all(name).iter().collect();
                assert!(values.len() < 2, "{custom:?}");
                assert!(
                    values.iter().all(|value| value.is_sensitive()),
                    "{custom:?}"
                );
                values.first().map(|value| value.to_str().unwrap())
            };
            assert_eq!(only("authorization"), Some(authorization), "{custom:?}");
            assert_eq!(only("x-api-key"), x_api_key, "{custom:?}");
        }
        let without = headers(&[basic, other], None).unwrap();
        assert_eq!(without.get("authorization").unwrap(), basic.1);
        assert_eq!(without.get("x-api-key").unwrap(), other.1);
    }

    #[test]
    fn custom_headers_are_kept_and_treated_as_secrets() {
        let built = headers(&[("x-a", "1"), ("X-A", "2"), ("user-agent", "mine")], None).unwrap();
        assert_eq!(built.get_all("x-a").iter().count(), 2);
        assert_eq!(built.get("user-agent").unwrap(), "mine");
        assert_eq!(format!("{:?}", built.get("x-a").unwrap()), "Sensitive");
        let default = headers(&[], None).unwrap();
        let agent = default.get("user-agent").unwrap().as_bytes();
        assert!(agent.starts_with(b"goff-rs/"));
    }

    #[test]
    fn unsendable_headers_are_refused_by_name() {
        let invalid = "valid HTTP header name";
        let line = "Authorization: Bearer secret";
        let (json, encoding) = ("application/json", "transfer-encoding");
        let body = "follows from the body";
        for (name, value, shown, part) in [
            ("x-a", "secret\r\nx-injected: 1", "x-a", "line break"),
            ("x-a", "secret\0", "x-a", "control character"),
            ("", "secret", "", invalid),
            ("x a", "secret", "x", invalid),
            (line, "", "Authorization", invalid),
            ("x\r\nb: secret", "1", "x", invalid),
            ("é", "secret", "", invalid),
            ("Host", "secret", "host", "`endpoint`"),
            ("Content-Length", "7", "content-length", body),
            ("content-type", "text/plain", "content-type", json),
            ("Transfer-Encoding", "chunked", encoding, "connection"),
            ("Connection", "close", "connection", "connection"),
            ("Accept-Encoding", "gzip", "accept-encoding", "`gzip`"),
        ] {
            let error = headers(&[(name, value)], None).unwrap_err();
            assert_eq!(error.option(), "custom_header");
            let message = error.to_string();
            assert!(message.contains(&format!("`{shown}`")), "{message}");
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
