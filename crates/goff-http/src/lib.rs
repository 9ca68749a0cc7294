//! A client for the GO Feature Flag relay proxy over HTTP, and the connector that it uses.
//!
//! [`HttpRelayClient`] evaluates flags over either of the relay proxy's two evaluation protocols
//! ([`RemoteProtocol`]), reads the flag configuration and delivers usage data. Every response, and
//! every failure to get one, becomes a value or a typed error. It implements goff-core's
//! `RelayClient`, which goff-client uses, and works without goff-client as well.
//!
//! It has two seams: [`HttpTransport`] (bytes out, bytes back), for your own HTTP client, and
//! goff-core's `Connect` (one stream), which [`Connector`] implements and [`HyperTransport`] pools.
//! goff-ws opens its streams through the same [`Connector`].
//!
//! It does not cache, poll, follow redirects, compress requests, or speak HTTP/2, which the relay
//! proxy does not support. It uses a proxy only where [`ProxyOptions`] name one. It does not retry, except for the resend described at
//! [`HttpRelayClient`].
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | yes | `https` endpoints through rustls, with the [`TlsCryptoProvider`] that the application installs; trusts only the certificate authorities in [`TlsOptions`] |
//! | `tls-ring` | yes | the cryptography of ring |
//! | `tls-aws-lc-rs` | no | the cryptography of aws-lc-rs; building it needs a C compiler |
//! | `tls-platform-roots` | yes | the certificate authorities of the operating system |
//! | `tls-bundled-roots` | no | Mozilla's certificate authorities, built in |
//! | `unix` | yes | `unix:///path` endpoints, on Unix systems |
//! | `gzip` | no | requests compressed responses, which gateways can send; the relay proxy itself does not compress |
//!
//! Without a feature, [`HttpRelayClient::new`] refuses the options that need it and names the
//! feature.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use goff_core::{ApiKey, EvaluationContext, RelayClient};
//! use goff_http::{HttpRelayClient, HttpRelayClientOptions};
//! # use goff_testkit::{Answer, FaultyServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let answer = r#"{"value":"blue","reason":"TARGETING_MATCH","variationType":"B"}"#;
//! # let server = FaultyServer::start([Answer::new(200, answer)]).await?;
//! let endpoint = "http://localhost:1031";
//! # let endpoint = server.url();
//! let options = HttpRelayClientOptions::new(endpoint.parse()?)
//!     .api_key(ApiKey::new("team-a")?)
//!     .timeout(Duration::from_secs(2));
//! let relay_proxy = HttpRelayClient::new(options)?;
//!
//! let context = EvaluationContext::builder()
//!     .targeting_key("user-1")
//!     .attribute("plan", "pro")
//!     .build();
//! match relay_proxy.evaluate("button-color", &context).await {
//!     Ok(resolution) => println!("{} because of {}", resolution.value, resolution.reason),
//!     Err(error) => println!("{}: {error}", error.code()),
//! }
//! # assert_eq!(server.requests().len(), 1);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod client;
mod conditional;
mod connection;
mod connector;
mod content_encoding;
mod credentials;
mod error;
mod flag_key;
mod headers;
mod hyper_transport;
mod json_values;
mod options;
mod plain_stream;
mod pool;
mod progress;
mod proxy;
mod rate_limit;
mod request;
mod resolver;
mod response;
mod runtime_io;
mod runtime_pools;
mod secrets;
mod tls;
mod transport;

pub use client::{HttpRelayClient, RelayCheck};
pub use connector::Connector;
pub use error::{OptionError, TransportError};
pub use hyper_transport::HyperTransport;
pub use options::HttpRelayClientOptions;
pub use proxy::ProxyOptions;
pub use request::{
    DEFAULT_MAX_RESPONSE_SIZE, MAX_BULK_SIZE, MAX_CONFIGURATION_SIZE, RemoteProtocol,
};
pub use tls::{TlsCryptoProvider, TlsOptions, TlsRoots};
pub use transport::{HttpRequest, HttpResponse, HttpTransport, TransportStats};

/// Not covered by semver: for the goff crates only.
#[doc(hidden)]
pub mod __internal {
    pub use crate::runtime_io::check_io;
}
