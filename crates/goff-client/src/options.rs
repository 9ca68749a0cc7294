//! Options: setters that never fail, and one check before any network use.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "http")]
use std::time::Duration;

use goff_core::{ExporterMetadata, RelayClient};
use serde_json::Value;

#[cfg(feature = "http")]
use crate::http_options::HttpOptions;

/// How to reach a relay proxy and what to tell it. Setters take and return the options, never
/// fail and send nothing; [`GoFeatureFlag::new`](crate::GoFeatureFlag::new) and
/// [`connect`](crate::GoFeatureFlag::connect) check them. No environment variable is read
/// (GOFF-CFG-005).
///
/// `Debug` shows neither keys nor header values nor the endpoint.
#[derive(Clone)]
#[must_use]
pub struct GoFeatureFlagOptions {
    source: Source,
    exporter_metadata: Vec<(String, Value)>,
    #[cfg(feature = "http")]
    http: HttpOptions,
}

#[derive(Clone)]
enum Source {
    #[cfg(feature = "http")]
    RelayProxy(String),
    RelayClient(Arc<dyn RelayClient>),
}

/// Options once they are checked.
pub(crate) struct Settings {
    pub(crate) relay: Arc<dyn RelayClient>,
    pub(crate) exporter_metadata: ExporterMetadata,
}

impl GoFeatureFlagOptions {
    /// Options for the relay proxy at `endpoint`: an absolute `http://` or `https://` URL, whose
    /// path prefix is kept, or `unix:///path/to/socket`. Required (GOFF-CFG-001).
    #[cfg(feature = "http")]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self::with_source(Source::RelayProxy(endpoint.into()))
    }

    /// Options for a relay proxy behind a transport of your own. Endpoint, key, header, protocol
    /// and transport options do not go with it.
    pub fn with_relay_client(client: Arc<dyn RelayClient>) -> Self {
        Self::with_source(Source::RelayClient(client))
    }

    fn with_source(source: Source) -> Self {
        Self {
            source,
            exporter_metadata: Vec::new(),
            #[cfg(feature = "http")]
            http: HttpOptions::default(),
        }
    }

    /// Adds an entry to the metadata that label this application's usage data: a string, boolean
    /// or finite number. `provider: "rust"` and `openfeature: true` are always there and cannot
    /// be changed. Default: no other entries.
    pub fn exporter_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.exporter_metadata.push((key.into(), value.into()));
        self
    }

    pub(crate) fn check(self) -> Result<Settings, OptionsError> {
        let exporter_metadata = ExporterMetadata::new(self.exporter_metadata)
            .map_err(|error| OptionsError::new("exporter_metadata", error))?;
        #[cfg(feature = "http")]
        let relay = match self.source {
            Source::RelayProxy(endpoint) => self.http.relay_client(&endpoint)?,
            Source::RelayClient(client) => {
                self.http.refuse_beside_relay_client()?;
                client
            }
        };
        #[cfg(not(feature = "http"))]
        let Source::RelayClient(relay) = self.source;
        Ok(Settings {
            relay,
            exporter_metadata,
        })
    }
}

/// What concerns the connection to a relay proxy.
#[cfg(feature = "http")]
impl GoFeatureFlagOptions {
    /// The key that the relay proxy asks for; it selects the flag set there. Sent as
    /// `Authorization: Bearer`. Default: none; an empty key is none (GOFF-AUTH-001 to -003).
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.http.api_key = Some(key.into());
        self
    }

    /// How flags are asked for. Default:
    /// [`FeatureEval`](goff_http::RemoteProtocol::FeatureEval).
    pub fn remote_protocol(mut self, protocol: goff_http::RemoteProtocol) -> Self {
        self.http.remote_protocol = Some(protocol);
        self
    }

    /// The time that any request may take as a whole: connecting, sending, reading the answer
    /// (GOFF-REM-006). Default: 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = Some(timeout);
        self
    }

    /// Adds a header to every request, for gateways. The API key wins over an `Authorization`
    /// header of yours (GOFF-AUTH-004). Default: none.
    pub fn custom_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.custom_headers.push((name.into(), value.into()));
        self
    }

    /// Whom to trust over TLS, and which certificate to show. Default: the platform's roots, no
    /// client certificate.
    pub fn tls(mut self, tls: goff_http::TlsOptions) -> Self {
        self.http.tls = Some(tls);
        self
    }

    /// Opens streams to the endpoint in your own way. Default: TCP, TLS or Unix socket, as the
    /// endpoint says.
    pub fn connector(mut self, connector: impl goff_core::Connect + 'static) -> Self {
        self.http.connector = Some(Arc::new(connector));
        self
    }

    /// Sends requests in your own way: bytes out, bytes back. Default: hyper over the connector.
    pub fn http_transport(mut self, transport: impl goff_http::HttpTransport + 'static) -> Self {
        self.http.transport = Some(Arc::new(transport));
        self
    }

    /// Whether this client's own diagnostics, requests with status and duration, come at INFO
    /// instead of DEBUG. Default: `false`.
    pub fn debug(mut self, debug: bool) -> Self {
        self.http.debug = Some(debug);
        self
    }
}

impl fmt::Debug for GoFeatureFlagOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("GoFeatureFlagOptions");
        match &self.source {
            #[cfg(feature = "http")]
            Source::RelayProxy(_) => debug.field("source", &"endpoint"),
            Source::RelayClient(client) => debug.field("source", client),
        };
        debug.field("exporter_metadata", &self.exporter_metadata);
        #[cfg(feature = "http")]
        debug.field("http", &self.http);
        debug.finish()
    }
}

/// An option that cannot be used. It names the option and the reason, and quotes no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError {
    option: &'static str,
    reason: String,
}

impl OptionsError {
    pub(crate) fn new(option: &'static str, reason: impl fmt::Display) -> Self {
        Self {
            option,
            reason: reason.to_string(),
        }
    }

    /// The option's name, as in [`GoFeatureFlagOptions`].
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option `{}` {}", self.option, self.reason)
    }
}

impl Error for OptionsError {}

/// Why a client could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitializeError {
    /// An option cannot be used; nothing was sent.
    Options(OptionsError),
}

impl From<OptionsError> for InitializeError {
    fn from(error: OptionsError) -> Self {
        Self::Options(error)
    }
}

impl fmt::Display for InitializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => write!(f, "{error}"),
        }
    }
}

impl Error for InitializeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Options(error) => Some(error),
        }
    }
}
