//! The answer to a request for the flag configuration (relay-protocol 12).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use goff_core::{BodyProblem, ConfigurationUpdate, Etag, FlagConfiguration, RelayError};
use http::StatusCode;
use http::header::ETAG;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{read_refusal, read_success};
use crate::secrets::Secrets;
use crate::transport::HttpResponse;

/// Reads a configuration. A 304 is one only for a request that named what is held; whatever
/// headers it has are not looked at (GOFF-IP-007, GOFF-IP-015).
pub(crate) fn read_configuration(
    response: &HttpResponse,
    path: &str,
    secrets: &Secrets,
    is_conditional: bool,
) -> Result<ConfigurationUpdate, RelayError> {
    if response.status == StatusCode::NOT_MODIFIED && is_conditional {
        return Ok(ConfigurationUpdate::NotModified);
    }
    if response.status.is_success() && response.status != StatusCode::OK {
        // "No content", or the answer of somebody else.
        return Err(read_refusal(response, path, secrets));
    }
    let body: Body<'_> = read_success(response, path, secrets)?;
    let flags = match body.flags.map(RawValue::get) {
        Some(text) if !text.starts_with('{') => {
            return Err(RelayError::Body {
                problem: BodyProblem::Unreadable {
                    message: "member `flags` is not an object".to_owned(),
                },
                status: response.status.as_u16(),
            });
        }
        flags => flags.map(Arc::from),
    };
    Ok(ConfigurationUpdate::Loaded(FlagConfiguration {
        flags,
        enrichment: body.enrichment.unwrap_or_default(),
        etag: response.headers.get(ETAG).cloned().map(Etag::from),
    }))
}

/// `{"flags":{…},"evaluationContextEnrichment":{…}}`; whatever else is in it is not looked at
/// (GOFF-IP-017).
#[derive(Default)]
struct Body<'a> {
    flags: Option<&'a RawValue>,
    enrichment: Option<Map<String, Value>>,
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;

        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flag configuration")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
                let mut body = Body::default();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "flags" => body.flags = map.next_value()?,
                        "evaluationContextEnrichment" => body.enrichment = map.next_value()?,
                        "errorCode" => {
                            let code: Option<String> = map.next_value()?;
                            if code.is_some_and(|code| !code.is_empty()) {
                                return Err(A::Error::custom("an error code"));
                            }
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(body)
            }
        }

        deserializer.deserialize_map(BodyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use goff_core::ErrorCode;
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;

    use super::*;

    const PATH: &str = "/v1/flag/configuration";

    fn answer(status: u16, etag: Option<&'static str>, body: &str) -> HttpResponse {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            headers.insert(ETAG, HeaderValue::from_static(etag));
        }
        HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn read(response: &HttpResponse) -> Result<ConfigurationUpdate, RelayError> {
        read_configuration(response, PATH, &Secrets::default(), true)
    }

    fn loaded(response: &HttpResponse) -> FlagConfiguration {
        match read(response).unwrap() {
            ConfigurationUpdate::Loaded(configuration) => configuration,
            ConfigurationUpdate::NotModified => panic!("not modified"),
        }
    }

    /// GOFF-IP-004, GOFF-IP-005, GOFF-IP-016, GOFF-IP-017: flags keep every byte, unknown members
    /// included.
    #[test]
    fn configuration_is_kept_as_it_was_received() {
        let flags = r#"{ "ä": {"defaultRule": {"variation":"A"}, "later": 1.0e2}, "b":{} }"#;
        let body =
            format!(r#"{{"new":[1],"flags":{flags},"evaluationContextEnrichment":{{"env":"é"}}}}"#);
        let configuration = loaded(&answer(200, Some("W/\"667-x\""), &body));
        assert_eq!(configuration.flags.as_deref(), Some(flags));
        assert_eq!(Value::Object(configuration.enrichment), json!({"env": "é"}));
        assert_eq!(configuration.etag.unwrap().as_bytes(), b"W/\"667-x\"");
    }

    /// GOFF-IP-009: whether that is an empty configuration is the poller's decision.
    #[test]
    fn absent_and_null_flags_are_told_from_empty_ones() {
        for (body, expected) in [
            ("{}", None),
            (r#"{"flags":null}"#, None),
            (r#"{"evaluationContextEnrichment":null}"#, None),
            (r#"{"flags":{}}"#, Some("{}")),
        ] {
            let configuration = loaded(&answer(200, None, body));
            assert_eq!(configuration.flags.as_deref(), expected, "{body}");
            assert_eq!(configuration.etag, None);
        }
    }

    /// GOFF-IP-007, GOFF-IP-015: whatever a 304 carries.
    #[test]
    fn not_modified_carries_nothing_and_needs_a_question() {
        let response = answer(304, Some("\"other\""), r#"{"flags":{}}"#);
        assert_eq!(read(&response).unwrap(), ConfigurationUpdate::NotModified);
        let error = read_configuration(&response, PATH, &Secrets::default(), false).unwrap_err();
        assert_eq!(error.status(), Some(304));
    }

    /// GOFF-IP-008, GOFF-ERR-004.
    #[test]
    fn whatever_is_no_configuration_is_an_error() {
        for (status, body, code) in [
            (200, "", ErrorCode::ParseError),
            (200, r#"{"flags":{"a":{"#, ErrorCode::ParseError),
            (200, "<html>", ErrorCode::ParseError),
            (200, "[]", ErrorCode::ParseError),
            (200, "[null,null]", ErrorCode::ParseError),
            (200, r#"{"flags":[]}"#, ErrorCode::ParseError),
            (200, r#"{"flags":"x"}"#, ErrorCode::ParseError),
            (
                200,
                r#"{"flags":{},"evaluationContextEnrichment":[]}"#,
                ErrorCode::ParseError,
            ),
            (
                200,
                r#"{"errorCode":"FLAG_CONFIG"}"#,
                ErrorCode::Other("FLAG_CONFIG".into()),
            ),
            (204, "", ErrorCode::General),
            (401, r#"{"message":"Unauthorized"}"#, ErrorCode::General),
            (404, r#"{"message":"Not Found"}"#, ErrorCode::General),
            (
                500,
                r#"{"errorCode":"RETRIEVING_FLAGS_ERROR","errorDetails":"x"}"#,
                ErrorCode::Other("RETRIEVING_FLAGS_ERROR".into()),
            ),
        ] {
            let error = read(&answer(status, Some("\"e\""), body)).unwrap_err();
            assert_eq!(error.code(), code, "{status} {body}");
        }
    }
}
