//! One request to compare.

/// One request. `{etag}` in a header stands for the last ETag of the same relay proxy.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// A POST of JSON.
    pub(super) fn post(target: impl Into<String>, body: impl ToString) -> Self {
        let mut request = Self::new("POST", target).with("Content-Type", "application/json");
        request.body = body.to_string();
        request
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn with_bearer(self, key: &str) -> Self {
        self.with("Authorization", format!("Bearer {key}"))
    }

    pub(super) fn with_query(mut self, query: &str) -> Self {
        self.target = format!("{}?{query}", self.target);
        self
    }
}

pub(super) const EVALUATE: &str = "/v1/feature/static_key/eval";
pub(super) const EVALUATE_OFREP: &str = "/ofrep/v1/evaluate/flags/static_key";
pub(super) const ALL: &str = "/v1/allflags";
pub(super) const ALL_OFREP: &str = "/ofrep/v1/evaluate/flags";
pub(super) const CONFIGURATION: &str = "/v1/flag/configuration";
pub(super) const HASHES: &str = "/v1/flag/change";
pub(super) const COLLECTOR: &str = "/v1/data/collector";
pub(super) const STREAM: &str = "/stream/v1/ws/flag/change";
pub(super) const DEPRECATED_STREAM: &str = "/ws/v1/flag/change";
