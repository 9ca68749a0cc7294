//! The GO Feature Flag provider for the OpenFeature Rust SDK.
#![doc = ""]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod provider;

pub use provider::{GoFeatureFlagProvider, PROVIDER_NAME, SPECIFICATION_VERSION};

#[cfg(feature = "blocking")]
pub use goff_client::blocking;
pub use goff_client::{
    Attribute, AttributeRef, ChangedFlags, Check, CheckError, ClientEvent, Connect, ContextKind,
    ContextView, DeliveryReport, ErrorCode, EvaluationType, Event, EventSink, EventSource,
    FeatureEvent, FlagType, GoFeatureFlag, GoFeatureFlagOptions, HeaderProvider, InitializeError,
    Invalidation, InvalidationSink, OptionsError, Reason, RefreshError, Refreshed, RelayClient,
    RelayError, Resolution, ResolutionError, Snapshot, State, Stats, Status, StreamState,
    Subscription, TelemetryOptions, TrackingEvent, UsageStats,
};
#[cfg(feature = "in-process")]
pub use goff_client::{Explanation, FlagsError, LocalFlags};
#[cfg(feature = "http")]
pub use goff_client::{
    HttpTransport, ProxyOptions, RemoteProtocol, TlsCryptoProvider, TlsOptions, TlsRoots,
};
pub use goff_core::{FLAG_DISABLED, NULL_VALUE, is_disabled};
pub use goff_hooks::TelemetryHook;

/// The native types whose names the OpenFeature SDK has too.
pub mod native {
    pub use goff_client::{EvaluationContext, EvaluationDetails, EvaluationDetailsRef};
}
