//! The native GO Feature Flag client: [`GoFeatureFlag`].
//!
//! It evaluates flags by asking a relay proxy, over HTTP or whatever [`RelayClient`] it is given,
//! or in this process, with flags that it has from a relay proxy, a file or a text. It hands out
//! typed values with variant, reason, metadata or error. It knows nothing of the OpenFeature SDK;
//! `goff-provider` puts one on top of it.
//!
//! Remote answers are cached and dropped as soon as the relay proxy announces that their flag
//! changed; flags that are held here are fetched again then.
//! What the relay proxy cannot know, such as an evaluation answered from the cache, is recorded
//! here and delivered in batches; what it recorded itself is never sent again.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `http` | yes | the relay proxy over HTTP; without it only `with_relay_client` |
//! | `ws` | yes | announcements of changed flags, over the relay proxy's WebSocket |
//! | `in-process` | yes | evaluation in this process: `EvaluationType::InProcess`, `LocalFlags` |
//! | `file` | no | `from_file`: flags from a watched YAML, JSON or TOML file |
//! | `tls-platform-roots` | yes | `https://` endpoints, trusting the platform's authorities |
//! | `tls-bundled-roots` | no | `https://` endpoints, trusting Mozilla's authorities, built in |
//! | `tls` | with either | `https://` endpoints, trusting authorities of the caller's own |
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
mod details;
#[cfg(feature = "in-process")]
mod in_process;
mod options;
mod remote;
mod status;

pub use client::GoFeatureFlag;
#[cfg(feature = "in-process")]
pub use client::local_flags::{FlagsError, LocalFlags};
pub use details::EvaluationDetails;
#[cfg(feature = "in-process")]
pub use in_process::engine_context::EngineContext;
pub use options::GoFeatureFlagOptions;
pub use options::error::{InitializeError, OptionsError};
pub use status::error::ClientError;
pub use status::events::{ChangedFlags, ClientEvent, Subscription};
pub use status::stats::Stats;
pub use status::{State, Status};

pub use goff_core::{
    Attribute, Connect, ContextView, ErrorCode, EvaluationContext, EvaluationType, FlagType,
    Invalidation, InvalidationSink, Origin, Outcome, Reason, RelayClient, RelayError, Resolution,
    ResolutionError, StreamState,
};
pub use goff_hooks::{DeliveryReport, UsageStats};
#[cfg(feature = "http")]
pub use goff_http::{HttpTransport, RemoteProtocol, TlsOptions, TlsRoots};

/// Not covered by semver: for the goff crates only.
#[doc(hidden)]
pub mod __internal {
    pub use crate::client::pending::PendingEvaluation;
}
