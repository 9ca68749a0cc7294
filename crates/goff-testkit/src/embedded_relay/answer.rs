//! Answers of the relay proxy: JSON bodies, its two error shapes, and the common headers.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

/// The release of the relay proxy whose answers these are, with a mark.
pub(super) const VERSION: &str = "1.55.2+embedded";

/// An answer before it is written.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    content: Content,
    /// Whether a good answer has an ETag.
    has_etag: bool,
    headers: Vec<(HeaderName, String)>,
}

#[derive(Debug)]
enum Content {
    Json(Value),
    /// An error answer of the web framework. `error` is shown at log level debug only.
    Failure {
        message: String,
        error: String,
    },
    Text(&'static str),
}

impl Answer {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self::new(status, Content::Json(body))
    }

    /// An error in the shape of the web framework.
    pub(super) fn failure(status: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        let error = format!("code={status}, message={message}");
        Self::new(status, Content::Failure { message, error })
    }

    /// An unexpected error in a handler.
    pub(super) fn internal(error: &str) -> Self {
        let (message, error) = ("Internal Server Error".to_owned(), error.to_owned());
        Self::new(500, Content::Failure { message, error })
    }

    pub(super) fn text(status: u16, text: &'static str) -> Self {
        Self::new(status, Content::Text(text))
    }

    fn new(status: u16, content: Content) -> Self {
        Self {
            status,
            content,
            has_etag: false,
            headers: Vec::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds an ETag; a request that has it gets a 304 without a body (docs/relay-protocol.md 2.7).
    pub(super) fn with_etag(mut self) -> Self {
        self.has_etag = true;
        self
    }

    pub(super) fn into_response(
        self,
        request: &HeaderMap,
        is_debug: bool,
    ) -> Response<Full<Bytes>> {
        let written = |body: Value| match is_debug {
            true => format!("{body:#}\n"),
            false => format!("{body}\n"),
        };
        let (content_type, body) = match self.content {
            Content::Json(body) => ("application/json", written(body)),
            Content::Failure { message, error } => {
                let mut body = json!({"message": message});
                add(&mut body, "error", is_debug.then(|| error.into()));
                ("application/json", written(body))
            }
            Content::Text(text) => ("text/plain; charset=utf-8", text.to_owned()),
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        if self.has_etag && (200..300).contains(&self.status) {
            let etag = format!("\"{}-{:016x}\"", body.len(), hash(&body));
            let known = request.get(IF_NONE_MATCH);
            let known = known.and_then(|known| known.to_str().ok());
            let is_known =
                known.is_some_and(|known| known.strip_prefix("W/").unwrap_or(known) == etag);
            if let Ok(etag) = HeaderValue::from_str(&etag) {
                headers.insert(ETAG, etag);
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

/// Equal for equal texts, in every run.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// An error in the shape of the OFREP endpoints.
pub(super) fn ofrep_error(code: &str, details: &str, key: Option<&str>) -> Value {
    let mut body = json!({"errorCode": code, "errorDetails": details});
    add(&mut body, "key", key.map(Into::into));
    body
}

/// A member that is left out when empty.
pub(super) fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| text.into())
}

/// A member that is left out when empty.
pub(super) fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Adds a member, unless it is left out.
pub(super) fn add(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
        body.insert(name.to_owned(), value);
    }
}
