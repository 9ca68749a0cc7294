//! What the relay proxy answers: JSON bodies in its two error shapes, and the headers on all of
//! them.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use super::request_json::BodyError;

/// An answer before it is written.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    content: Content,
    /// With a validator of its body, if it is a good answer.
    validated: bool,
    headers: Vec<(HeaderName, String)>,
}

#[derive(Debug)]
enum Content {
    Json(Value),
    /// What the framework answers when a handler fails, and its own words for that.
    Failure {
        message: String,
        error: String,
    },
    Text(&'static str),
    Nothing,
}

impl Answer {
    pub(super) fn json(status: u16, body: impl serde::Serialize) -> Self {
        // What is answered has text keys and finite numbers only.
        let body = serde_json::to_value(body).unwrap_or_default();
        Self::new(status, Content::Json(body))
    }

    /// The framework's error shape.
    pub(super) fn failure(status: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        let error = format!("code={status}, message={message}");
        Self::new(status, Content::Failure { message, error })
    }

    /// A body that could not be read, where the handler leaves it to the framework.
    pub(super) fn unreadable(error: &BodyError) -> Self {
        Self::new(
            error.status(),
            Content::Failure {
                message: error.message().to_owned(),
                error: error.to_string(),
            },
        )
    }

    /// A handler failed with an error that is none of the framework's.
    pub(super) fn internal(error: &str) -> Self {
        Self::new(
            500,
            Content::Failure {
                message: "Internal Server Error".to_owned(),
                error: error.to_owned(),
            },
        )
    }

    pub(super) fn not_found() -> Self {
        Self::failure(404, "Not Found")
    }

    pub(super) fn text(status: u16, text: &'static str) -> Self {
        Self::new(status, Content::Text(text))
    }

    pub(super) fn nothing(status: u16) -> Self {
        Self::new(status, Content::Nothing)
    }

    fn new(status: u16, content: Content) -> Self {
        Self {
            status,
            content,
            validated: false,
            headers: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends a validator with the body, and no body to whoever has it already (section 2.7 of
    /// the protocol).
    pub(super) fn validated(mut self) -> Self {
        self.validated = true;
        self
    }

    pub(super) fn into_response(
        self,
        request: &HeaderMap,
        is_indented: bool,
        is_debug: bool,
    ) -> Response<Full<Bytes>> {
        let (content_type, body) = match self.content {
            Content::Json(body) => ("application/json", written(&body, is_indented)),
            Content::Failure { message, error } => {
                let mut body = Map::new();
                if is_debug {
                    body.insert("error".to_owned(), error.into());
                }
                body.insert("message".to_owned(), message.into());
                (
                    "application/json",
                    written(&Value::Object(body), is_indented),
                )
            }
            Content::Text(text) => ("text/plain; charset=utf-8", text.to_owned()),
            Content::Nothing => ("", String::new()),
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if self.status != 204 {
            // Preflight requests are answered before it is added.
            headers.insert(VERSION_HEADER, HeaderValue::from_static(super::VERSION));
        }
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        if self.validated && (200..300).contains(&self.status) {
            let validator = validator_of(&body);
            let known = request
                .get(IF_NONE_MATCH)
                .and_then(|known| known.to_str().ok());
            let is_known = known.is_some_and(|known| {
                known == validator || known.strip_prefix("W/") == Some(validator.as_str())
            });
            if let Ok(validator) = HeaderValue::from_str(&validator) {
                headers.insert(ETAG, validator);
            }
            if is_known {
                headers.remove(CONTENT_TYPE);
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
        }
        *response.body_mut() = Full::new(Bytes::from(body));
        response
    }
}

const VERSION_HEADER: HeaderName = HeaderName::from_static("x-gofeatureflag-version");

fn validator_of(body: &str) -> String {
    let mut validator = format!("\"{}-", body.len());
    for byte in Sha1::digest(body) {
        // Writing to a string does not fail.
        let _ = write!(validator, "{byte:02x}");
    }
    validator.push('"');
    validator
}

fn written(body: &Value, is_indented: bool) -> String {
    let mut text = if is_indented {
        format!("{body:#}")
    } else {
        body.to_string()
    };
    text.push('\n');
    text
}

/// The OFREP handlers' error shape.
pub(super) fn ofrep_error(code: &str, details: &str, key: Option<&str>) -> Value {
    let mut body = json!({"errorCode": code, "errorDetails": details});
    if let (Some(key), Some(body)) = (key, body.as_object_mut()) {
        body.insert("key".to_owned(), key.into());
    }
    body
}
