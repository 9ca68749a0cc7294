//! [`KeyHolders`]: what sends the API key over HTTP.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goff_core::{ApiKey, Endpoint};
use goff_http::HttpRelayClient;

use crate::options::error::OptionsError;

/// The HTTP clients that send the API key, and the key.
#[derive(Debug)]
pub(crate) struct KeyHolders {
    endpoint: Endpoint,
    api_key: Mutex<Option<ApiKey>>,
    /// The first one evaluates and loads flags; another delivers usage data elsewhere.
    clients: Vec<HttpRelayClient>,
    timeout: Duration,
}

impl KeyHolders {
    pub(crate) fn new(
        endpoint: Endpoint,
        api_key: Option<ApiKey>,
        clients: Vec<HttpRelayClient>,
        timeout: Duration,
    ) -> Self {
        Self {
            endpoint,
            api_key: Mutex::new(api_key),
            clients,
            timeout,
        }
    }

    /// The timeout of requests.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Scheme, host and port, for errors.
    pub(crate) fn server(&self) -> Arc<str> {
        self.endpoint.address()
    }

    /// The client that evaluates or loads flags.
    pub(crate) fn relay(&self) -> Option<&HttpRelayClient> {
        self.clients.first()
    }

    /// The current key.
    pub(crate) fn api_key(&self) -> Option<ApiKey> {
        let api_key = self.api_key.lock();
        api_key.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key of a text, if it can be sent.
    pub(crate) fn check(key: &str) -> Result<Option<ApiKey>, OptionsError> {
        let key = checked_key(key)?;
        // So long a key fits neither into a header nor into the URL of the change stream.
        if key
            .as_ref()
            .is_some_and(|key| key.expose().len() > LONGEST_KEY)
        {
            return Err(OptionsError::new("api_key", "is longer than 16 KiB"));
        }
        Ok(key)
    }

    /// Replaces the key of all requests that begin from now on.
    pub(crate) fn set(&self, key: Option<ApiKey>) -> Result<(), OptionsError> {
        for client in &self.clients {
            client.set_api_key(key.clone())?;
        }
        *self.api_key.lock().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// What the last-known-good file of a key belongs to.
    #[cfg(feature = "in-process")]
    pub(crate) fn identity(&self) -> Vec<u8> {
        identity(&self.endpoint, self.api_key().as_ref())
    }
}

/// The key of a text; an empty text is none.
pub(crate) fn checked_key(key: &str) -> Result<Option<ApiKey>, OptionsError> {
    let key = (!key.is_empty()).then(|| ApiKey::new(key)).transpose();
    key.map_err(|error| OptionsError::caused("api_key", error))
}

/// Identifies the relay proxy and the flag set.
#[cfg(feature = "in-process")]
pub(crate) fn identity(endpoint: &Endpoint, api_key: Option<&ApiKey>) -> Vec<u8> {
    let socket = endpoint.unix_socket().map(|path| path.to_string_lossy());
    let url = endpoint.join("");
    serde_json::to_vec(&(url, socket, api_key.map(ApiKey::expose))).unwrap_or_default()
}

const LONGEST_KEY: usize = 16 * 1024;
