//! The relay proxy, asked with the clients of the other crates.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use goff_core::{
    Endpoint, EvaluationContext, Invalidation, InvalidationSink, RelayError, StreamState,
};
use goff_http::{Connector, HttpRelayClient, HttpRelayClientOptions, TlsOptions};
use goff_ws::{ChangeListener, ListenerOptions};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::arguments::{RelayArguments, TARGETING_KEY};
use crate::failure::Failure;
use crate::output::warn;

/// Runs a future, with I/O.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().map_err(|error| {
        Failure::new(format!(
            "no tokio runtime: {error}; check the limits of open files and threads"
        ))
    })?;
    runtime.block_on(future)
}

/// A client for the relay proxy.
pub(crate) fn client(
    arguments: &RelayArguments,
    endpoint: Endpoint,
) -> Result<HttpRelayClient, Failure> {
    let api_key = arguments.api_key()?;
    let host = endpoint.host().trim_matches(['[', ']']);
    let is_local = endpoint.unix_socket().is_some()
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if api_key.is_some() && !endpoint.is_https() && !is_local {
        warn("the API key is sent unencrypted: write the endpoint as `https://…`");
    }
    let options = HttpRelayClientOptions::new(endpoint)
        .api_key(api_key)
        .timeout(arguments.timeout);
    HttpRelayClient::new(options).map_err(|error| Failure::at("--endpoint", error))
}

/// The failure of a request that does not concern one flag.
pub(crate) fn failure(error: &RelayError) -> Failure {
    Failure::new(format!("{error}; `goff doctor` examines the relay proxy"))
}

/// The context as it is sent.
pub(crate) fn context(attributes: &Map<String, Value>) -> EvaluationContext {
    let mut context = EvaluationContext::builder();
    for (name, value) in attributes {
        context = match value {
            Value::String(key) if name == TARGETING_KEY => context.targeting_key(key.as_str()),
            value => context.attribute(name.as_str(), value.clone()),
        };
    }
    context.build()
}

/// The change stream, and what it has said.
pub(crate) struct Changes {
    _listener: ChangeListener,
    pub(crate) seen: watch::Receiver<Seen>,
}

/// What a change stream has said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) state: Option<StreamState>,
    /// Counts the announcements.
    pub(crate) changes: u64,
}

impl Changes {
    pub(crate) fn listen(arguments: &RelayArguments, endpoint: Endpoint) -> Result<Self, Failure> {
        let failure = |error: &dyn fmt::Display| Failure::at("--endpoint", error);
        let connector =
            Connector::new(&endpoint, &TlsOptions::new()).map_err(|error| failure(&error))?;
        let options = ListenerOptions::new(endpoint)
            .api_key(arguments.api_key()?)
            .timeout(arguments.timeout);
        let (sender, seen) = watch::channel(Seen::default());
        let listener = ChangeListener::start(&options, Arc::new(connector), Arc::new(Sink(sender)));
        Ok(Self {
            _listener: listener.map_err(|error| failure(&error))?,
            seen,
        })
    }
}

#[derive(Debug)]
struct Sink(watch::Sender<Seen>);

impl InvalidationSink for Sink {
    fn invalidate(&self, _invalidation: Invalidation) {
        self.0.send_modify(|seen| seen.changes += 1);
    }

    fn stream_state(&self, state: StreamState) {
        self.0.send_modify(|seen| seen.state = Some(state));
    }
}
