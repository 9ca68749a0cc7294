//! The fixtures of the Python provider's tests, and a transport that answers with them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use goff_http::{HttpRequest, HttpResponse, HttpTransport, TransportError};
use serde_json::Value;

/// Answers every request alike, and remembers the last one. Clones share it.
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

    /// Answers differently from now on.
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

/// A response body by the name it has in the Python tests.
pub(crate) fn fixture(name: &str) -> String {
    let metadata = r#","metadata":{"test":"test1","test2":false,"test3":123.3}"#;
    let (variant, failed, reason, error_code, value, cacheable, metadata) = match name {
        "bool_targeting_match" => ("True", false, "TARGETING_MATCH", "", "true", true, metadata),
        "bool_targeting_match_no_error_field" => {
            return format!(
                r#"{{"trackEvents":true,"variationType":"True","failed":false,"version":"1.0.0",
                   "reason":"TARGETING_MATCH","value":true,"cacheable":true{metadata}}}"#
            );
        }
        "unknown_reason" => ("True", false, "CUSTOM_REASON", "", "true", true, ""),
        "string_key" => (
            "True",
            false,
            "TARGETING_MATCH",
            "",
            r#""CC0000""#,
            true,
            "",
        ),
        "integer_key" => ("True", false, "TARGETING_MATCH", "", "100", true, ""),
        "double_key" => ("True", false, "TARGETING_MATCH", "", "100.25", true, ""),
        "object_key" => (
            "True",
            false,
            "TARGETING_MATCH",
            "",
            r#"{"test":"test1","test2":false,"test3":123.3,"test4":1,"test5":null}"#,
            true,
            "",
        ),
        "list_key" => (
            "True",
            false,
            "TARGETING_MATCH",
            "",
            r#"["test","test1","test2","false","test3"]"#,
            true,
            "",
        ),
        "flag_not_found" => (
            "SdkDefault",
            true,
            "ERROR",
            "FLAG_NOT_FOUND",
            "true",
            false,
            metadata,
        ),
        "disabled_bool" => ("defaultSdk", false, "DISABLED", "", "false", false, ""),
        "disabled_string" => (
            "defaultSdk",
            false,
            "DISABLED",
            "",
            r#""default""#,
            false,
            "",
        ),
        "disabled_int" => ("defaultSdk", false, "DISABLED", "", "123", false, ""),
        "disabled_float" => ("defaultSdk", false, "DISABLED", "", "123.45", false, ""),
        "disabled_object" => ("defaultSdk", false, "DISABLED", "", "{}", false, ""),
        other => panic!("no fixture `{other}`"),
    };
    format!(
        r#"{{"trackEvents":true,"variationType":"{variant}","failed":{failed},"version":"1.0.0",
           "reason":"{reason}","errorCode":"{error_code}","value":{value},
           "cacheable":{cacheable}{metadata}}}"#
    )
}
