//! The fixtures of the Python provider's tests, and a transport that serves them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use goff_http::{HttpRequest, HttpResponse, HttpTransport, TransportError};
use serde_json::Value;

/// Gives every request one answer and keeps the last request. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct CannedTransport(Arc<Mutex<Canned>>);

#[derive(Debug)]
struct Canned {
    status: u16,
    body: String,
    last: Option<HttpRequest>,
}

impl CannedTransport {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(Canned {
            status,
            body: body.into(),
            last: None,
        })))
    }

    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::new(200, body)
    }

    /// Changes the answer.
    pub(crate) fn answer(&self, status: u16, body: &str) {
        let mut canned = self.0.lock().unwrap();
        canned.status = status;
        canned.body = body.to_owned();
    }

    pub(crate) fn last_url(&self) -> String {
        self.last().uri.to_string()
    }

    pub(crate) fn last_body(&self) -> Value {
        serde_json::from_slice(&self.last().body).unwrap()
    }

    pub(crate) fn last(&self) -> HttpRequest {
        self.0.lock().unwrap().last.clone().unwrap()
    }
}

#[async_trait]
impl HttpTransport for CannedTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let mut canned = self.0.lock().unwrap();
        canned.last = Some(request);
        let status = canned.status.try_into().unwrap();
        Ok(HttpResponse::new(status, canned.body.clone()))
    }
}

/// A response body, by its name in the Python provider's tests.
pub(crate) fn fixture(name: &str) -> String {
    const METADATA: &str = r#","metadata":{"test":"test1","test2":false,"test3":123.3}"#;
    let matched = |value| ("True", "TARGETING_MATCH", Some(""), value, "");
    let disabled = |value| ("defaultSdk", "DISABLED", Some(""), value, "");
    let (variant, reason, error_code, value, metadata) = match name {
        "bool_targeting_match" => ("True", "TARGETING_MATCH", Some(""), "true", METADATA),
        "bool_targeting_match_no_error_field" => {
            ("True", "TARGETING_MATCH", None, "true", METADATA)
        }
        "unknown_reason" => ("True", "CUSTOM_REASON", Some(""), "true", ""),
        "string_key" => matched(r#""CC0000""#),
        "integer_key" => matched("100"),
        "double_key" => matched("100.25"),
        "object_key" => {
            matched(r#"{"test":"test1","test2":false,"test3":123.3,"test4":1,"test5":null}"#)
        }
        "list_key" => matched(r#"["test","test1","test2","false","test3"]"#),
        "flag_not_found" => (
            "SdkDefault",
            "ERROR",
            Some("FLAG_NOT_FOUND"),
            "true",
            METADATA,
        ),
        "disabled_bool" => disabled("false"),
        "disabled_string" => disabled(r#""default""#),
        "disabled_int" => disabled("123"),
        "disabled_float" => disabled("123.45"),
        "disabled_object" => disabled("{}"),
        other => panic!("no fixture `{other}`"),
    };
    let error_code =
        error_code.map_or_else(String::new, |code| format!(r#""errorCode":"{code}","#));
    let (failed, cacheable) = (reason == "ERROR", variant == "True");
    format!(
        r#"{{"trackEvents":true,"variationType":"{variant}","failed":{failed},"version":"1.0.0",
           "reason":"{reason}",{error_code}"value":{value},"cacheable":{cacheable}{metadata}}}"#
    )
}
