//! The relay proxy: its requests, its address and credentials, its flag configuration, and its
//! messages about changed flags.

mod api_key;
mod client;
mod connect;
mod connection_error;
mod endpoint;
mod flag_configuration;
mod header_provider;
mod invalidation;
mod request_observer;
mod watched_stream;

pub use api_key::{ApiKey, ApiKeyError};
pub use client::{BulkEvaluation, RelayClient};
pub use connect::{ByteStream, Connect};
pub use connection_error::{ConnectionError, ConnectionProblem};
pub use endpoint::{Endpoint, EndpointError};
pub use flag_configuration::{ConfigurationUpdate, Etag, FlagConfiguration, FlagsJson};
pub use header_provider::{HeaderProvider, with_provided};
pub use invalidation::{Invalidation, InvalidationSink, StreamState};
pub use request_observer::RequestObserver;
pub use watched_stream::{Watch, WatchedStream};
