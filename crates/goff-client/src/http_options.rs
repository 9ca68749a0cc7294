//! The options of the connection to a relay proxy over HTTP, and the client they make.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{ApiKey, Connect, Endpoint, RelayClient};
use goff_http::{HttpRelayClient, HttpTransport, InvalidOption, RemoteProtocol, TlsOptions};

use crate::options::OptionsError;

/// `None` means that the option was not set.
#[derive(Clone, Default)]
pub(crate) struct HttpOptions {
    pub(crate) api_key: Option<String>,
    pub(crate) remote_protocol: Option<RemoteProtocol>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) custom_headers: Vec<(String, String)>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) connector: Option<Arc<dyn Connect>>,
    pub(crate) transport: Option<Arc<dyn HttpTransport>>,
    pub(crate) debug: Option<bool>,
}

impl HttpOptions {
    pub(crate) fn relay_client(self, endpoint: &str) -> Result<Arc<dyn RelayClient>, OptionsError> {
        let endpoint: Endpoint = endpoint
            .parse()
            .map_err(|error| OptionsError::new("endpoint", error))?;
        let api_key = self
            .api_key
            .map_or(Ok(None), ApiKey::new)
            .map_err(|error| OptionsError::new("api_key", error))?;
        let mut builder = HttpRelayClient::builder(endpoint).api_key(api_key);
        if let Some(protocol) = self.remote_protocol {
            builder = builder.protocol(protocol);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        for (name, value) in self.custom_headers {
            builder = builder.custom_header(name, value);
        }
        if let Some(debug) = self.debug {
            builder = builder.debug(debug);
        }
        builder = match (self.transport, self.connector, self.tls) {
            (Some(_), Some(_), _) => return Err(conflict("connector", "http_transport")),
            (Some(_), None, Some(_)) => return Err(conflict("tls", "http_transport")),
            (None, Some(_), Some(_)) => return Err(conflict("tls", "connector")),
            (Some(transport), None, None) => builder.transport(transport),
            (None, Some(connector), None) => builder.connector(connector),
            (None, None, tls) => builder.tls(tls.unwrap_or_default()),
        };
        Ok(Arc::new(builder.build()?))
    }

    /// Options that would have no effect on a relay client of the caller's own.
    pub(crate) fn refuse_beside_relay_client(&self) -> Result<(), OptionsError> {
        let set = [
            ("api_key", self.api_key.is_some()),
            ("remote_protocol", self.remote_protocol.is_some()),
            ("timeout", self.timeout.is_some()),
            ("custom_header", !self.custom_headers.is_empty()),
            ("tls", self.tls.is_some()),
            ("connector", self.connector.is_some()),
            ("http_transport", self.transport.is_some()),
            ("debug", self.debug.is_some()),
        ];
        match set.into_iter().find(|(_, set)| *set) {
            Some((option, _)) => Err(conflict(option, "with_relay_client")),
            None => Ok(()),
        }
    }
}

fn conflict(option: &'static str, other: &str) -> OptionsError {
    OptionsError::new(
        option,
        format_args!("has no effect beside `{other}`; set one of the two"),
    )
}

impl From<InvalidOption> for OptionsError {
    fn from(error: InvalidOption) -> Self {
        // goff-http speaks of the headers together, this crate's setter takes one.
        let option = match error.option {
            "custom_headers" => "custom_header",
            option => option,
        };
        Self::new(option, error.reason)
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("api_key", &self.api_key.as_ref().map(|_| "redacted"))
            .field("remote_protocol", &self.remote_protocol)
            .field("timeout", &self.timeout)
            // Not even their names, which nobody has checked yet.
            .field("custom_headers", &self.custom_headers.len())
            .field("tls", &self.tls)
            .field("connector", &self.connector)
            .field("transport", &self.transport)
            .field("debug", &self.debug)
            .finish()
    }
}
