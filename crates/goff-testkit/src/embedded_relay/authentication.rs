//! API keys: which requests are refused, and which flag set a key selects.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;

use super::answer::Answer;

/// The keys that the relay proxy accepts (docs/relay-protocol.md 3).
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Evaluation keys, including those of the flag sets.
    pub(super) evaluation: Vec<String>,
    /// Admin keys, which are evaluation keys too.
    pub(super) admin: Vec<String>,
    /// Whether evaluation needs a key. It stays so when keys are removed.
    are_required: bool,
}

impl Keys {
    /// The keys are complete. Admin keys alone do not require a key for evaluation.
    pub(super) fn enforced(mut self) -> Self {
        self.are_required = !self.evaluation.is_empty();
        self
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.evaluation.retain(|known| known != key);
        self.admin.retain(|known| known != key);
    }

    fn contain(&self, key: &str) -> bool {
        self.evaluation
            .iter()
            .chain(&self.admin)
            .any(|known| known == key)
    }

    /// Refuses a request for evaluation, configuration or collection without a valid key.
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), Answer> {
        if self.are_required {
            check(headers, |key| self.contain(key))
        } else {
            Ok(())
        }
    }

    /// Refuses a request for administration without an admin key.
    pub(super) fn check_admin(&self, headers: &HeaderMap) -> Result<(), Answer> {
        check(headers, |key| self.admin.iter().any(|known| known == key))
    }

    /// Refuses a stream without a valid key in its query.
    pub(super) fn check_query(&self, query: &str) -> Result<(), Answer> {
        let key = query_value(query, "apiKey").unwrap_or_default();
        if self.are_required && !self.contain(&key) {
            return Err(Answer::failure(401, "Unauthorized"));
        }
        Ok(())
    }
}

fn check(headers: &HeaderMap, is_valid: impl Fn(&str) -> bool) -> Result<(), Answer> {
    if let Some(key) = x_api_key(headers) {
        return if is_valid(key) {
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
        Some(key) if is_valid(key) => Ok(()),
        Some(_) => Err(refused("invalid key")),
    }
}

fn refused(message: &str) -> Answer {
    Answer::failure(401, message)
}

/// The key that selects the flag set; empty if there is none.
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

/// What follows the scheme, which matches in any letter case.
fn bearer(value: &str) -> Option<&str> {
    const SCHEME: &str = "Bearer ";
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(key)
}

/// The first value of that name in a query, decoded.
fn query_value(query: &str, name: &str) -> Option<String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
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
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case_and_one_space() {
        let key = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            check(&headers, |key| key == "k").is_ok()
        };
        for (value, is_valid) in [
            ("Bearer k", true),
            ("bEARER k", true),
            ("Bearer  k", false),
            ("k", false),
            ("Basic k", false),
            ("Bearer", false),
        ] {
            assert_eq!(key(value), is_valid, "{value}");
        }
    }
}
