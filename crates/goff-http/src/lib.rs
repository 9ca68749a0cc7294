//! The GO Feature Flag relay proxy over HTTP, and the connector to it.
//!
//! [`HttpRelayClient`] asks a relay proxy to evaluate flags, over either of its two protocols
//! ([`RemoteProtocol`]), and turns every answer, and every failure to get one, into a resolution or
//! a typed error. It implements goff-core's `RelayClient`, which goff-client evaluates through, and
//! is as useful alone.
//!
//! Below it are two seams: [`HttpTransport`] (bytes out, bytes back), for callers who have an HTTP
//! client of their own, and goff-core's `Connect` (one stream), which [`Connector`] implements and
//! [`HyperTransport`] pools. A [`Connector`] serves whoever else needs a stream to the relay proxy.
//!
//! What it does not do: cache, poll, follow redirects, use proxies, compress, speak HTTP/2 (the
//! relay proxy does not), or retry, but for the one resend that [`HttpRelayClient`] describes.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | yes | `https` endpoints, through rustls with ring; trusts the caller's own certificate authorities |
//! | `tls-platform-roots` | yes | the operating system's certificate authorities |
//! | `tls-bundled-roots` | no | Mozilla's certificate authorities, built in |
//! | `unix` | yes | `unix:///path` endpoints, on Unix systems |
//!
//! A build without a feature refuses what needs it when the client is built, naming the feature.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use goff_core::{ApiKey, EvaluationContext, RelayClient};
//! use goff_http::HttpRelayClient;
//! # use goff_testkit::{Answer, FaultyServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let answer = r#"{"value":"blue","reason":"TARGETING_MATCH","variationType":"B"}"#;
//! # let server = FaultyServer::start([Answer::new(200, answer)]).await?;
//! let endpoint = "http://localhost:1031";
//! # let endpoint = server.url();
//! let relay_proxy = HttpRelayClient::builder(endpoint.parse()?)
//!     .api_key(ApiKey::new("team-a")?)
//!     .timeout(Duration::from_secs(2))
//!     .build()?;
//!
//! let context = EvaluationContext::builder()
//!     .targeting_key("user-1")
//!     .attribute("plan", "pro")
//!     .build();
//! match relay_proxy.evaluate("button-colour", &context).await {
//!     Ok(resolution) => println!("{} because of {}", resolution.value, resolution.reason),
//!     Err(error) => println!("{}: {error}", error.code()),
//! }
//! # assert_eq!(server.requests().len(), 1);
//! # Ok(())
//! # }
//! ```

mod answer;
mod client;
mod connector;
mod error;
mod flag_key;
mod headers;
mod hyper_transport;
mod options;
mod request;
mod resend;
mod response;
mod retry_after;
mod secrets;
mod tls;
mod transport;

pub use client::{HttpRelayClient, MAX_CONFIGURATION_SIZE, MAX_RESPONSE_SIZE};
pub use connector::Connector;
pub use error::{InvalidOption, TransportError};
pub use hyper_transport::HyperTransport;
pub use options::HttpRelayClientBuilder;
pub use request::RemoteProtocol;
pub use tls::{TlsOptions, TlsRoots};
pub use transport::{HttpRequest, HttpResponse, HttpTransport, SendProgress};
