//! Options once they are checked.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "ws")]
use goff_core::Connect;
use goff_core::{ApiKey, EvaluationType, ExporterMetadata, RelayClient};
use goff_hooks::__internal::QueuedSink;
use goff_hooks::EventFilterOptions;
use goff_hooks::TelemetryOptions;

#[cfg(feature = "in-process")]
use crate::in_process::mode::InProcessMode;
use crate::options::connections::Connections;
#[cfg(feature = "http")]
use crate::options::key_holders::KeyHolders;
use crate::remote::bounded_relay::BoundedRelay;
use crate::remote::cache::CacheLimits;
use crate::remote::circuit_breaker::CircuitBreaker;
use crate::remote::measured_collector::MeasuredCollector;
use crate::status::request_counters::RequestCounters;

/// Where the flags come from, and the options that differ from their defaults, without keys, header
/// values and other secrets.
#[derive(Debug)]
pub(crate) struct StartLog {
    pub(crate) endpoint: String,
    pub(crate) options: String,
}

/// Everything a client needs to start.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) start_log: StartLog,
    pub(crate) mode: Mode,
    pub(crate) exporter_metadata: ExporterMetadata,
    /// `None` without data collection.
    pub(crate) collection: Option<Collection>,
    /// `None` without a change stream.
    pub(crate) stream: Option<StreamSource>,
    pub(crate) connections: Connections,
    pub(crate) requests: Arc<RequestCounters>,
    /// `None` if evaluations are not to be told.
    pub(crate) telemetry: Option<TelemetryOptions>,
    /// `None` without HTTP clients of this crate.
    #[cfg(feature = "http")]
    pub(crate) key_holders: Option<KeyHolders>,
    pub(crate) debug: bool,
    /// Whether a thread of the client runs its I/O.
    pub(crate) own_runtime: bool,
    /// Whether goff-http opens connections, which needs a runtime with I/O.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "there is no goff-http")
    )]
    pub(crate) needs_io: bool,
}

/// Where flags are evaluated, and what that needs.
#[derive(Debug)]
pub(crate) enum Mode {
    Remote {
        relay: BoundedRelay,
        breaker: Arc<CircuitBreaker>,
        /// `None` if every evaluation is to be a request.
        cache: Option<CacheLimits>,
    },
    #[cfg(feature = "in-process")]
    InProcess(Arc<InProcessMode>),
}

/// How usage data is collected.
#[derive(Debug)]
pub(crate) struct Collection {
    /// `None` if nothing goes to the data collector of a relay proxy.
    pub(crate) collector: Option<Arc<dyn RelayClient>>,
    /// Before the sink of the application.
    pub(crate) sink: Option<Arc<QueuedSink>>,
    pub(crate) filter: EventFilterOptions,
    /// The metadata of batches, which says what the filter leaves out.
    pub(crate) exporter_metadata: ExporterMetadata,
    pub(crate) flush_interval: Duration,
    pub(crate) max_pending_events: usize,
    pub(crate) max_pending_bytes: usize,
}

/// The change stream of a relay proxy.
#[cfg(feature = "ws")]
#[derive(Debug)]
pub(crate) struct StreamSource {
    pub(crate) options: goff_ws::ListenerOptions,
    pub(crate) connect: Arc<dyn Connect>,
}

/// There is no change stream without the feature `ws`.
#[cfg(not(feature = "ws"))]
#[derive(Debug)]
pub(crate) enum StreamSource {}

/// The ways to a relay proxy.
#[derive(Debug)]
pub(crate) struct RelayClients {
    pub(crate) relay: BoundedRelay,
    /// Evaluates over OFREP where the engine fails.
    #[cfg(feature = "in-process")]
    pub(crate) fallback: BoundedRelay,
    /// The relay proxy and the flag set: what the last-known-good file belongs to.
    #[cfg(feature = "in-process")]
    pub(crate) identity: Vec<u8>,
    /// Where usage data goes.
    pub(crate) collector: Arc<dyn RelayClient>,
    pub(crate) connections: Connections,
    #[cfg(feature = "http")]
    pub(crate) key_holders: Option<KeyHolders>,
    pub(crate) stream: Option<StreamSource>,
    pub(crate) needs_io: bool,
}

impl RelayClients {
    /// The same clients, with their requests counted.
    pub(crate) fn measured(mut self, requests: &Arc<RequestCounters>) -> Self {
        self.relay.requests = Arc::clone(requests);
        #[cfg(feature = "in-process")]
        {
            self.fallback.requests = Arc::clone(requests);
        }
        self.collector = Arc::new(MeasuredCollector {
            client: self.collector,
            requests: Arc::clone(requests),
        });
        self
    }
}

impl Settings {
    /// The current API key.
    pub(crate) fn api_key(&self) -> Option<ApiKey> {
        #[cfg(feature = "http")]
        return self.key_holders.as_ref()?.api_key();
        #[cfg(not(feature = "http"))]
        None
    }
}

impl Mode {
    pub(crate) fn has_relay_proxy(&self) -> bool {
        match self {
            Self::Remote { .. } => true,
            #[cfg(feature = "in-process")]
            Self::InProcess(mode) => mode.relay().is_some(),
        }
    }

    pub(crate) fn evaluation_type(&self) -> EvaluationType {
        match self {
            Self::Remote { .. } => EvaluationType::Remote,
            #[cfg(feature = "in-process")]
            Self::InProcess(_) => EvaluationType::InProcess,
        }
    }
}

impl From<Arc<dyn RelayClient>> for RelayClients {
    fn from(client: Arc<dyn RelayClient>) -> Self {
        let relay = BoundedRelay {
            client: Arc::clone(&client),
            timeout: DEFAULT_TIMEOUT,
            keeps_timeout: false,
            requests: Arc::default(),
        };
        Self {
            #[cfg(feature = "in-process")]
            fallback: relay.clone(),
            #[cfg(feature = "in-process")]
            identity: b"relay client".to_vec(),
            relay,
            collector: client,
            connections: Connections::default(),
            #[cfg(feature = "http")]
            key_holders: None,
            stream: None,
            needs_io: false,
        }
    }
}

pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
