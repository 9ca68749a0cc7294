//! Who may ask, and for which flags.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::answer::Answer;

/// The keys that the relay proxy accepts (section 3 of the protocol).
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Evaluation keys, those of flag sets included.
    pub(super) evaluation: Vec<String>,
    /// Accepted wherever an evaluation key is.
    pub(super) admin: Vec<String>,
}

impl Keys {
    /// Admin keys alone do not switch authentication on.
    fn are_asked_for(&self) -> bool {
        !self.evaluation.is_empty()
    }

    fn hold(&self, key: &str) -> bool {
        self.evaluation
            .iter()
            .chain(&self.admin)
            .any(|known| known == key)
    }

    /// Refuses a request for evaluation, configuration or collection without a good key.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), Answer> {
        if self.are_asked_for() {
            check(headers, |key| self.hold(key))
        } else {
            Ok(())
        }
    }

    /// Refuses a request for administration without an admin key.
    pub(super) fn check_admin(&self, headers: &HeaderMap) -> Result<(), Answer> {
        check(headers, |key| self.admin.iter().any(|known| known == key))
    }

    /// Refuses a stream without a good key in its query.
    pub(super) fn check_query(&self, query: &str) -> Result<(), Answer> {
        let key = query_value(query, "apiKey").unwrap_or_default();
        if self.are_asked_for() && !self.hold(&key) {
            return Err(Answer::failure(401, "Unauthorized"));
        }
        Ok(())
    }
}

fn check(headers: &HeaderMap, is_good: impl Fn(&str) -> bool) -> Result<(), Answer> {
    if let Some(key) = x_api_key(headers) {
        return if is_good(key) {
            Ok(())
        } else {
            Err(refused("code=401, message=Unauthorized"))
        };
    }
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(refused("missing key in request header"));
    };
    match value.to_str().ok().and_then(bearer) {
        None | Some("") => Err(refused("invalid key in the request header")),
        Some(key) if is_good(key) => Ok(()),
        Some(_) => Err(refused("invalid key")),
    }
}

fn refused(message: &str) -> Answer {
    Answer::failure(401, message)
}

/// The key that selects the flag set; empty without one.
pub(super) fn selecting_key(headers: &HeaderMap) -> &str {
    if let Some(key) = x_api_key(headers) {
        return key;
    }
    let value = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    bearer(value).map_or(value, str::trim)
}

fn x_api_key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("x-api-key")?.to_str().ok()?;
    (!value.is_empty()).then_some(value)
}

/// What follows the scheme, which may be in any letter case.
fn bearer(value: &str) -> Option<&str> {
    const SCHEME: &str = "Bearer ";
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(key)
}

/// The first value of that name in a query, decoded.
fn query_value(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key).as_deref() == Some(name)).then(|| decoded(value))?
    })
}

/// A part of a query: `+` is a space, `%XX` a byte. None if it is malformed.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_key_in_a_query_is_decoded() {
        let query = "a=b&apiKey=a%2Bb%26c+d%23e/=%252F?~";
        assert_eq!(query_value(query, "apiKey").unwrap(), "a+b&c d#e/=%2F?~");
        assert_eq!(query_value("apikey=x", "apiKey"), None);
        assert_eq!(query_value("apiKey=%4", "apiKey"), None);
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case_and_one_space() {
        let key = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            check(&headers, |key| key == "k").is_ok()
        };
        for (value, is_good) in [
            ("Bearer k", true),
            ("bEARER k", true),
            ("Bearer  k", false),
            ("k", false),
            ("Basic k", false),
            ("Bearer", false),
        ] {
            assert_eq!(key(value), is_good, "{value}");
        }
    }
}
