//! [`Credentials`]: the API key and the headers of requests, which may change while the client runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use goff_core::__internal::{for_each_trace_header, with_provided};
use goff_core::{ApiKey, HeaderProvider, RelayError};
use http::header::{HOST, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::OptionError;
use crate::headers::request_headers;
use crate::secrets::Secrets;

/// What the headers of a request consist of. A request in flight keeps the headers with which it
/// began; as long as it runs, no message of the client shows their secrets.
pub(crate) struct Credentials {
    host: HeaderValue,
    custom: Vec<(String, String)>,
    provider: Option<Arc<dyn HeaderProvider>>,
    state: Mutex<State>,
}

struct State {
    api_key: Option<ApiKey>,
    /// From which, with the key, the current headers were built.
    given: Vec<(String, String)>,
    current: Arc<RequestHeaders>,
    /// Earlier headers that requests in flight may still have.
    older: Vec<Weak<RequestHeaders>>,
}

/// The headers of one or more requests, and the secrets in them.
pub(crate) struct RequestHeaders {
    headers: Arc<HeaderMap>,
    secrets: Arc<Secrets>,
}

impl Credentials {
    /// The provider is not called before the first request.
    ///
    /// # Errors
    /// A key or a custom header that cannot be sent.
    pub(crate) fn new(
        host: HeaderValue,
        custom: Vec<(String, String)>,
        provider: Option<Arc<dyn HeaderProvider>>,
        api_key: Option<ApiKey>,
    ) -> Result<Self, OptionError> {
        let current = RequestHeaders::new(&host, &custom, api_key.as_ref())?;
        Ok(Self {
            state: Mutex::new(State {
                api_key,
                given: custom.clone(),
                current: Arc::new(current),
                older: Vec::new(),
            }),
            host,
            custom,
            provider,
        })
    }

    /// Replaces the key of all requests that begin from now on.
    ///
    /// # Errors
    /// The key cannot be sent; the one before stays.
    pub(crate) fn set_api_key(&self, api_key: Option<ApiKey>) -> Result<(), OptionError> {
        let mut state = self.state();
        let headers = RequestHeaders::new(&self.host, &state.given, api_key.as_ref())?;
        state.api_key = api_key;
        state.replace(headers);
        Ok(())
    }

    pub(crate) fn has_api_key(&self) -> bool {
        self.state().api_key.is_some()
    }

    /// The headers of a request that begins now. It keeps them until its response is read.
    ///
    /// # Errors
    /// [`RelayError::Headers`].
    pub(crate) fn for_request(&self) -> Result<Arc<RequestHeaders>, RelayError> {
        let Some(provider) = &self.provider else {
            return Ok(Arc::clone(&self.state().current));
        };
        // Not under the lock: the provider may wait, or use this client.
        let given = with_provided(&self.custom, &**provider)?;
        let mut state = self.state();
        if given != state.given {
            let headers = RequestHeaders::new(&self.host, &given, state.api_key.as_ref());
            let headers = headers.map_err(|error| RelayError::Headers {
                reason: error.reason().to_owned(),
            })?;
            state.given = given;
            state.replace(headers);
        }
        Ok(Arc::clone(&state.current))
    }

    /// The secrets of the current headers, and of those that requests in flight have.
    pub(crate) fn secrets_in_use(&self) -> Arc<Secrets> {
        let mut state = self.state();
        state.older.retain(|older| older.strong_count() > 0);
        let older = state.older.iter().filter_map(Weak::upgrade);
        let older: Vec<_> = older.map(|older| Arc::clone(&older.secrets)).collect();
        let current = Arc::clone(&state.current.secrets);
        if older.is_empty() {
            return current;
        }
        Arc::new(Secrets::union(older.into_iter().chain([current])))
    }

    /// The names of the headers, for `Debug`.
    pub(crate) fn names(&self) -> Vec<String> {
        let current = Arc::clone(&self.state().current);
        current.headers.keys().map(ToString::to_string).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn replace(&mut self, headers: RequestHeaders) {
        let before = std::mem::replace(&mut self.current, Arc::new(headers));
        self.older.retain(|older| older.strong_count() > 0);
        if Arc::strong_count(&before) > 1 {
            self.older.push(Arc::downgrade(&before));
        }
    }
}

impl RequestHeaders {
    fn new(
        host: &HeaderValue,
        given: &[(String, String)],
        api_key: Option<&ApiKey>,
    ) -> Result<Self, OptionError> {
        let mut secrets = Secrets::default();
        let mut headers = request_headers(given, api_key, &mut secrets)?;
        headers.insert(HOST, host.clone());
        Ok(Self {
            headers: Arc::new(headers),
            secrets: Arc::new(secrets),
        })
    }

    /// The headers, with the ETag of what the caller holds, and those of the current trace.
    pub(crate) fn to_send(&self, if_none_match: Option<HeaderValue>) -> Arc<HeaderMap> {
        let mut headers = Arc::clone(&self.headers);
        if let Some(etag) = if_none_match {
            Arc::make_mut(&mut headers).insert(IF_NONE_MATCH, etag);
        }
        for_each_trace_header(|name, value| {
            let name = HeaderName::try_from(name).ok();
            let value = HeaderValue::try_from(value).ok();
            // The client's own headers are not replaced, and an empty one says nothing.
            if let Some((name, value)) = name.zip(value)
                && (1..=MAX_TRACE_HEADER).contains(&value.len())
                && !self.headers.contains_key(&name)
            {
                Arc::make_mut(&mut headers).insert(name, value);
            }
        });
        headers
    }
}

/// The limit of `baggage` in W3C Baggage; relay proxies refuse requests with much larger headers.
const MAX_TRACE_HEADER: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Option<ApiKey> {
        Some(ApiKey::new(key).unwrap())
    }

    /// Keys that no request has any more are forgotten, so that the list does not grow.
    #[test]
    fn secrets_are_known_as_long_as_a_request_has_them() {
        let host = HeaderValue::from_static("h");
        let credentials = Credentials::new(host, Vec::new(), None, key("key-0")).unwrap();
        let request = credentials.for_request().unwrap();
        for number in 1..=100 {
            let passing = credentials.for_request().unwrap();
            credentials
                .set_api_key(key(&format!("key-{number}")))
                .unwrap();
            assert!(credentials.secrets_in_use().are_in("key-0"));
            assert!(
                credentials
                    .secrets_in_use()
                    .are_in(&format!("key-{}", number - 1))
            );
            drop(passing);
            assert!(credentials.state().older.len() <= 2);
        }
        assert!(!credentials.secrets_in_use().are_in("key-99"));
        drop(request);
        let secrets = credentials.secrets_in_use();
        assert!(secrets.are_in("key-100") && !secrets.are_in("key-0"));
    }
}
