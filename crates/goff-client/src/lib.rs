//! The native GO Feature Flag client: [`GoFeatureFlag`].
//!
//! It evaluates flags by asking a relay proxy, over HTTP or whatever [`RelayClient`] it is given,
//! and hands out typed values with variant, reason, metadata or error. It knows nothing of the
//! OpenFeature SDK; `goff-provider` puts one on top of it.
//!
//! Every evaluation is one request that the relay proxy records itself: this client does not cache
//! and sends no usage data of its own.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `http` | yes | the relay proxy over HTTP; without it only `with_relay_client` |
//! | `tls` | yes | `https://` endpoints, through rustls |
//! | `unix` | yes | `unix:///path` endpoints |
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
//! use goff_testkit::ScriptedRelay;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relay = ScriptedRelay::new().with_value("new-checkout", true);
//! let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay));
//! let goff = GoFeatureFlag::connect(options).await?;
//!
//! let context = EvaluationContext::builder().targeting_key("user-1").build();
//! let new_checkout = goff.evaluate("new-checkout", &context, false).await;
//! assert!(new_checkout.value);
//! assert_eq!(new_checkout.variant(), Some("scripted"));
//!
//! let unknown = goff.evaluate("unknown", &context, 7_i64).await;
//! assert_eq!(unknown.value, 7);
//! assert_eq!(unknown.error().map(|error| error.code().to_string()).as_deref(), Some("FLAG_NOT_FOUND"));
//! # Ok(())
//! # }
//! ```

mod client;
mod evaluation;
#[cfg(feature = "http")]
mod http_options;
mod options;
mod remote;
mod status;

pub use client::GoFeatureFlag;
pub use evaluation::EvaluationDetails;
pub use options::{GoFeatureFlagOptions, InitializeError, OptionsError};
pub use status::Status;

pub use goff_core::{
    Attribute, Connect, ContextView, ErrorCode, EvaluationContext, FlagType, Origin, Outcome,
    Reason, RelayClient, RelayError, Resolution, ResolutionError, attribute,
};
#[cfg(feature = "http")]
pub use goff_http::{HttpTransport, RemoteProtocol, TlsOptions};
