//! The native GO Feature Flag client: [`GoFeatureFlag`].
//!
//! It evaluates flags remotely, by a relay proxy reached over HTTP or through a custom
//! [`RelayClient`], or in process, with flags loaded from a relay proxy, a file or a text. An
//! evaluation gives a typed value with variant, reason, metadata or error. The crate does not know
//! the OpenFeature SDK; `goff-provider` is the adapter to it.
//!
//! Remote answers are cached, and dropped when the relay proxy announces that their flag changed.
//! In process, an announced change fetches the flags again. Usage data that the relay proxy cannot
//! record, such as an evaluation answered from the cache, is recorded here and delivered in batches.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `http` | yes | the relay proxy over HTTP; without it only `with_relay_client` |
//! | `ws` | yes | the relay proxy's change stream, over a WebSocket |
//! | `in-process` | yes | in-process evaluation: `EvaluationType::InProcess`, `LocalFlags` |
//! | `file` | no | `from_file`: flags from a watched YAML, JSON or TOML file |
//! | `tls-platform-roots` | yes | `https://` endpoints, trusting the platform's certificate authorities |
//! | `tls-bundled-roots` | no | `https://` endpoints, trusting Mozilla's certificate authorities, built in |
//! | `tls` | with each of these | `https://` endpoints, with certificate authorities and cryptography of the application |
//! | `tls-ring` | yes | the cryptography of ring |
//! | `tls-aws-lc-rs` | no | the cryptography of aws-lc-rs |
//! | `unix` | yes | `unix:///path` endpoints, on Unix systems |
//! | `gzip` | no | requests compressed responses, which gateways can send |
//! | `blocking` | no | `blocking::GoFeatureFlag`, for code that is not async |
//! | `time` | no | `SystemTime` and the dates of the crate `time` as attributes |
//! | `chrono` | no | the dates of the crate `chrono` as attributes |
//! | `opentelemetry` | no | metrics, and the current trace in requests (option `telemetry`) |
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
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod details;
#[cfg(feature = "in-process")]
mod in_process;
mod options;
mod remote;
mod status;

pub use client::GoFeatureFlag;
pub use client::check::Check;
#[cfg(feature = "in-process")]
pub use client::local_flags::LocalFlags;
pub use client::snapshot::Snapshot;
pub use details::{EvaluationDetails, EvaluationDetailsRef};
#[cfg(feature = "in-process")]
pub use in_process::left_out::FlagsError;
pub use options::GoFeatureFlagOptions;
pub use options::error::{InitializeError, OptionsError};
pub use status::check_error::CheckError;
pub use status::error::ClientError;
pub use status::events::{ChangedFlags, ClientEvent, Subscription};
pub use status::refresh::{RefreshError, Refreshed};
pub use status::requests::{DurationHistogram, OperationStats, RequestResult, RequestStats};
pub use status::stats::Stats;
pub use status::{State, Status};

pub use goff_core::{
    Attribute, AttributeRef, Connect, ContextKind, ContextView, ErrorCode, EvaluationContext,
    EvaluationType, Event, EventSink, EventSource, FeatureEvent, FlagType, HeaderProvider,
    Invalidation, InvalidationSink, NoRuntimeError, Origin, Outcome, Reason, RelayClient,
    RelayError, Resolution, ResolutionError, StreamState, TrackingEvent,
};
#[cfg(feature = "in-process")]
pub use goff_engine::Explanation;
pub use goff_hooks::{DeliveryReport, TelemetryOptions, UsageStats};
#[cfg(feature = "http")]
pub use goff_http::{
    HttpTransport, ProxyOptions, RemoteProtocol, TlsCryptoProvider, TlsOptions, TlsRoots,
};

/// The client for code that is not async.
#[cfg(feature = "blocking")]
pub mod blocking {
    pub use crate::client::blocking::{GoFeatureFlag, Subscription};
}

/// Not covered by semver: for the goff crates only.
#[doc(hidden)]
pub mod __internal {
    pub use crate::client::pending::PendingEvaluation;
    pub use crate::details::PROVIDER_NAME;
    #[cfg(feature = "in-process")]
    pub use crate::in_process::engine_context::EngineContext;
}
