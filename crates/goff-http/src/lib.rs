//! The GO Feature Flag relay proxy over HTTP, and the connector to it.
//!
//! [`HttpRelayClient`] implements goff-core's `RelayClient` over both of the relay proxy's
//! evaluation protocols. Below it are two seams: [`HttpTransport`] (bytes out, bytes back), for
//! callers who have an HTTP client of their own, and goff-core's `Connect` (one stream), which
//! [`Connector`] implements and [`HyperTransport`] pools.

mod client;
mod connector;
mod flag_key;
mod headers;
mod hyper_transport;
mod request;
mod response;
mod retry_after;
mod secrets;
mod tls;
#[cfg(feature = "tls")]
mod tls_handshake;
mod transport;

pub use client::{HttpRelayClient, HttpRelayClientBuilder, InvalidOption, MAX_RESPONSE_SIZE};
pub use connector::Connector;
pub use hyper_transport::HyperTransport;
pub use request::RemoteProtocol;
pub use tls::{TlsOptions, TlsRoots};
pub use transport::{HttpRequest, HttpResponse, HttpTransport, SendProgress, TransportError};
