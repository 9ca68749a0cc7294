//! The options of the connection to a relay proxy over HTTP, and the clients that they make.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::RequestObserver;
use goff_core::{ApiKey, Connect, Endpoint, EvaluationType, HeaderProvider};
use goff_http::{
    Connector, HttpRelayClient, HttpRelayClientOptions, HttpTransport, OptionError, ProxyOptions,
    RemoteProtocol, TlsOptions,
};

use crate::options::connections::Connections;
use crate::options::error::OptionsError;
#[cfg(feature = "in-process")]
use crate::options::key_holders::identity;
use crate::options::key_holders::{KeyHolders, checked_key};
use crate::options::settings::{DEFAULT_TIMEOUT, RelayClients, StreamSource};
use crate::remote::bounded_relay::BoundedRelay;

/// `None` means that the option is not set.
#[derive(Clone, Default)]
pub(crate) struct HttpOptions {
    pub(crate) api_key: Option<String>,
    pub(crate) remote_protocol: Option<RemoteProtocol>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_response_size: Option<usize>,
    pub(crate) max_requests_in_flight: Option<usize>,
    pub(crate) max_idle_connections: Option<usize>,
    pub(crate) idle_connection_timeout: Option<Duration>,
    pub(crate) max_connection_age: Option<Option<Duration>>,
    pub(crate) custom_headers: Vec<(String, String)>,
    pub(crate) header_provider: Option<Arc<dyn HeaderProvider>>,
    pub(crate) data_collector_base_url: Option<String>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) proxy: Option<ProxyOptions>,
    pub(crate) connector: Option<Arc<dyn Connect>>,
    pub(crate) transport: Option<Arc<dyn HttpTransport>>,
    #[cfg(feature = "ws")]
    pub(crate) reconnect_interval: Option<Duration>,
    #[cfg(feature = "ws")]
    pub(crate) disable_cache_invalidation: Option<bool>,
    #[cfg(feature = "ws")]
    pub(crate) disable_deprecated_stream: Option<bool>,
}

enum Wire {
    Transport(Arc<dyn HttpTransport>),
    Connector(Arc<dyn Connect>),
}

impl HttpOptions {
    pub(crate) fn clients(
        &self,
        endpoint: &str,
        evaluation_type: EvaluationType,
        observer: Option<Arc<dyn RequestObserver>>,
        debug: bool,
    ) -> Result<RelayClients, OptionsError> {
        let endpoint = parse("endpoint", endpoint)?;
        let api_key = checked_key(self.api_key.as_deref().unwrap_or_default())?;
        let wire = self.wire(&endpoint)?;
        let client = self.client(endpoint.clone(), api_key.clone(), &wire, observer, debug)?;
        let mut connections = Connections {
            clients: vec![client.clone()],
        };
        let bounded = |client: HttpRelayClient| BoundedRelay {
            client: Arc::new(client),
            timeout: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            keeps_timeout: true,
            requests: Arc::default(),
        };
        #[cfg(feature = "in-process")]
        let fallback = bounded(client.with_protocol(RemoteProtocol::Ofrep));
        let mut keyed = vec![client.clone()];
        let relay = bounded(client);
        let collector = match &self.data_collector_base_url {
            None => Arc::clone(&relay.client),
            Some(url) => {
                let base = parse("data_collector_base_url", url)?;
                let wire = match &wire {
                    Wire::Transport(transport) => Wire::Transport(Arc::clone(transport)),
                    Wire::Connector(_) => self
                        .default_connector(&base)
                        .map_err(|error| OptionsError::caused("data_collector_base_url", error))?,
                };
                let client = self.client(base, api_key.clone(), &wire, None, debug)?;
                if let Wire::Connector(_) = wire {
                    connections.clients.push(client.clone());
                }
                keyed.push(client.clone());
                Arc::new(client)
            }
        };
        Ok(RelayClients {
            relay,
            #[cfg(feature = "in-process")]
            fallback,
            #[cfg(feature = "in-process")]
            identity: identity(&endpoint, api_key.as_ref()),
            collector,
            connections,
            key_holders: Some(KeyHolders::new(
                endpoint.clone(),
                api_key.clone(),
                keyed,
                self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            )),
            needs_io: self.transport.is_none() && self.connector.is_none(),
            stream: self.stream(endpoint, api_key, wire, evaluation_type, debug)?,
        })
    }

    fn wire(&self, endpoint: &Endpoint) -> Result<Wire, OptionsError> {
        if self.transport.is_some() {
            OptionsError::refuse_set(&self.connection_options(), "http_transport")?;
        }
        match (&self.transport, &self.connector) {
            (Some(_), Some(_)) => Err(OptionsError::conflict("connector", "http_transport")),
            (Some(transport), None) => {
                OptionsError::refuse_set(&self.connector_options(), "http_transport")?;
                Ok(Wire::Transport(Arc::clone(transport)))
            }
            (None, Some(connector)) => {
                OptionsError::refuse_set(&self.connector_options(), "connector")?;
                Ok(Wire::Connector(Arc::clone(connector)))
            }
            (None, None) => Ok(self.default_connector(endpoint)?),
        }
    }

    fn connector_options(&self) -> [(&'static str, bool); 2] {
        [("tls", self.tls.is_some()), ("proxy", self.proxy.is_some())]
    }

    fn connection_options(&self) -> [(&'static str, bool); 4] {
        let timeout = self.idle_connection_timeout;
        [
            (
                "max_requests_in_flight",
                self.max_requests_in_flight.is_some(),
            ),
            ("max_idle_connections", self.max_idle_connections.is_some()),
            ("idle_connection_timeout", timeout.is_some()),
            ("max_connection_age", self.max_connection_age.is_some()),
        ]
    }

    fn default_connector(&self, endpoint: &Endpoint) -> Result<Wire, OptionError> {
        let tls = self.tls.clone().unwrap_or_default();
        let mut connector = Connector::new(endpoint, &tls)?;
        if let Some(proxy) = &self.proxy {
            connector = connector.proxy(proxy)?;
        }
        let connector = connector.connect_timeout(self.timeout.unwrap_or(DEFAULT_TIMEOUT));
        Ok(Wire::Connector(Arc::new(connector)))
    }

    fn client(
        &self,
        endpoint: Endpoint,
        api_key: Option<ApiKey>,
        wire: &Wire,
        observer: Option<Arc<dyn RequestObserver>>,
        debug: bool,
    ) -> Result<HttpRelayClient, OptionsError> {
        let mut options = HttpRelayClientOptions::new(endpoint)
            .api_key(api_key)
            .proxy(self.proxy.clone())
            .observer(observer)
            .debug(debug);
        if let Some(protocol) = self.remote_protocol {
            options = options.protocol(protocol);
        }
        if let Some(timeout) = self.timeout {
            options = options.timeout(timeout);
        }
        if let Some(bytes) = self.max_response_size {
            options = options.max_response_size(bytes);
        }
        if let Some(requests) = self.max_requests_in_flight {
            options = options.max_requests_in_flight(requests);
        }
        if let Some(connections) = self.max_idle_connections {
            options = options.max_idle_connections(connections);
        }
        if let Some(timeout) = self.idle_connection_timeout {
            options = options.idle_connection_timeout(timeout);
        }
        if let Some(age) = self.max_connection_age {
            options = options.max_connection_age(age);
        }
        for (name, value) in &self.custom_headers {
            options = options.custom_header(name, value);
        }
        if let Some(provider) = &self.header_provider {
            options = options.header_provider(Arc::clone(provider));
        }
        options = match wire {
            Wire::Transport(transport) => options.transport(Arc::clone(transport)),
            Wire::Connector(connector) => options.connector(Arc::clone(connector)),
        };
        Ok(HttpRelayClient::new(options)?)
    }

    #[cfg(feature = "ws")]
    fn stream_options(&self) -> [(&'static str, bool); 3] {
        let disable = self.disable_cache_invalidation;
        let disable_deprecated = self.disable_deprecated_stream;
        [
            ("reconnect_interval", self.reconnect_interval.is_some()),
            ("disable_cache_invalidation", disable.is_some()),
            ("disable_deprecated_stream", disable_deprecated.is_some()),
        ]
    }

    /// With a custom transport there is no stream to open.
    #[cfg(feature = "ws")]
    fn stream(
        &self,
        endpoint: Endpoint,
        api_key: Option<ApiKey>,
        wire: Wire,
        evaluation_type: EvaluationType,
        debug: bool,
    ) -> Result<Option<StreamSource>, OptionsError> {
        let connect = match wire {
            Wire::Transport(_) => {
                OptionsError::refuse_set(&self.stream_options(), "http_transport")?;
                return Ok(None);
            }
            Wire::Connector(connect) => connect,
        };
        // In-process evaluation has no cache to invalidate.
        if self.disable_cache_invalidation == Some(true)
            && evaluation_type == EvaluationType::Remote
        {
            return Ok(None);
        }
        let mut options = goff_ws::ListenerOptions::new(endpoint)
            .api_key(api_key)
            .disable_deprecated_stream(self.disable_deprecated_stream.unwrap_or_default())
            .debug(debug);
        if let Some(interval) = self.reconnect_interval {
            let reason = "must be longer than zero";
            OptionsError::refuse_zero("reconnect_interval", Some(interval), reason)?;
            options = options.reconnect_interval(interval);
        }
        if let Some(timeout) = self.timeout {
            options = options.timeout(timeout);
        }
        for (name, value) in &self.custom_headers {
            options = options.custom_header(name, value);
        }
        if let Some(provider) = &self.header_provider {
            options = options.header_provider(Arc::clone(provider));
        }
        Ok(Some(StreamSource { options, connect }))
    }

    #[cfg(not(feature = "ws"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "as with the feature `ws`"
    )]
    fn stream(
        &self,
        _: Endpoint,
        _: Option<ApiKey>,
        _: Wire,
        _: EvaluationType,
        _: bool,
    ) -> Result<Option<StreamSource>, OptionsError> {
        Ok(None)
    }

    /// Options that would have no effect with a custom relay client, or without a relay proxy.
    pub(crate) fn refuse_beside(&self, constructor: &str) -> Result<(), OptionsError> {
        let set = [
            ("api_key", self.api_key.is_some()),
            ("remote_protocol", self.remote_protocol.is_some()),
            ("timeout", self.timeout.is_some()),
            ("max_response_size", self.max_response_size.is_some()),
            ("custom_header", !self.custom_headers.is_empty()),
            ("header_provider", self.header_provider.is_some()),
            (
                "data_collector_base_url",
                self.data_collector_base_url.is_some(),
            ),
            ("connector", self.connector.is_some()),
            ("http_transport", self.transport.is_some()),
        ];
        OptionsError::refuse_set(&set, constructor)?;
        OptionsError::refuse_set(&self.connector_options(), constructor)?;
        OptionsError::refuse_set(&self.connection_options(), constructor)?;
        #[cfg(feature = "ws")]
        OptionsError::refuse_set(&self.stream_options(), constructor)?;
        Ok(())
    }
}

fn parse(option: &'static str, url: &str) -> Result<Endpoint, OptionsError> {
    url.parse::<Endpoint>()
        .map_err(|error| OptionsError::caused(option, error))
}

impl From<OptionError> for OptionsError {
    fn from(error: OptionError) -> Self {
        Self::new(error.option(), error.reason()).caused_by(error)
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("HttpOptions");
        debug
            .field("api_key", &self.api_key.as_ref().map(|_| "redacted"))
            .field("remote_protocol", &self.remote_protocol)
            .field("timeout", &self.timeout)
            .field("max_response_size", &self.max_response_size)
            .field("max_requests_in_flight", &self.max_requests_in_flight)
            .field("max_idle_connections", &self.max_idle_connections)
            .field("idle_connection_timeout", &self.idle_connection_timeout)
            .field("max_connection_age", &self.max_connection_age)
            // Unchecked names may contain secrets too.
            .field("custom_headers", &self.custom_headers.len())
            .field("header_provider", &self.header_provider.is_some())
            .field(
                "data_collector_base_url",
                &self.data_collector_base_url.is_some(),
            )
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("connector", &self.connector)
            .field("transport", &self.transport);
        #[cfg(feature = "ws")]
        debug
            .field("reconnect_interval", &self.reconnect_interval)
            .field(
                "disable_cache_invalidation",
                &self.disable_cache_invalidation,
            )
            .field("disable_deprecated_stream", &self.disable_deprecated_stream);
        debug.finish()
    }
}
